"""Asking the person at the terminal about each tool call that waits for approval."""

import json
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from potluck.server.approvals import Approval, Resume, approved, edited, rejected, shown
from potluck.terminal.keyboard import forget_typed
from potluck.terminal.screen import printable

QUESTION = "[y]es, [n]o, [e]dit, [s]ame from now on> "
NEW_ARGUMENTS = "arguments as JSON (Enter: leave them)> "
REASON = "what shall be done instead (Enter: nothing)> "


def show_all(approvals: Sequence[Approval], beside: Console) -> None:
    """Every call that waits."""
    for number, one in enumerate(approvals, start=1):
        show(one, beside, (number, len(approvals)))


def show(approval: Approval, beside: Console, place: tuple[int, int]) -> None:
    """One call, which of how many it is: the tool, its arguments, and why a person is asked."""
    number, count = place
    counted = f" ({number} of {count})" if count > 1 else ""
    heading = f"? {approval.name}{counted}: {approval.description}"
    beside.print(Text(printable(heading), style="bold yellow"), soft_wrap=True)
    for line in shown(approval.args).split("\n") if approval.args else ():
        beside.print(Text(f"    {line}"), soft_wrap=True)


def _kind(approval: Approval) -> tuple[str, str]:
    """What calls share that one answer may hold for: the tool, and why a person is asked."""
    return approval.name, approval.description


class Interview:
    """Shows every call that waits and takes down what is decided; `editor` is for arguments.

    Calls of a tool that are asked about for the same reason can be approved for as long as this
    lasts.
    """

    def __init__(
        self, beside: Console, *, editor: str | None = None, read: Callable[[], str] = input
    ) -> None:
        self._beside = beside
        self._editor = editor
        self._read = read
        self._always: set[tuple[str, str]] = set()

    def forget(self) -> None:
        """From now on, ask about everything again."""
        self._always.clear()

    def decide(self, approvals: Sequence[Approval]) -> Resume | None:
        """The answers to all of them; None when the person leaves without having decided."""
        answers: dict[str, object] = {}
        forget_typed()
        try:
            for number, one in enumerate(approvals, start=1):
                show(one, self._beside, (number, len(approvals)))
                answers[one.id] = self._known(one) or self._decide(one)
        except (EOFError, KeyboardInterrupt):
            self._say("")
            return None
        return answers

    def _known(self, approval: Approval) -> object:
        """The answer that was given for all such calls, None when there is none."""
        if _kind(approval) not in self._always:
            return None
        self._say("Approved, as you said for all of its kind.", style="dim")
        return approved()

    def _decide(self, approval: Approval) -> object:
        while True:
            match self._ask(QUESTION).lower():
                case "a" | "approve" | "y" | "yes":
                    return approved()
                case "r" | "reject" | "n" | "no":
                    return rejected(self._ask(REASON))
                case "e" | "edit":
                    args = self._edit(approval.args)
                    if args is not None:
                        return edited(approval.name, args)
                case "s" | "same" | "always":
                    self._always.add(_kind(approval))
                    told = f"Until you leave this thread, `{approval.name}` runs unasked where"
                    self._say(printable(f"{told} the reason is the same."), style="dim")
                    return approved()
                case _:
                    self._say("Type y, n, e or s; Ctrl-D leaves it waiting.", style="dim")

    def _edit(self, args: Mapping[str, object]) -> Mapping[str, object] | None:
        """The arguments as the person wants them; None when they stay as they are."""
        before = json.dumps(dict(args), ensure_ascii=False, indent=2 if self._editor else None)
        if self._editor:
            text = self._in_editor(self._editor, before)
        else:
            self._say(before)
            text = self._ask(NEW_ARGUMENTS)
        if not text or text.strip() == before:
            self._say("Nothing was changed.", style="dim")
            return None
        try:
            after = json.loads(text)
        except ValueError as error:
            self._say(f"That is no JSON: {error}. Nothing was changed.", style="red")
            return None
        if not isinstance(after, dict):
            self._say('It must be a JSON object: {"name": value}.', style="red")
            return None
        return after

    def _in_editor(self, editor: str, text: str) -> str:
        """The text as the person leaves it in the editor; empty when that could not be had."""
        with tempfile.TemporaryDirectory(prefix="potluck-") as folder:
            file = Path(folder) / "arguments.json"
            file.write_text(text + "\n", encoding="utf-8")
            try:
                subprocess.run([*shlex.split(editor), str(file)], check=True)  # noqa: S603 - the user's own editor
                return file.read_text(encoding="utf-8")
            except (OSError, ValueError, subprocess.CalledProcessError) as error:
                self._say(f"The editor {editor!r} did not work: {error}", style="red")
                return ""

    def _ask(self, prompt: str) -> str:
        # Beside the answer, which may go into a file.
        self._beside.print(Text(prompt), end="", soft_wrap=True)
        self._beside.file.flush()
        return self._read().strip()

    def _say(self, text: str, style: str = "") -> None:
        self._beside.print(Text(text, style=style), soft_wrap=True)
