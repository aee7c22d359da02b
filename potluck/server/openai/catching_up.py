"""What a chat's client has seen of its thread, where the two do not say the same.

A reply that had to end before the answer was there, for want of quota or of a person's approval,
says so in words that stand in no thread; the answer comes into the thread later, unseen, or as the
reply to a yes or no that stands in no thread either. What was shown is kept with the thread, as
digests.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from potluck.server.openai import request as wire
from potluck.server.openai.transcript import visible_in_request
from potluck.server.turn import Wire, text_of

KEY = "potluck_shown"


@dataclass(frozen=True, slots=True)
class Shown:
    """What the client has asked and got, and the last message of the thread that it has seen."""

    asked: str
    answered: str
    through: str

    @classmethod
    def of(cls, messages: Sequence[wire.Message], reply: str, thread: Sequence[Wire]) -> "Shown":
        """After `reply` to `messages`, when the thread holds what `thread` holds."""
        said = wire.AssistantMessage(role="assistant", content=reply)
        through = str(thread[-1].get("id") or "") if thread else ""
        return cls(digest(messages), digest([*messages, said]), through)

    @classmethod
    def read(cls, metadata: Mapping[str, Any] | None) -> "Shown | None":
        """What is kept in a thread's metadata, if anything is."""
        kept = (metadata or {}).get(KEY)
        try:
            return cls(**kept) if isinstance(kept, Mapping) else None
        except TypeError:
            return None

    @property
    def metadata(self) -> dict[str, object]:
        """The form in which it is kept."""
        return {KEY: asdict(self)}

    def unseen(self, thread: Sequence[Wire]) -> str:
        """The answer that has come since; empty when none has."""
        places = [place for place, one in enumerate(thread) if one.get("id") == self.through]
        if not places:
            return ""
        last = next((m for m in reversed(thread[places[-1] + 1 :]) if m.get("type") == "ai"), {})
        return text_of(last).strip()


def digest(messages: Sequence[wire.Message]) -> str:
    """The same for conversations in which a person sees the same."""
    seen = [(said.by_user, said.text) for said in visible_in_request(messages)]
    return hashlib.sha256(json.dumps(seen).encode(errors="replace")).hexdigest()
