"""What a chat's client has seen of its thread, where the two do not say the same.

A reply that had to end before the answer was there, for want of quota or of a person's approval,
says so in words that stand in no thread; the answer comes into the thread later, unseen, or as the
reply to a yes or no that stands in no thread either. What was shown is kept with the thread, as
digests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from potluck.server.openai import request as wire
from potluck.server.openai.likeness import digest, through_user
from potluck.server.turn import Wire, text_of

KEY = "potluck_shown"
# Older ones are found by their words alone.
MAX_KEPT = 16


class Noted(Protocol):
    """A thread's metadata (`LangGraphClient.threads`)."""

    async def get(self, thread_id: str) -> Any:
        """A thread, with its metadata."""

    async def update(self, thread_id: str, *, metadata: Any) -> Any:
        """Change parts of a thread's metadata."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the client has asked and got, and the last message of the thread that it has seen."""

    asked: str
    answered: str
    through: str
    question: str = ""
    """All up to what the user said last."""
    run_id: str = ""
    """The run that was last at work on the reply."""

    @classmethod
    def of(
        cls,
        messages: Sequence[wire.Message],
        reply: str,
        thread: Sequence[Wire],
        run_id: str = "",
    ) -> "Shown":
        """After `reply` to `messages`, when the thread holds what `thread` holds."""
        said = wire.AssistantMessage(role="assistant", content=reply)
        return cls(
            asked=digest(messages),
            answered=digest([*messages, said]),
            through=str(thread[-1].get("id") or "") if thread else "",
            question=digest(through_user(messages)),
            run_id=run_id,
        )

    @classmethod
    def read(cls, metadata: Mapping[str, Any] | None) -> "tuple[Shown, ...]":
        """What is kept in a thread's metadata, the newest last."""
        kept = (metadata or {}).get(KEY)
        found = (cls._read(one) for one in (kept if isinstance(kept, list) else ()))
        return tuple(one for one in found if one is not None)

    @classmethod
    def _read(cls, kept: object) -> "Shown | None":
        try:
            return cls(**kept) if isinstance(kept, dict) else None
        except TypeError:
            return None

    def is_of_last_turn(self, thread: Sequence[Wire]) -> bool:
        """Whether nobody has asked anything since, here or on another branch of the thread."""
        ids = [one.get("id") for one in thread]
        if self.through not in ids:
            return False
        since = thread[ids.index(self.through) + 1 :]
        return all(one.get("type") != "human" for one in since)

    def unseen(self, thread: Sequence[Wire]) -> str:
        """The answer that has come since; empty when none has."""
        places = [place for place, one in enumerate(thread) if one.get("id") == self.through]
        if not places:
            return ""
        last = next((m for m in reversed(thread[places[-1] + 1 :]) if m.get("type") == "ai"), {})
        return text_of(last).strip()


def note_of(shown: Sequence[Shown]) -> dict[str, object]:
    """The form in which it is kept in a thread's metadata."""
    return {KEY: [asdict(one) for one in shown[-MAX_KEPT:]]}


async def note(threads: Noted, thread_id: str, shown: Shown) -> None:
    """Keep what was shown last, with what was shown before."""
    metadata = (await threads.get(thread_id))["metadata"]
    await threads.update(thread_id, metadata=note_of([*Shown.read(metadata), shown]))
