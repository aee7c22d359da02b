"""A task of the suite: what is asked and given, how it can be done, what must have happened."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

TaskClass = Literal[
    "chat",
    "one_tool",
    "several_tools",
    "code",
    "data",
    "files",
    "web",
    "failing_tool",
    "contradiction",
    "impossible",
    "ask_back",
    "thinking",
    "plan",
    "long_result",
]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Move(_Form):
    """One tool call of the solution.

    `args` may hold `{fact}`; `take` are facts, by regular expressions with one group, that its
    result gives; `sees` must be found in the result for the call to count as made.
    """

    id: str
    tool: str
    args: dict[str, JsonValue] = Field(default_factory=dict)
    needs: tuple[str, ...] = ()
    take: dict[str, str] = Field(default_factory=dict)
    sees: str = ""

    @property
    def facts(self) -> tuple[str, ...]:
        """What is known once it is made; at least that it was."""
        return tuple(self.take) or (f"{self.id}_done",)


class PlanStep(_Form):
    """One step, for agents that plan: it makes `moves`, or it thinks and `gives` facts."""

    goal: str
    needs: tuple[int, ...] = ()
    moves: tuple[str, ...] = ()
    gives: dict[str, str] = Field(default_factory=dict)


class FileCheck(_Form):
    """What a file of the workspace must be in the end."""

    path: str
    equals: str | None = None
    has: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    gone: bool = False
    picture: bool = False


class LongFile(_Form):
    """A file of many lines (`{n}`: the line's number), of which the one at `at` is `text`."""

    line: str
    count: int
    at: int
    text: str

    @property
    def content(self) -> str:
        """The whole file."""
        lines = (
            self.text if n == self.at else self.line.replace("{n}", str(n))
            for n in range(1, self.count + 1)
        )
        return "\n".join(lines) + "\n"


class HiddenTest(_Form):
    """A hidden test: its files go into a copy of the workspace, and its command must end well."""

    files: dict[str, str]
    command: str = "python3 hidden_test.py"


class Checks(_Form):
    """What must really have happened. Files that are not named must be as they were."""

    answer_has: tuple[str, ...] = ()
    answer_lacks: tuple[str, ...] = ()
    asks: bool = False
    called: tuple[str, ...] = ()
    not_called: tuple[str, ...] = ()
    files: tuple[FileCheck, ...] = ()
    test: HiddenTest | None = None
    may_write: tuple[str, ...] = ()


class Task(_Form):
    """One task. `{site}` in its texts is the address of the pages that belong to it."""

    id: str
    kind: TaskClass = Field(alias="class")
    request: str
    language: Literal["en", "ja"] = "en"
    files: dict[str, str] = Field(default_factory=dict)
    long_files: dict[str, LongFile] = Field(default_factory=dict)
    pages: dict[str, str] = Field(default_factory=dict)
    down_first: tuple[str, ...] = ()
    moves: tuple[Move, ...] = ()
    steps: tuple[PlanStep, ...] = ()
    answer: str
    checks: Checks

    @property
    def given(self) -> dict[str, str]:
        """What is in the workspace at the beginning."""
        return {**self.files, **{path: file.content for path, file in self.long_files.items()}}

    @property
    def goals(self) -> tuple[str, ...]:
        """What the steps of a plan are to reach; without steps the whole task is one."""
        return tuple(step.goal for step in self.plan)

    @property
    def plan(self) -> tuple[PlanStep, ...]:
        """The steps; without any, one that is the whole task."""
        if self.steps:
            return self.steps
        whole = tuple(move.id for move in self.moves)
        return (PlanStep(goal=f"Do all that is asked ({self.id})", moves=whole),)

    @property
    def needs_code(self) -> bool:
        """Whether it can only be done, or checked, where code can run."""
        runs = any(move.tool in {"python", "shell"} for move in self.moves)
        return runs or self.checks.test is not None

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        known = {move.id for move in self.moves}
        named = {need for move in self.moves for need in move.needs}
        named |= {name for step in self.steps for name in step.moves}
        if not named <= known:
            raise ValueError(f"{self.id}: there are no moves {sorted(named - known)}")
        if self.steps and {name for step in self.steps for name in step.moves} != known:
            raise ValueError(f"{self.id}: every move belongs to a step")
        return self
