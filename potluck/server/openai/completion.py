"""The answer as OpenAI's chat completion, in one object."""

import secrets
import time
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal, NotRequired, TypedDict

from potluck.server.openai.citations import Annotation, annotations_of
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

OPEN_WEBUI = "x-openwebui-"


class InputDetails(TypedDict):
    """Of the input: what a provider had in its cache."""

    cached_tokens: int


class OutputDetails(TypedDict):
    """Of the output: what was thought and is no part of the answer."""

    reasoning_tokens: int


class Usage(TypedDict):
    """Tokens, summed over everything that the answer took; details where a provider told them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: NotRequired[InputDetails]
    completion_tokens_details: NotRequired[OutputDetails]


class ImageUrl(TypedDict):
    """Where a picture is: a data URI that holds it."""

    url: str


class ImageBody(TypedDict):
    """A picture of the answer, in the form in which OpenRouter and LiteLLM send them."""

    type: Literal["image_url"]
    image_url: ImageUrl


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
    annotations: list[Annotation]
    images: list[ImageBody]


@dataclass(frozen=True, slots=True)
class Header:
    """What all chunks of one completion have in common.

    `has_events`: the client is Open WebUI, which shows events that it finds on a chunk.
    """

    model: str
    has_events: bool = False
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def body(self, kind: str) -> dict[str, object]:
        """The object with these fields alone."""
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def usage_body(finished: Finished) -> Usage:
    """Usage in OpenAI's words."""
    usage = Usage(
        prompt_tokens=finished.input_tokens,
        completion_tokens=finished.output_tokens,
        total_tokens=finished.input_tokens + finished.output_tokens,
    )
    if finished.cached_tokens:
        usage["prompt_tokens_details"] = InputDetails(cached_tokens=finished.cached_tokens)
    if finished.reasoning_tokens:
        usage["completion_tokens_details"] = OutputDetails(
            reasoning_tokens=finished.reasoning_tokens
        )
    return usage


def takes_events(header_names: Iterable[str]) -> bool:
    """Whether a request with these headers comes from Open WebUI."""
    return any(name.lower().startswith(OPEN_WEBUI) for name in header_names)


def image_body(pictured: Pictured) -> ImageBody:
    """A picture in the form that clients show."""
    return ImageBody(type="image_url", image_url=ImageUrl(url=pictured.data_uri))


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
        self._cited: list[Cited] = []
        self._images: list[ImageBody] = []

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
            case Cited():
                self._cited.append(delta)
            case Pictured():
                self._images.append(image_body(delta))
            case Accepted() | Status():
                pass

    def message(self) -> MessageBody:
        text = "".join(self._said)
        message = MessageBody(role="assistant", content=text or (None if self._calls else ""))
        if self._thought:
            message["reasoning_content"] = "".join(self._thought)
        if self._calls:
            message["tool_calls"] = list(self._calls.values())
        if self._cited:
            message["annotations"] = annotations_of(self._cited, text)
        if self._images:
            message["images"] = self._images
        return message

    def _call(self, piece: Called) -> None:
        if piece.index not in self._calls:
            self._calls[piece.index] = ToolCallBody(
                id=piece.id or "",
                type="function",
                function=FunctionBody(name=piece.name or "", arguments=""),
            )
        self._calls[piece.index]["function"]["arguments"] += piece.arguments
