"""A turn on the terminal: the answer on standard output, what happens meanwhile beside it."""

import re
from pathlib import Path
from typing import assert_never

from rich.console import Console
from rich.text import Text

from potluck.events import (
    ApprovalDecidedEvent,
    Event,
    PictureEvent,
    PlanEvent,
    SourceEvent,
    StepStatus,
    ToolCallEvent,
    ToolResultEvent,
    is_spent,
)
from potluck.server.answer import Answer
from potluck.server.turn import Happened, Parked, Part
from potluck.terminal.countdown import Countdown
from potluck.terminal.pictures import place_of

MARKS: dict[StepStatus, str] = {"todo": "○", "doing": "◐", "done": "●", "failed": "✗"}
DECISIONS = {"approve": "approved", "edit": "changed", "reject": "rejected"}
SHOWN_LINES = 6
SHOWN_CHARS = 160
# What a model or a tool writes must not steer the terminal; halves of characters cannot be written.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class Screen:
    """Shows the parts of one turn; answer to `out`, all else, dimmed, to `beside`.

    `folder` is the thread's workspace, if it is on this machine.
    """

    def __init__(
        self,
        out: Console,
        beside: Console,
        *,
        is_resumed: bool = False,
        folder: Path | None = None,
    ) -> None:
        self._folder = folder
        self._out = out
        self._beside = beside
        self._answer = Answer(is_resumed=is_resumed)
        self._in_line = False
        self._said: list[str] = []
        self._countdown = Countdown(beside)

    @property
    def is_waiting(self) -> bool:
        """Whether the turn is parked, to go on by itself."""
        return self._countdown.is_on

    @property
    def said(self) -> str:
        """The answer so far."""
        return "".join(self._said).strip()

    def show(self, part: Part) -> None:
        """Show what this part adds."""
        self._countdown.stop()
        if isinstance(part, Parked):
            self._break_line()
            self._countdown.start(part.resume_at)
        if isinstance(part, Happened):
            for line in self._lines(part.event):
                self._break_line()
                self._beside.print(Text(line, style="dim"), soft_wrap=True)
        self._write(self._answer.take(part))

    def warn(self, text: str) -> None:
        """Say what is no part of the turn."""
        self._break_line()
        self._beside.print(Text(f"! {text}", style="dim"), soft_wrap=True)

    def end(self) -> None:
        """Show what was not streamed, and end the line."""
        self._countdown.stop()
        self._write(self._answer.rest())
        self._break_line()

    def _lines(self, event: Event) -> list[str]:
        if event["type"] == "picture":
            return [printable(f"  ▣ picture: {place_of(event, self._folder)}")]
        return lines_of(event)

    def _write(self, text: str) -> None:
        text = printable(text)
        if not self._in_line and text.startswith("\n\n"):
            # The line has been ended already for what happened in between.
            text = text[1:]
        if not text:
            return
        self._said.append(text)
        # As it is: rich would make spaces of tabs, which makefiles and tables live by
        self._out.file.write(text)
        self._out.file.flush()
        self._in_line = not text.endswith("\n")

    def _break_line(self) -> None:
        if self._in_line:
            self._out.print()
            self._in_line = False


def printable(text: str) -> str:
    """The text without control characters, but for line ends and tabs, and without what is none."""
    return CONTROL.sub("", text)


def lines_of(event: Event) -> list[str]:
    """An event as lines for people; tools' output is cut."""
    return [printable(line) for line in _lines(event)]


def _lines(event: Event) -> list[str]:  # noqa: C901, PLR0911, PLR0912 - one for each kind of event
    match event["type"]:
        case "step":
            return [f"· {event['text']}"]
        case "plan":
            return _plan(event)
        case "tool_call":
            return [call_line(event)]
        case "tool_output":
            return [f"  {_cut(line)}" for line in event["text"].splitlines()[:SHOWN_LINES]]
        case "tool_result":
            return _result(event)
        case "source":
            return [_source(event)]
        case "picture":
            return [_picture(event)]
        case "failover":
            return [f"! {event['failed']} failed ({event['reason']}); asking the next one"]
        case "waiting" | "parked":
            return [f"! {event['reason']}"]
        case "approval_asked":
            return [f"? {event['name']} waits for your decision"]
        case "approval_decided":
            return [_decided(event)]
        case "budget":
            return ["! What this run may spend is used up"] if is_spent(event) else []
        case "answer_begun" | "answer_ended":
            # The words themselves are shown.
            return []
        case "verdict":
            return [f"= {event['verdict']}: {event['reason']}"]
        case "error":
            return [f"! {event['text']}"]
        case _ as never:
            assert_never(never)


def _decided(event: ApprovalDecidedEvent) -> str:
    said = f": {' '.join(event['message'].split())}" if event["message"] else ""
    return _cut(f"= {event['name']}: {DECISIONS[event['decision']]}{said}")


def _plan(event: PlanEvent) -> list[str]:
    return [f"  {MARKS[step['status']]} {step['id']}. {step['goal']}" for step in event["steps"]]


def call_line(event: ToolCallEvent) -> str:
    """A tool call as one line, cut."""
    args = ", ".join(f"{name}={value!r}" for name, value in event["args"].items())
    return _cut(printable(f"→ {event['name']}({args})"))


def _result(event: ToolResultEvent) -> list[str]:
    lines = event["text"].splitlines() or ["(nothing)"]
    mark = "←" if event["ok"] else "✗"
    shown = [f"{mark} {_cut(lines[0])}", *(f"  {_cut(line)}" for line in lines[1:SHOWN_LINES])]
    hidden = len(lines) - SHOWN_LINES
    return [*shown, f"  … {hidden} more lines"] if hidden > 0 else shown


def _source(event: SourceEvent) -> str:
    title = " ".join(event["title"].split())
    # The address stays whole, so that it can be opened from here.
    return f"  ↗ {_cut(title)} {event['url']}" if title else f"  ↗ {event['url']}"


def _picture(event: PictureEvent) -> str:
    return f"  ▣ picture: {place_of(event, None)}"


def _cut(line: str) -> str:
    return line if len(line) <= SHOWN_CHARS else f"{line[: SHOWN_CHARS - 1]}…"
