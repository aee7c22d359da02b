"""The answer as OpenAI's chat completion: one object, or chunks."""

import json
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal, NotRequired, TypedDict

from potluck.errors import PotluckError
from potluck.server.openai.deltas import (
    Accepted,
    Called,
    Cited,
    Delta,
    Finished,
    Pictured,
    Reply,
    Said,
    Status,
    Thought,
)
from potluck.server.openai.errors import as_api_error


class Usage(TypedDict):
    """Tokens, summed over everything that the answer took."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class FunctionBody(TypedDict):
    """A called function, whole or a piece of it."""

    name: NotRequired[str]
    arguments: str


class ToolCallBody(TypedDict):
    """A tool call, whole or a piece of it; only pieces carry `index`."""

    index: NotRequired[int]
    id: NotRequired[str]
    type: NotRequired[Literal["function"]]
    function: FunctionBody


class MessageBody(TypedDict, total=False):
    """The assistant's message, whole or a piece of it."""

    role: Literal["assistant"]
    content: str | None
    reasoning_content: str
    tool_calls: list[ToolCallBody]


@dataclass(frozen=True, slots=True)
class Header:
    """What all chunks of one completion have in common."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def body(self, kind: str) -> dict[str, object]:
        """The object with these fields alone."""
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def usage_body(finished: Finished) -> Usage:
    """Usage in OpenAI's words."""
    return Usage(
        prompt_tokens=finished.input_tokens,
        completion_tokens=finished.output_tokens,
        total_tokens=finished.input_tokens + finished.output_tokens,
    )


async def whole(reply: Reply, header: Header) -> dict[str, object]:
    """The completion as one object. Raises what the reply raises."""
    gathered = _Gathered()
    async with aclosing(reply) as deltas:
        async for delta in deltas:
            gathered.take(delta)
    choice = {
        "index": 0,
        "message": gathered.message(),
        "logprobs": None,
        "finish_reason": gathered.finished.reason,
    }
    body = header.body("chat.completion")
    return {**body, "choices": [choice], "usage": usage_body(gathered.finished)}


class _Gathered:
    """The pieces put together."""

    def __init__(self) -> None:
        self.finished = Finished("stop", 0, 0)
        self._said: list[str] = []
        self._thought: list[str] = []
        self._calls: dict[int, ToolCallBody] = {}

    def take(self, delta: Delta) -> None:
        match delta:
            case Said(text):
                self._said.append(text)
            case Thought(text):
                self._thought.append(text)
            case Called():
                self._call(delta)
            case Finished():
                self.finished = delta
            case Accepted() | Status() | Cited() | Pictured():
                pass

    def message(self) -> MessageBody:
        text = "".join(self._said)
        message = MessageBody(role="assistant", content=text or (None if self._calls else ""))
        if self._thought:
            message["reasoning_content"] = "".join(self._thought)
        if self._calls:
            message["tool_calls"] = list(self._calls.values())
        return message

    def _call(self, piece: Called) -> None:
        if piece.index not in self._calls:
            self._calls[piece.index] = ToolCallBody(
                id=piece.id or "",
                type="function",
                function=FunctionBody(name=piece.name or "", arguments=""),
            )
        self._calls[piece.index]["function"]["arguments"] += piece.arguments


async def chunks(reply: Reply, header: Header, *, include_usage: bool) -> AsyncGenerator[bytes]:
    """The completion as server-sent events. A failure after the first event is sent as one.

    Nothing is sent before the reply's first delta, so that a failure before it can still become
    the response's status.
    """
    opened = False
    try:
        async with aclosing(reply) as deltas:
            async for delta in deltas:
                if not opened:
                    opened = True
                    yield _chunk(header, MessageBody(role="assistant", content=""), None)
                for event in _events(delta, header, include_usage=include_usage):
                    yield event
    except PotluckError as error:
        if not opened:
            raise
        yield event_of(as_api_error(error).body)
    yield b"data: [DONE]\n\n"


def event_of(body: object) -> bytes:
    """One server-sent event."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    # A model may have cut a character in half: half a surrogate pair has no UTF-8.
    return f"data: {text}\n\n".encode(errors="replace")


def _events(delta: Delta, header: Header, *, include_usage: bool) -> list[bytes]:
    match delta:
        case Accepted() | Status() | Cited() | Pictured():
            return []
        case Said(text):
            return [_chunk(header, MessageBody(content=text), None)]
        case Thought(text):
            return [_chunk(header, MessageBody(reasoning_content=text), None)]
        case Called():
            return [_chunk(header, MessageBody(tool_calls=[_piece(delta)]), None)]
        case Finished(reason):
            last = _chunk(header, MessageBody(), reason)
            return [last, _usage_chunk(header, delta)] if include_usage else [last]


def _piece(called: Called) -> ToolCallBody:
    function = FunctionBody(arguments=called.arguments)
    piece = ToolCallBody(index=called.index, function=function)
    if called.id is not None:
        piece["id"] = called.id
        piece["type"] = "function"
        function["name"] = called.name or ""
    return piece


def _chunk(header: Header, delta: MessageBody, finish_reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return event_of({**header.body("chat.completion.chunk"), "choices": [choice]})


def _usage_chunk(header: Header, finished: Finished) -> bytes:
    body = header.body("chat.completion.chunk")
    return event_of({**body, "choices": [], "usage": usage_body(finished)})
