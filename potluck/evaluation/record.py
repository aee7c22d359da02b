"""What happened in one run of a task, and what came of it."""

from dataclasses import dataclass, field
from typing import Literal

Ending = Literal["answered", "loop", "error", "timeout"]


@dataclass(frozen=True, slots=True)
class MadeCall:
    """A tool call that was made, and whether it went well."""

    name: str
    args: dict[str, object]
    ok: bool


@dataclass(slots=True)
class Record:
    """One run: its answer, the calls it made, how it ended."""

    answer: str = ""
    calls: list[MadeCall] = field(default_factory=list)
    ending: Ending = "answered"
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one run of a task cost, and what was wrong with it; finished when nothing was."""

    task: str
    kind: str
    model: str
    ending: Ending
    wrong: tuple[str, ...]
    requests: int
    input_tokens: int
    output_tokens: int
    tool_calls: int
    seconds: float
    answer: str = ""

    @property
    def finished(self) -> bool:
        """Whether everything that was asked for has really happened."""
        return self.ending == "answered" and not self.wrong
