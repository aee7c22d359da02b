"""An answer that is kept: what it says, and who gave it first."""

import json
from dataclasses import asdict, dataclass
from typing import Self

from pydantic import TypeAdapter, ValidationError


@dataclass(frozen=True, slots=True)
class KeptCall:
    """A tool call, without the id: each replay makes a new one."""

    name: str
    args: dict[str, object]


@dataclass(frozen=True, slots=True)
class Entry:
    """A whole answer in nobody's dialect; the tokens are what it cost the first time."""

    provider: str
    model: str
    finish_reason: str
    text: str = ""
    reasoning: str = ""
    calls: tuple[KeptCall, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0

    def to_bytes(self) -> bytes | None:
        """The entry as it is stored; None when it holds what JSON cannot."""
        try:
            # ASCII, for models may say what UTF-8 cannot
            return json.dumps(asdict(self), separators=(",", ":")).encode("ascii")
        except (TypeError, ValueError):
            return None

    @classmethod
    def from_bytes(cls, stored: bytes) -> Self | None:
        """The entry that was stored; None when it is damaged."""
        try:
            return _FORM.validate_python(json.loads(stored))  # type: ignore[return-value] # of this class
        except (ValueError, RecursionError, ValidationError):
            return None


_FORM = TypeAdapter(Entry)
