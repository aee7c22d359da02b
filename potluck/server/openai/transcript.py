"""Conversations: from OpenAI's messages to LangChain's, and whether two say the same."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages import ToolCall as LangChainCall

from potluck.server.openai import request as wire
from potluck.server.openai.errors import ApiError
from potluck.server.turn import Wire, text_of

# What clients add to a message for their own display, and send back with it.
TAG = re.compile(r"<(/?)(?:details|attached_files)\b[^<>]*>", re.IGNORECASE)
IMAGE_LEFT_OUT = "[an image that this model cannot see]"
CONTINUE = "Continue your last answer exactly where it stopped."


@dataclass(frozen=True, slots=True)
class Said:
    """Who said what, as a person sees it."""

    by_user: bool
    text: str


def instructions_in(messages: Sequence[wire.Message]) -> str:
    """What the system and developer messages say."""
    texts = [wire.text_in(m.content) for m in messages if isinstance(m, wire.SystemMessage)]
    return "\n\n".join(text for text in texts if text.strip())


def to_langchain(messages: Sequence[wire.Message], *, vision: bool) -> list[BaseMessage]:
    """The same messages in LangChain's form; images are left out unless the model has vision.

    Raises ApiError when the last thing the user said holds an image that nobody would see.
    """
    last_user = _last_user(messages)
    if not vision and last_user is not None:
        _refuse_images(messages[last_user], last_user)
    return [_to_langchain(message, vision=vision) for message in messages]


def strip_blocks(text: str) -> str:
    """The text without `<details>` and `<attached_files>` blocks, however they are nested."""
    kept: list[str] = []
    position = depth = 0
    for tag in TAG.finditer(text):
        if not tag[1]:
            if depth == 0:
                kept.append(text[position : tag.start()])
                position = tag.start()
            depth += 1
        elif depth:
            depth -= 1
            if depth == 0:
                position = tag.end()
    # A block that never ends is no block: its text stays.
    kept.append(text[position:])
    return "".join(kept)


def visible_in_request(messages: Sequence[wire.Message]) -> list[Said]:
    """What a person has seen of the request's messages."""
    return _merge(
        Said(isinstance(message, wire.UserMessage), wire.text_in(message.content))
        for message in messages
        if isinstance(message, wire.UserMessage | wire.AssistantMessage)
    )


def visible_in_thread(messages: Sequence[Wire]) -> list[Said]:
    """What a person has seen of a thread: no tool traffic, one answer for each turn."""
    return _merge(
        Said(message.get("type") == "human", text_of(message))
        for message in messages
        if message.get("type") in {"human", "ai"}
    )


def _merge(said: Iterable[Said]) -> list[Said]:
    """Neighbours by the same speaker as one; spaces and blocks for display do not count."""
    merged: list[Said] = []
    for one in said:
        text = " ".join(strip_blocks(one.text).split())
        if not text:
            continue
        if merged and merged[-1].by_user == one.by_user:
            text = f"{merged.pop().text} {text}"
        merged.append(Said(one.by_user, text))
    return merged


def _last_user(messages: Sequence[wire.Message]) -> int | None:
    return next(
        (i for i in reversed(range(len(messages))) if isinstance(messages[i], wire.UserMessage)),
        None,
    )


def _refuse_images(message: wire.Message, number: int) -> None:
    if isinstance(message.content, str) or message.content is None:
        return
    for place, part in enumerate(message.content):
        if isinstance(part, wire.ImagePart):
            raise ApiError(
                "This model cannot see images. Name one that can, as `<provider>/<model>`.",
                param=f"messages[{number}].content[{place}]",
                code="unsupported_value",
            )


def _to_langchain(message: wire.Message, *, vision: bool) -> BaseMessage:
    match message:
        case wire.SystemMessage():
            return SystemMessage(wire.text_in(message.content))
        case wire.UserMessage():
            return HumanMessage(_user_content(message, vision=vision))
        case wire.ToolMessage():
            return ToolMessage(wire.text_in(message.content), tool_call_id=message.tool_call_id)
        case wire.AssistantMessage():
            calls = [_call(call) for call in message.tool_calls or []]
            return AIMessage(strip_blocks(wire.text_in(message.content)), tool_calls=calls)


def _user_content(
    message: wire.UserMessage, *, vision: bool
) -> str | list[str | dict[str, object]]:
    if isinstance(message.content, str):
        return message.content
    if all(isinstance(part, wire.TextPart) for part in message.content):
        return wire.text_in(message.content)
    left_out = wire.TextPart(type="text", text=IMAGE_LEFT_OUT)
    seen = [
        part if vision or isinstance(part, wire.TextPart) else left_out for part in message.content
    ]
    return [part.model_dump(exclude_none=True) for part in seen]


def _call(call: wire.ToolCall) -> LangChainCall:
    return LangChainCall(name=call.function.name, args=call.function.args, id=call.id)
