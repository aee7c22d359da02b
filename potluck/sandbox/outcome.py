"""What came of a cell or a command."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Stop = Literal["time", "memory", "disk", "output", "crash", "cancel"]
Tell = Callable[[str], None]
"""Takes output as it comes."""


@dataclass(frozen=True, slots=True)
class Image:
    """A picture that a cell has shown."""

    mime_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file of the workspace that was made or changed; its path is relative to it."""

    path: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a cell or a command printed, and how it ended."""

    text: str
    lost_chars: int = 0
    """Output beyond what is kept, left out of `text` at the mark in it."""
    error: str | None = None
    """The traceback of a cell that failed."""
    exit_code: int | None = None
    """Of a command; None for a cell and for what was stopped."""
    stopped: Stop | None = None
    note: str | None = None
    """Why it was stopped, or what else the model should know, in a sentence."""
    state_lost: str | None = None
    """Why the variables of the Python session are gone, if they are."""
    images: tuple[Image, ...] = ()
    files: tuple[MadeFile, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it ran to its end without an error."""
        return self.error is None and self.stopped is None and not self.exit_code
