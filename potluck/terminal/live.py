"""A turn on a terminal: what is done stands, what is under way moves below it."""

from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.spinner import Spinner
from rich.text import Text

from potluck.events import (
    Event,
    PictureEvent,
    PlanEvent,
    SourceEvent,
    StepStatus,
    ToolCallEvent,
    ToolOutputEvent,
    ToolResultEvent,
)
from potluck.server.answer import Answer
from potluck.server.turn import Happened, Parked, Part
from potluck.terminal.countdown import Left
from potluck.terminal.markdown import MarkdownStream, end_of, rendered
from potluck.terminal.pictures import Protocol, inline, place_of
from potluck.terminal.screen import MARKS, call_line, lines_of, printable

FRAMES_PER_SECOND = 10
SHOWN_OUTPUT_LINES = 5
STEP_STYLES: dict[StepStatus, str] = {
    "todo": "dim",
    "doing": "yellow",
    "done": "green",
    "failed": "red",
}
STYLES = {"!": "yellow", "✗": "red", "?": "yellow"}


@dataclass(frozen=True, slots=True)
class Pictures:
    """Where pictures are on this machine, and how this terminal shows them."""

    folder: Path | None = None
    protocol: Protocol | None = None


@dataclass(slots=True)
class _Tool:
    """A call at work: its line, and the last that it printed."""

    line: str
    open_line: str = ""
    output: deque[str] = field(default_factory=lambda: deque(maxlen=SHOWN_OUTPUT_LINES))

    def print(self, text: str) -> None:
        *whole, last = (self.open_line + text).split("\n")
        self.output.extend(_written_over(line) for line in whole)
        kept = last.rstrip("\r")
        self.open_line = kept.rpartition("\r")[2] + last[len(kept) :]

    def __rich__(self) -> Text:
        open_line = _written_over(self.open_line)
        shown = [*self.output, *([open_line] if open_line else [])]
        lines = [f"  {line}" for line in shown[-SHOWN_OUTPUT_LINES:]]
        return _row("\n".join([self.line, *lines]), "dim")


class LiveScreen:
    """Shows the parts of one turn on `console`; what is no answer on `beside`, if that is a file.

    Nothing that moves is left when it ends, however it ends.
    """

    def __init__(
        self,
        console: Console,
        beside: Console | None = None,
        *,
        is_resumed: bool = False,
        pictures: Pictures = Pictures(),
    ) -> None:
        self._console = console
        self._log = beside if beside is not None and not beside.is_terminal else console
        self._pictures = pictures
        self._answer = Answer(is_resumed=is_resumed)
        self._stream = MarkdownStream()
        self._said: list[str] = []
        self._above = ""
        self._plan: PlanEvent | None = None
        self._shown_plan: PlanEvent | None = None
        self._tools: dict[str, _Tool] = {}
        self._sources: dict[str, SourceEvent] = {}
        self._parked: Left | None = None
        self._spinner = Spinner("dots", style="dim")
        self._live = Live(
            console=console,
            transient=True,
            refresh_per_second=FRAMES_PER_SECOND,
            vertical_overflow="crop",
        )
        self._live.start()

    @property
    def is_waiting(self) -> bool:
        """Whether the turn is parked, to go on by itself."""
        return self._parked is not None

    @property
    def said(self) -> str:
        """The answer so far, as the model wrote it."""
        return "".join(self._said).strip()

    def show(self, part: Part) -> None:
        """Show what this part adds."""
        self._parked = None
        if isinstance(part, Parked):
            self._parked = Left(part.resume_at)
        if isinstance(part, Happened):
            self._happened(part.event)
        self._write(self._answer.take(part))
        self._live.update(self._moving())

    def warn(self, text: str) -> None:
        """Say what is no part of the turn."""
        self._print(f"! {text}")

    def end(self) -> None:
        """Show what was not streamed, and take away what moves."""
        self._write(self._answer.rest())
        self._finish_answer()
        for tool in self._tools.values():
            self._print(f"{tool.line}: not finished")
        self._print_plan()
        self._print_sources()
        self._live.update(Text(""))
        self._live.stop()
        if self._above:
            self._console.print()

    def _happened(self, event: Event) -> None:  # noqa: C901 - one for each kind of event
        match event["type"]:
            case "step":
                self._spinner.update(text=_row(event["text"], "dim"))
            case "plan":
                self._plan = event
            case "tool_call":
                self._begin(event)
            case "tool_output":
                self._output(event)
            case "tool_result":
                self._result(event)
            case "source":
                self._sources.setdefault(event["url"], event)
            case "picture":
                self._picture(event)
            case "answer_begun":
                self._print_plan()
            case "answer_ended":
                self._finish_answer()
            case "approval_asked":
                # The question itself comes as soon as the run has stopped
                self._print_plan()
            case _:
                for line in lines_of(event):
                    self._print(line)

    def _begin(self, event: ToolCallEvent) -> None:
        self._finish_answer()
        self._tools[event["id"]] = _Tool(call_line(event))

    def _output(self, event: ToolOutputEvent) -> None:
        tool = self._tools.get(event["id"])
        if tool is not None:
            tool.print(event["text"])

    def _result(self, event: ToolResultEvent) -> None:
        tool = self._tools.pop(event["id"], None)
        # The call stands above its own result, also where several are at work
        for line in [*([tool.line] if tool else []), *lines_of(event)]:
            self._print(line)

    def _picture(self, event: PictureEvent) -> None:
        self._print(f"  ▣ picture: {printable(place_of(event, self._pictures.folder))}")
        shown = inline(event, self._pictures.protocol)
        if shown is not None:
            self._console.print(shown)

    def _write(self, text: str) -> None:
        text = printable(text)
        if not text:
            return
        self._said.append(text)
        self._print_answer(self._stream.add(text))

    def _finish_answer(self) -> None:
        self._print_answer(self._stream.take_rest())

    def _print_answer(self, text: str) -> None:
        if not text.strip():
            return
        if self._above:
            self._console.print()
        self._console.print(rendered(text))
        self._above = "answer"

    def _print(self, line: str) -> None:
        if self._above == "answer" and self._log is self._console:
            self._console.print()
        self._log.print(Text(line, style=STYLES.get(line[:1], "dim")), soft_wrap=True)
        self._above = "event" if self._log is self._console else self._above

    def _print_plan(self) -> None:
        """The plan as it is now, unless it stands there already."""
        if self._plan is None or self._plan == self._shown_plan:
            return
        self._shown_plan = self._plan
        self._log.print(_plan_text(self._plan), soft_wrap=True)
        self._above = "event" if self._log is self._console else self._above

    def _print_sources(self) -> None:
        if not self._sources:
            return
        self._print("Sources")
        for number, event in enumerate(self._sources.values(), start=1):
            title = " ".join(event["title"].split())
            address = printable(event["url"])
            self._print(f"  {number}. {f'{printable(title)} ' if title else ''}{address}")

    def _moving(self) -> RenderableType:
        """What is under way, as it is now: the thread that draws must not see it change."""
        rest = self._stream.rest
        growing: list[RenderableType] = [Text(""), _Growing(rest)] if rest.strip() else []
        shows_plan = self._plan is not None and self._plan != self._shown_plan
        parts: list[RenderableType] = [
            *growing,
            *(tool.__rich__() for tool in self._tools.values()),
            *([_plan_text(self._plan)] if self._plan is not None and shows_plan else []),
            self._parked or self._spinner,
        ]
        return _Tail(Group(*parts))


class _Growing:
    """Markdown that is parsed only when it is drawn, and only as much as has room."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, _: ConsoleOptions) -> RenderResult:
        width, height = console.size
        yield rendered(end_of(self._text, lines=2 * height, chars=2 * width * height))


class _Tail:
    """The last lines of something, as many as the terminal has."""

    def __init__(self, inner: RenderableType) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self._inner, options, pad=False)
        for line in lines[-max(1, console.size.height - 2) :]:
            yield from line
            yield Segment.line()


def _plan_text(plan: PlanEvent) -> Text:
    lines = [
        Text(
            printable(f"  {MARKS[step['status']]} {step['id']}. {step['goal']}"),
            style=STEP_STYLES[step["status"]],
        )
        for step in plan["steps"]
    ]
    return Text("\n").join(lines)


def _written_over(line: str) -> str:
    """What a terminal shows of a line that was begun again and again, as bars of progress are."""
    return printable(line.rstrip("\r").rpartition("\r")[2])


def _row(text: str, style: str) -> Text:
    """Lines that are cut at the terminal's width instead of wrapped."""
    return Text(printable(text), style=style, no_wrap=True, overflow="ellipsis")
