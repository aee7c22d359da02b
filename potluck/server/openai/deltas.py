"""What an answer is made of, whoever gives it and in whatever form it is sent."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The work has begun: from here on a failure is no reason to ask the whole again."""


@dataclass(frozen=True, slots=True)
class Said:
    """A piece of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """A piece of what led to the answer: steps, tool calls, a model's reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class Status:
    """What the agent is doing now, in a few words; `is_done` with the last one.

    A last one without words says that nothing was done that is worth remembering.
    """

    text: str
    is_done: bool = False


@dataclass(frozen=True, slots=True)
class Cited:
    """A page that the answer may rest on."""

    url: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Pictured:
    """A picture that belongs to the answer."""

    path: str
    mime_type: str
    base64: str

    @property
    def data_uri(self) -> str:
        """The picture as a URL that holds it."""
        return f"data:{self.mime_type};base64,{self.base64}"


@dataclass(frozen=True, slots=True)
class Called:
    """A piece of a tool call for the client; the first one of a call has `id` and `name`."""

    index: int
    arguments: str
    id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is whole; tokens are the sum over all calls that it took.

    Of the input `cached_tokens` came from a provider's cache, of the output `reasoning_tokens` were
    thought; 0 too where no provider told.
    """

    reason: FinishReason
    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0


Delta = Accepted | Said | Thought | Status | Cited | Pictured | Called | Finished
Reply = AsyncGenerator[Delta]
