"""An answer while it comes: what may go out at once, and what waits until the answer is whole."""

from collections.abc import Mapping
from typing import Protocol

from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from potluck.providers import answers


class Gate(Protocol):
    """Decides whether the text that has come so far may be shown."""

    def holds(self, text: str) -> bool:
        """Whether `text`, which comes after all that came before, has to wait."""


class Draft:
    """Sorts a vendor's chunks: what is let out cannot be taken back.

    Nothing goes out before the first chunk that says something, so that another model can still
    answer; nothing of a tool call before all of it is there; no text that the gate holds. What the
    vendor says about the answer is kept apart in `metadata`.
    """

    def __init__(self, gate: Gate | None = None) -> None:
        self.metadata: dict[str, object] = {}
        self.said = False
        self.begun = False
        self.text = ""
        self.calls = False
        self._gate = gate
        self._held: list[AIMessageChunk] = []

    @property
    def is_answer(self) -> bool:
        """Whether there is text or a tool call: more than reasoning."""
        return self.calls or bool(self.text.strip())

    @property
    def finish_reason(self) -> str:
        """Why the model stopped, in lower case; empty while it has not said so."""
        return answers.reason_in(self.metadata)

    def take(self, chunk: ChatGenerationChunk) -> list[AIMessageChunk]:
        """Add a chunk. Gives what may go out now, in order."""
        message = _bare(chunk, self.metadata)
        self._held.append(message)
        self.text += message.text
        self.said = self.said or answers.says_something(message)
        self.calls = self.calls or answers.calls_tools(message)
        waits = self._gate is not None and self._gate.holds(message.text)
        if waits or self.calls or not self.said:
            return []
        self.begun = True
        ready, self._held = self._held, []
        return ready

    def held(self) -> AIMessageChunk | None:
        """What has not gone out, as one chunk; None when all has."""
        held, self._held = self._held, []
        return held[0] + held[1:] if held else None


def _bare(chunk: ChatGenerationChunk, metadata: dict[str, object]) -> AIMessageChunk:
    """The chunk's message without id and metadata, which go to `metadata`; the last word counts."""
    message = chunk.message
    if not isinstance(message, AIMessageChunk):
        message = AIMessageChunk(content=message.content)
    answers.strip_marks(chunk)
    told: tuple[Mapping[str, object], ...] = (
        chunk.generation_info or {},
        chunk.message.response_metadata,
    )
    for facts in told:
        metadata.update({key: value for key, value in facts.items() if value is not None})
    return message.model_copy(
        update={"id": None, "response_metadata": {}, "chunk_position": None},
    )
