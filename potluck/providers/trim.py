"""Ends an answer's text where its caller wants it to end, and leaves tool calls whole."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.messages import AIMessage, AIMessageChunk

from potluck.providers.answers import calls_tools

OPTION = "trim"
# Tokens for each character: of ASCII, of other alphabets, of scripts that write words in one sign
_ASCII, _LETTER, _SIGN = 0.25, 0.5, 1.0
_FIRST_SIGN = 0x2E80
_FIRST_LETTER = 0x80


@dataclass(frozen=True, slots=True)
class Trim:
    """Where the text ends: after about `max_tokens`, and before the first of `stop`.

    A provider that is told so cuts tool calls too, and counts what a model thinks.
    """

    max_tokens: int | None = None
    stop: Sequence[str] = ()

    def as_option(self) -> dict[str, object]:
        """As it stands among the options of a call, which are JSON."""
        return {"max_tokens": self.max_tokens, "stop": list(self.stop)}


def split_option(
    options: Mapping[str, Any],  # Any: keyword arguments of the vendors' classes
) -> tuple[Trim | None, dict[str, Any]]:  # Any: as above
    """The trim in the options of a call, and the options that are for the models."""
    rest = dict(options)
    given = rest.pop(OPTION, None)
    if not isinstance(given, Mapping):
        return None, rest
    most, stop = given.get("max_tokens"), given.get("stop")
    return Trim(most if isinstance(most, int) else None, tuple(stop or ())), rest


def trimmed[Message: AIMessage](message: Message, trim: Trim | None) -> Message:
    """The message with its text ended; as it is when it calls tools."""
    if trim is None or calls_tools(message):
        return message
    cutter = Cutter(trim)
    text = cutter.take(str(message.text)) + cutter.finish()
    if cutter.reason is None:
        return message
    metadata = {**message.response_metadata, "finish_reason": cutter.reason}
    return message.model_copy(update={"content": text, "response_metadata": metadata})


async def trimmed_stream(
    chunks: AsyncGenerator[AIMessageChunk], trim: Trim | None
) -> AsyncGenerator[AIMessageChunk]:
    """The chunks, with their text ended. They are read to their end: a tool call may yet come."""
    cutter = Cutter(trim or Trim())
    called = False
    async with aclosing(chunks) as stream:
        async for chunk in stream:
            if trim is None:
                yield chunk
                continue
            called = called or calls_tools(chunk)
            is_last = chunk.chunk_position == "last"
            text = cutter.take(str(chunk.text))
            if is_last or called:
                text += cutter.finish()
            if is_last and cutter.reason is not None and not called:
                chunk.response_metadata["finish_reason"] = cutter.reason
            yield chunk if text == chunk.text else chunk.model_copy(update={"content": text})


class Cutter:
    """Lets text through until it has to end; `reason` says why it did, in OpenAI's words."""

    def __init__(self, trim: Trim) -> None:
        self._stop = [stop for stop in trim.stop if stop]
        self._left = float("inf") if trim.max_tokens is None else float(trim.max_tokens)
        self._held = ""
        self.reason: Literal["stop", "length"] | None = None

    def take(self, text: str) -> str:
        """What may be shown of the text so far and of this piece of it."""
        if self.reason is not None or not text:
            return ""
        self._held += text
        places = [place for stop in self._stop if (place := self._held.find(stop)) >= 0]
        if places:
            shown = self._count(self._held[: min(places)])
            if self.reason is None:
                self.reason = "stop"
            return shown
        length = len(self._held) - self._doubtful()
        shown, self._held = self._held[:length], self._held[length:]
        return self._count(shown)

    def finish(self) -> str:
        """What was held back in doubt."""
        shown, self._held = self._held, ""
        return "" if self.reason is not None else self._count(shown)

    def _doubtful(self) -> int:
        """How many letters at the end may be the beginning of a stop."""
        return max(
            (
                length
                for stop in self._stop
                for length in range(1, min(len(stop), len(self._held) + 1))
                if self._held.endswith(stop[:length])
            ),
            default=0,
        )

    def _count(self, text: str) -> str:
        for place, letter in enumerate(text):
            self._left -= _weight(letter)
            if self._left < 0:
                self.reason = "length"
                return text[:place]
        return text


def _weight(letter: str) -> float:
    point = ord(letter)
    if point < _FIRST_LETTER:
        return _ASCII
    return _LETTER if point < _FIRST_SIGN else _SIGN
