"""Who asks, in which chat, and whether a person asks at all: told by headers and metadata."""

import re
import uuid
from dataclasses import dataclass
from typing import Literal

from starlette.datastructures import Headers

from potluck.server import ownership
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
    history: History = "whole"
    """What its client sends: the whole history, only what is new, or nobody has said."""
    reply_id: str = ""
    """The client's own id of the reply that it asks for, if it tells."""
    before_id: str = ""
    """That of the reply which this request follows."""
    owner: str = ""
    """Who the thread belongs to, by his key and whom it names; empty where all are one."""

    @property
    def thread_id(self) -> str:
        """The same for the same chat, and for no other caller's."""
        # Where nobody has a key, threads are where they were before there were any
        key = f"\x1f\x1f{self.model}\x1f{self.name}"
        if self.owner:
            key = f"{self.owner}\x1e{key}"
        return str(uuid.uuid5(THREAD_NAMESPACE, key))

    @property
    def metadata(self) -> Wire:
        """What tells people and searches where the thread comes from."""
        return {"source": "openai", "chat_id": self.name, "model": self.model}


def chat_of(request: ChatRequest, headers: Headers) -> Chat | None:
    """The chat that a request belongs to; None when nothing of it is to be kept."""
    name = name_in(headers) or request.thread_name
    if not name or name.startswith(EPHEMERAL):
        return None
    return Chat(
        name,
        request.model,
        history=_history_in(headers),
        reply_id=headers.get(REPLY_HEADER, "")[:MAX_ID_CHARS],
        before_id=headers.get(BEFORE_HEADER, "")[:MAX_ID_CHARS],
        owner=ownership.owner(),
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


def _history_in(headers: Headers) -> History:
    match headers.get(HISTORY_HEADER, "").strip().lower():
        case "whole":
            return "whole"
        case "newest":
            return "newest"
        case _:
            is_open_webui = any(name.startswith(OPEN_WEBUI) for name in headers)
            return "whole" if is_open_webui else "unknown"
