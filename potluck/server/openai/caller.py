"""Who asks, in which chat, and whether a person asks at all: told by headers and metadata."""

import hashlib
import re
import uuid
from dataclasses import dataclass
from typing import Literal

from pydantic import SecretStr
from starlette.datastructures import Headers

from potluck.server import ownership
from potluck.server.forwarded_user import ForwardedUserError, forwarded_user
from potluck.server.openai.errors import ApiError
from potluck.server.openai.request import ChatRequest, UserMessage, text_in
from potluck.server.turn import THREAD_NAMESPACE, Wire

OPEN_WEBUI = "x-openwebui-"
CHAT_HEADERS = (f"{OPEN_WEBUI}chat-id", "x-chat-id")
TASK_HEADER = f"{OPEN_WEBUI}task"
REPLY_HEADER = f"{OPEN_WEBUI}message-id"
BEFORE_HEADER = f"{OPEN_WEBUI}user-message-parent-id"
HISTORY_HEADER = "x-potluck-history"
EPHEMERAL = ("temporary:", "local:")
MAX_ID_CHARS = 200
_TEMPLATE = re.compile(r"###\s*Task:")

History = Literal["whole", "newest", "unknown"]


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat of one caller with one model: the thread it is kept on."""

    name: str
    model: str
    user: str
    tenant: str
    history: History = "whole"
    """What its client sends: the whole history, only what is new, or nobody has said."""
    reply_id: str = ""
    """The client's own id of the reply that it asks for, if it tells."""
    before_id: str = ""
    """That of the reply which this request follows."""
    owner: str = ""
    """Who the thread belongs to; empty where all are one."""

    @property
    def thread_id(self) -> str:
        """The same for the same chat, and for no other caller's."""
        key = f"{self.tenant}\x1f{self.user}\x1f{self.model}\x1f{self.name}"
        if self.owner:
            key = f"{self.owner}\x1e{key}"
        return str(uuid.uuid5(THREAD_NAMESPACE, key))

    @property
    def metadata(self) -> Wire:
        """What tells people and searches where the thread comes from."""
        return {"source": "openai", "chat_id": self.name, "model": self.model}


def chat_of(
    request: ChatRequest, headers: Headers, *, has_keys: bool, jwt_secret: SecretStr | None = None
) -> Chat | None:
    """The chat that a request belongs to; None when nothing of it is to be kept.

    A user's name counts only behind an API key: without one, anybody could write it. With
    `jwt_secret` only a signed one counts. Raises ApiError when the signature is wrong.
    """
    name = name_in(headers) or request.thread_name
    if not name or name.startswith(EPHEMERAL):
        return None
    return Chat(
        name,
        request.model,
        user=_user_in(headers, jwt_secret) if has_keys else "",
        tenant=tenant_of(headers, has_keys=has_keys),
        history=_history_in(headers),
        reply_id=headers.get(REPLY_HEADER, "")[:MAX_ID_CHARS],
        before_id=headers.get(BEFORE_HEADER, "")[:MAX_ID_CHARS],
        owner=who.owner if (who := ownership.caller()) else "",
    )


def name_in(headers: Headers) -> str:
    """What the client calls the chat, if its headers tell."""
    return next((headers[key] for key in CHAT_HEADERS if headers.get(key)), "")


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


def _user_in(headers: Headers, secret: SecretStr | None) -> str:
    try:
        return forwarded_user(headers, secret)
    except ForwardedUserError as error:
        raise ApiError(
            str(error), 401, "authentication_error", code="invalid_user_token"
        ) from error


def _history_in(headers: Headers) -> History:
    match headers.get(HISTORY_HEADER, "").strip().lower():
        case "whole":
            return "whole"
        case "newest":
            return "newest"
        case _:
            is_open_webui = any(name.startswith(OPEN_WEBUI) for name in headers)
            return "whole" if is_open_webui else "unknown"
