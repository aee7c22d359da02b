"""Who asks, in which chat, and whether a person asks at all: told by headers and metadata."""

import hashlib
import re
import uuid
from dataclasses import dataclass

from starlette.datastructures import Headers

from potluck.server.openai.request import ChatRequest, UserMessage, text_in
from potluck.server.turn import THREAD_NAMESPACE, Wire

CHAT_HEADERS = ("x-openwebui-chat-id", "x-chat-id")
USER_HEADER = "x-openwebui-user-id"
TASK_HEADER = "x-openwebui-task"
EPHEMERAL = ("temporary:", "local:")
_TEMPLATE = re.compile(r"###\s*Task:")


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat of one caller with one model: the thread it is kept on."""

    name: str
    model: str
    user: str
    tenant: str

    @property
    def thread_id(self) -> str:
        """The same for the same chat, and for no other caller's."""
        key = f"{self.tenant}\x1f{self.user}\x1f{self.model}\x1f{self.name}"
        return str(uuid.uuid5(THREAD_NAMESPACE, key))

    @property
    def metadata(self) -> Wire:
        """What tells people and searches where the thread comes from."""
        return {"source": "openai", "chat_id": self.name, "model": self.model}


def chat_of(request: ChatRequest, headers: Headers, *, has_keys: bool) -> Chat | None:
    """The chat that a request belongs to; None when nothing of it is to be kept.

    A user's name counts only behind an API key: without one, anybody could write it.
    """
    name = next((headers[key] for key in CHAT_HEADERS if headers.get(key)), request.thread_name)
    if not name or name.startswith(EPHEMERAL):
        return None
    user = headers.get(USER_HEADER, "") if has_keys else ""
    return Chat(name, request.model, user, tenant_of(headers, has_keys=has_keys))


def is_background(request: ChatRequest, headers: Headers) -> bool:
    """Whether Open WebUI asks for itself: a title, tags, follow-up questions.

    A turn with a file begins like such a task too, but it streams.
    """
    if headers.get(TASK_HEADER):
        return True
    last = request.messages[-1]
    if request.stream or not isinstance(last, UserMessage):
        return False
    text = text_in(last.content)
    return _TEMPLATE.match(text.lstrip()) is not None and "<chat_history>" in text


def tenant_of(headers: Headers, *, has_keys: bool) -> str:
    """The key that a request came with, as a digest; without keys all callers are one."""
    if not has_keys:
        return ""
    key = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
    return hashlib.sha256(key.strip().encode()).hexdigest()
