"""What a simulated provider answers: text, reasoning, tool calls; or a fault, a delay, a cut."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal, Self

from potluck.simulator.request import ToolCall

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
CutKind = Literal["drop", "end", "error", "stall"]

_PIECE = re.compile(r"\s*\S{1,12}|\s+$")


class FaultKind(StrEnum):
    """What goes wrong, by name; each provider has its own status, body and headers for it."""

    MINUTE_REQUESTS = "minute_requests"
    MINUTE_TOKENS = "minute_tokens"
    DAY_REQUESTS = "day_requests"
    DAY_TOKENS = "day_tokens"
    MONTH = "month"
    CREDITS = "credits"
    CONCURRENCY = "concurrency"
    NOT_FREE = "not_free"
    AUTH = "auth"
    NO_KEY = "no_key"
    MODEL_GONE = "model_gone"
    MODEL_NOT_FOUND = "model_not_found"
    TOO_LARGE = "too_large"
    TOOL_USE_FAILED = "tool_use_failed"
    CONTENT_FILTER = "content_filter"
    OVERLOAD = "overload"
    SERVER_ERROR = "server_error"
    BAD_REQUEST = "bad_request"
    HANG = "hang"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Fault:
    """An error answer: a kind, said as the provider says it; or any status, body and headers.

    A `body` that is a string is sent as it is, anything else as JSON. `hang` never answers and
    `drop` closes the connection before the status line.
    """

    kind: FaultKind | None = None
    status: int | None = None
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after_s: float | None = None
    message: str | None = None

    @classmethod
    def named(cls, kind: str, *, retry_after_s: float | None = None) -> Self:
        """The fault of this kind, e.g. `Fault.named("day_requests")`."""
        return cls(kind=FaultKind(kind), retry_after_s=retry_after_s)


@dataclass(frozen=True, slots=True)
class Delay:
    """How long the provider takes, in its own time: to the first byte, and before each chunk."""

    first_byte_s: float = 0.0
    per_chunk_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call; `reasoning_tokens` are part of the output."""

    input_tokens: int
    output_tokens: int
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, whole or streamed.

    `pieces` sets how the text is cut when streamed. `cut_after` ends a stream after that many
    chunks on the wire (OpenAI's empty first chunk counts as one), in the manner of `cut`:
    `drop` the connection, `end` it as if all were well, send an `error` (that of `fault`, which
    then strikes only there), or `stall`. Cut while it is not streamed, an answer never comes.
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    pieces: tuple[str, ...] | None = None
    fault: Fault | None = None
    delay: Delay = field(default_factory=Delay)
    cut_after: int | None = None
    cut: CutKind = "drop"

    @classmethod
    def call(cls, name: str, /, **args: object) -> Self:
        """A reply that calls one tool."""
        return cls(tool_calls=(ToolCall(name, args),))

    @classmethod
    def failing(cls, kind: str, *, retry_after_s: float | None = None) -> Self:
        """A reply that is an error of this kind."""
        return cls(fault=Fault.named(kind, retry_after_s=retry_after_s))

    @property
    def ending(self) -> FinishReason:
        """Why the answer ends, also when nobody said."""
        return self.finish_reason or ("tool_calls" if self.tool_calls else "stop")

    def text_pieces(self) -> tuple[str, ...]:
        """The text as it is streamed: a word or so at a time."""
        return self.pieces if self.pieces is not None else split_text(self.text)

    def reasoning_pieces(self) -> tuple[str, ...]:
        """The reasoning as it is streamed."""
        return split_text(self.reasoning)

    def completed(self, *, input_tokens: int, ids: list[str]) -> Self:
        """This reply with usage and tool-call ids filled in where they were left open."""
        calls = tuple(
            call if call.id is not None else replace(call, id=fresh)
            for call, fresh in zip(self.tool_calls, ids, strict=True)
        )
        text = "".join(self.pieces) if self.pieces is not None else self.text
        usage = self.usage or self._estimate(input_tokens, text)
        return replace(self, text=text, tool_calls=calls, usage=usage)

    def _estimate(self, input_tokens: int, text: str) -> Usage:
        reasoning = tokens_of(self.reasoning)
        called = sum(tokens_of(call.name + call.args_text) for call in self.tool_calls)
        return Usage(input_tokens, tokens_of(text) + called + reasoning, reasoning)


def split_text(text: str) -> tuple[str, ...]:
    """Cut text at word-sized places; the pieces joined are the text."""
    return tuple(_PIECE.findall(text))


def tokens_of(text: str) -> int:
    """About how many tokens a text has: a quarter of its characters, rounded up."""
    return -(-len(text) // 4)
