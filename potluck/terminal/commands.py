"""What is typed with a slash before it: said to the terminal, not to the agent."""

import difflib
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from langgraph_sdk.client import LangGraphClient
from rich.table import Table
from rich.text import Text

from potluck.errors import PotluckError
from potluck.server.turn import run_errors, text_of
from potluck.terminal import clipboard, offered, threads
from potluck.terminal.conversation import Conversation, Terminal
from potluck.terminal.notes import notes_of
from potluck.terminal.screen import printable
from potluck.terminal.usage import report_of_server
from potluck.terminal.usage_rows import NOW, span
from potluck.terminal.usage_table import print_usage

LEAVE = frozenset({"/exit", "/quit", "/q", "exit", "quit"})
DEFAULT_MODEL = "default"


class Leave(Exception):  # noqa: N818 - it is no error
    """The person wants to leave."""


@dataclass(frozen=True, slots=True)
class _Command:
    """A command: what follows its name (empty: nothing), what it does."""

    argument: str
    help: str
    run: Callable[[str], None]


class Commands:
    """The commands of a conversation."""

    def __init__(self, conversation: Conversation, terminal: Terminal) -> None:
        self._conversation = conversation
        self._terminal = terminal
        self._listed: Sequence[threads.ThreadLine] = ()
        self._models: Sequence[str] = ()
        self._known: Mapping[str, _Command] = {
            "/help": _Command("", "this list", self._help),
            "/new": _Command("", "begin a new thread", self._new),
            "/threads": _Command("", "the threads that were used last", self._threads),
            "/thread": _Command("ID", "go on with one: its number, id or name", self._thread),
            "/model": _Command("X", "ask this model first; `default`: none", self._model),
            "/usage": _Command("", "quota left", self._usage),
            "/notes": _Command("", "what the agent keeps about you", self._notes),
            "/copy": _Command("", "the last answer to the clipboard", self._copy),
            "/save": _Command("FILE", "this thread as Markdown", self._save),
            "/quit": _Command("", "leave; so does Ctrl-D", self._quit),
        }

    def takes(self, line: str) -> bool:
        """Whether this is a command and no message."""
        return line.startswith("/") or line in LEAVE

    def run(self, line: str) -> None:
        """Do what it says. Raises Leave, PotluckError."""
        name, _, rest = line.partition(" ")
        command = self._known.get("/quit" if name in LEAVE else name)
        if command is None:
            near = difflib.get_close_matches(name, self._known, 1)
            raise PotluckError(
                f"There is no command {name}.",
                fix=f"{f'Do you mean {near[0]}? ' if near else ''}/help lists them; "
                "put a space before it to say it to the agent.",
            )
        command.run(rest.strip())

    def suggest(self, text: str) -> Mapping[str, str]:
        """What may stand for the last word of this line, each with what it is."""
        name, has_argument, _ = text.partition(" ")
        if not has_argument:
            return {name: command.help for name, command in self._known.items()}
        # While the server does not answer there is nothing to suggest
        with suppress(PotluckError):
            if name == "/thread":
                self._listed = self._listed or self._conversation.use(threads.recent)
                return {line.id: line.title for line in self._listed}
            if name == "/model":
                self._models = self._models or self._offered()
                return dict.fromkeys([DEFAULT_MODEL, *self._models], "")
        return {}

    def _offered(self) -> Sequence[str]:
        return offered.offered_models(self._conversation.running)

    def _help(self, _: str) -> None:
        table = Table(box=None, pad_edge=False, show_header=False)
        for name, command in self._known.items():
            table.add_row(f"{name} {command.argument}".strip(), Text(command.help, style="dim"))
        for keys, does in _KEYS.items():
            table.add_row(keys, Text(does, style="dim"))
        self._terminal.beside.print(table)

    def _new(self, _: str) -> None:
        self._conversation.switch(str(uuid.uuid4()))
        self._terminal.say("A new thread.")

    def _threads(self, _: str) -> None:
        self._listed = self._conversation.use(threads.recent)
        if not self._listed:
            self._terminal.say("There is no thread yet.")
            return
        now = datetime.now(UTC)
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("", "thread", "used", "about"):
            table.add_column(name, no_wrap=True, overflow="ellipsis")
        for number, line in enumerate(self._listed, start=1):
            is_here = line.id == self._conversation.thread_id
            about = f"[{line.status}] {line.title}" if line.status in _TOLD else line.title
            table.add_row(
                str(number),
                Text(line.id[: threads.ID_CHARS], style="bold" if is_here else ""),
                _ago(now - line.updated_at),
                Text(printable(about)),
            )
        self._terminal.beside.print(table)
        self._terminal.say("/thread NUMBER goes on with one.")

    def _thread(self, name: str) -> None:
        if not name:
            self._terminal.say(self._conversation.thread_id)
            return
        if not self._listed:
            self._listed = self._conversation.use(threads.recent)
        owner = self._conversation.running.owner
        self._conversation.switch(threads.meant(name, self._listed, owner))
        if not self._conversation.catch_up():
            self._terminal.say(f"A new thread, called {printable(name)}.")

    def _model(self, name: str) -> None:
        if not name:
            self._models = self._offered()
            asked = self._conversation.model or "whichever fits best"
            self._terminal.say(f"Asked first: {asked}. There are: {', '.join(self._models)}")
            return
        if name == DEFAULT_MODEL:
            self._conversation.model = None
            self._terminal.say("Whichever model fits best is asked first.")
            return
        self._models = self._offered()
        self._conversation.model = offered.chosen(name, self._models)
        self._terminal.say(f"{self._conversation.model} is asked first from now on.")

    def _usage(self, _: str) -> None:
        print_usage(report_of_server(self._conversation.running), self._terminal.beside)

    def _notes(self, _: str) -> None:
        kept = notes_of(self._conversation.running)
        for note in kept:
            self._terminal.say(printable(f"{note.id}  {note.text}"), "")
        if not kept:
            self._terminal.say('Nothing is noted. Say: "Remember that ..."')

    def _copy(self, _: str) -> None:
        if not self._conversation.said:
            raise PotluckError("There is no answer yet.", fix="Ask something first.")
        how = clipboard.copy(self._conversation.said)
        self._terminal.say(f"Copied {how}.")

    def _save(self, name: str) -> None:
        if not name:
            raise PotluckError("Where to?", fix="Say: /save talk.md")
        text = _as_markdown(self._conversation.use(self._messages))
        if not text:
            raise PotluckError("Nothing was said on this thread yet.", fix="Ask something first.")
        try:
            file = Path(name).expanduser()
            with file.open("x", encoding="utf-8", errors="replace") as out:
                out.write(text)
        except FileExistsError as error:
            raise PotluckError(f"{name} is there already.", fix="Choose another name.") from error
        except (OSError, RuntimeError, ValueError) as error:
            # The last two: of a home that nobody has, of a name that no file can have
            why = str(error.strerror if isinstance(error, OSError) else error).rstrip(".")
            raise PotluckError(
                f"{name} cannot be written: {why}.", fix="Choose another place."
            ) from error
        self._terminal.say(f"Saved in {file.resolve()}.")

    async def _messages(self, client: LangGraphClient) -> list[Mapping[str, Any]]:
        if not self._conversation.has_begun:
            return []
        with run_errors():
            state = await client.threads.get_state(self._conversation.thread_id)
        # Any: states are JSON of the LangGraph API
        values = cast("Mapping[str, Any]", state).get("values")
        return list(values.get("messages") or []) if isinstance(values, Mapping) else []

    def _quit(self, _: str) -> None:
        raise Leave


_KEYS = {
    "Alt-Enter": 'another line; or begin and end with """',
    "Ctrl-C": "stops an answer",
    "Ctrl-R": "searches what you have typed before",
}
# Of a thread that is just there nothing is said
_TOLD = frozenset({"busy", "interrupted", "error"})


def _ago(since: timedelta) -> str:
    """How long ago that is, in its largest unit."""
    told = span(since)
    return "just now" if told == NOW else f"{' '.join(told.split()[:2])} ago"


def _as_markdown(messages: Sequence[Mapping[str, Any]]) -> str:  # Any: JSON of the LangGraph API
    """What was said, by whom, under headings."""
    names = {"human": "You", "ai": "Potluck"}
    said = [
        f"## {names[message['type']]}\n\n{text}\n"
        for message in messages
        if message.get("type") in names and (text := text_of(message).strip())
    ]
    return "\n".join(said)
