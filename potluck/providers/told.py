"""What the caller has of an answer, and how the words of the next model are fitted to it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage

from potluck.errors import ProviderError
from potluck.providers import answers
from potluck.providers.link import Link
from potluck.providers.seam import Seam

CONTINUE_PROMPT = """\
The connection broke while you were answering: the message above is all that has arrived. Send the
rest of it. Begin by repeating its last words exactly, which are

{anchor}

and go straight on from there in the same language and form. Write nothing else: no remark, no
apology, nothing of what stands before those words. If you were about to call a tool, call it."""

# A message that several vendors' models wrote is in nobody's own form
_MIXED = "mixed"
_ANCHOR_WORDS = 8
_END = re.compile(r"([.!?…。！？)\]}>\"'”’»*`|])\s*$")  # noqa: RUF001 - marks of all scripts


@dataclass(slots=True)
class Told:
    """The part of an answer that is out, and who wrote it."""

    text: str = ""
    thought: bool = False
    writers: list[Link] = field(default_factory=list)
    silent: int = 0
    """How many models found nothing to add."""

    @property
    def begun(self) -> bool:
        """Whether anything is out that cannot be taken back."""
        return self.thought or bool(self.text)

    @property
    def looks_finished(self) -> bool:
        """Whether a model that adds nothing may be believed: the end says so, or another model."""
        return bool(self.text) and (self.silent > 0 or _END.search(self.text) is not None)

    def request(self, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
        """What to ask the next model: the rest of the answer; all of it while no text is out."""
        if not self.text:
            return list(messages)
        anchor = " ".join(self.text.split()[-_ANCHOR_WORDS:])
        ask = HumanMessage(CONTINUE_PROMPT.format(anchor=anchor))
        return [*messages, AIMessage(self.text), ask]

    def take(self, chunk: AIMessageChunk, link: Link) -> AIMessageChunk:
        """Note a chunk that goes out now. The last one names everybody who wrote."""
        self.text += chunk.text
        self.thought = self.thought or bool(answers.reasoning_of(chunk))
        is_new = all(link.backend is not writer.backend for writer in self.writers)
        if is_new and answers.says_something(chunk):
            self.writers.append(link)
        if chunk.chunk_position == "last":
            self._sign(chunk)
        return chunk

    def cut(self, attempts: Sequence[ProviderError]) -> AIMessageChunk:
        """The end of an answer that nobody could finish: a plain word on why it ends here."""
        fence = "\n```" if self.text.count("```") % 2 else ""
        why = "; ".join(str(attempt) for attempt in attempts)
        chunk = AIMessageChunk(
            content=f"{fence}\n\nThe answer was cut off here, and no model could finish it: {why}.",
            chunk_position="last",
        )
        chunk.response_metadata = {"finish_reason": "length"}
        self.writers[-1].sign(chunk)
        self._sign(chunk)
        return chunk

    def _sign(self, chunk: AIMessageChunk) -> None:
        metadata = chunk.response_metadata
        refs = [writer.backend.model.ref for writer in self.writers]
        metadata[answers.MODELS_KEY] = list(dict.fromkeys(refs))
        if len({writer.dialect for writer in self.writers}) > 1:
            metadata[answers.DIALECT_KEY] = _MIXED


class Sequel:
    """Fits the chunks of one more model to what is out: in plain form, joined at the seam.

    Raises NotContinuedError when the model began the answer anew.
    """

    def __init__(self, told: Told) -> None:
        self._seam = Seam(told.text) if told.text else None
        self._paragraph = "\n\n" if told.thought else ""

    def fit(self, chunk: AIMessageChunk) -> AIMessageChunk | None:
        """The chunk as it can follow; None when nothing of it is to go out."""
        is_last = chunk.chunk_position == "last"
        text = str(chunk.text)
        if self._seam is not None:
            text = self._seam.feed(text)
            if is_last or chunk.tool_call_chunks:
                text += self._seam.finish()
        thought = answers.reasoning_of(chunk)
        fitted = AIMessageChunk(
            content=text,
            additional_kwargs={"reasoning_content": self._paragraph + thought} if thought else {},
            tool_call_chunks=chunk.tool_call_chunks,
            usage_metadata=chunk.usage_metadata,
            response_metadata=chunk.response_metadata,
            chunk_position=chunk.chunk_position,
        )
        if thought:
            self._paragraph = ""
        needed = text or thought or chunk.tool_call_chunks or chunk.usage_metadata or is_last
        return fitted if needed else None
