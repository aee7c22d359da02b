"""What the person types: one message after the other, some of several lines."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from prompt_toolkit import PromptSession
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from rich.console import Console
from rich.text import Text

PROMPT = "you> "
GOES_ON = "...> "
QUOTES = '"""'
LEAVE_HINT = "Ctrl-D or /quit leaves."
MENU_LINES = 6
MOST_HISTORY_BYTES = 1_000_000

Suggest = Callable[[str], Mapping[str, str]]
"""What may stand for the last word of a command line, all of which is given, and what it is."""


class Prompt(Protocol):
    """Where messages come from."""

    def read(self) -> str | None:
        """The next message that is not blank; None when the person leaves."""


class LinePrompt:
    """Plain lines, for terminals that can do no more; `\"\"\"` begins and ends several."""

    def __init__(self, beside: Console, read_line: Callable[[], str] = input) -> None:
        self._beside = beside
        self._read_line = read_line

    def read(self) -> str | None:
        """The next message that is not blank; None when the person leaves."""
        while True:
            try:
                text = self._message()
            except EOFError:
                self._beside.print()
                return None
            except KeyboardInterrupt:
                self._beside.print(Text(f"\n{LEAVE_HINT}", style="dim"))
                continue
            if text:
                return text

    def _message(self) -> str:
        text = self._ask(PROMPT)
        while is_open(text):
            text += f"\n{self._ask(GOES_ON)}"
        return unquoted(text)

    def _ask(self, prompt: str) -> str:
        self._beside.print(Text(prompt), end="", soft_wrap=True)
        self._beside.file.flush()
        return self._read_line()


class KeyPrompt:
    """A line editor with history and completion; Alt-Enter begins another line."""

    def __init__(self, history: Path, beside: Console, suggest: Suggest) -> None:
        self._beside = beside
        self._session: PromptSession[str] = PromptSession(
            FormattedText([("bold", PROMPT)]),
            history=_history(history),
            completer=_Commands(suggest),
            complete_while_typing=True,
            # The server may have to be asked, which takes its time
            complete_in_thread=True,
            reserve_space_for_menu=MENU_LINES,
            multiline=True,
            key_bindings=_keys(),
            prompt_continuation=FormattedText([("", GOES_ON)]),
        )

    def read(self) -> str | None:
        """The next message that is not blank; None when the person leaves."""
        while True:
            try:
                text = unquoted(self._session.prompt())
            except EOFError:
                return None
            except KeyboardInterrupt:
                self._beside.print(Text(LEAVE_HINT, style="dim"))
                continue
            if text:
                return text


def is_open(text: str) -> bool:
    """Whether it begins with three quotes that are not closed yet."""
    text = text.strip()
    return text.startswith(QUOTES) and not (len(text) >= 2 * len(QUOTES) and text.endswith(QUOTES))


def unquoted(text: str) -> str:
    """The message without the quotes around it and without space at its ends."""
    text = text.strip()
    if text.startswith(QUOTES) and not is_open(text):
        text = text.removeprefix(QUOTES).removesuffix(QUOTES)
    # Bytes that are no UTF-8 come in as halves of characters, which nobody could send on
    return text.strip().encode("utf-8", "replace").decode("utf-8")


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _send(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state and buffer.complete_state.current_completion:
            buffer.complete_state = None
        elif is_open(buffer.text):
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _another_line(event: KeyPressEvent) -> None:
        _insert_line(event.current_buffer)

    return keys


def _insert_line(buffer: Buffer) -> None:
    buffer.insert_text("\n")


def _history(file: Path) -> History:
    """Kept in a file that only its owner reads; where none can be had, for this conversation."""
    try:
        file.touch(mode=0o600, exist_ok=True)
        _shorten(file)
        with file.open("ab"):
            pass
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(file))


def _shorten(file: Path) -> None:
    """Drop the older half once there is more than anybody searches through. Raises OSError."""
    kept = file.read_bytes()
    if len(kept) > MOST_HISTORY_BYTES:
        newer = kept[-MOST_HISTORY_BYTES // 2 :]
        # Each entry begins with the time of its own; what was typed stands behind plus signs
        file.write_bytes(newer[max(0, newer.find(b"\n# ")) :])


class _Commands(Completer):
    """Completes lines that begin with a slash, and nothing else."""

    def __init__(self, suggest: Suggest) -> None:
        self._suggest = suggest

    def get_completions(self, document: Document, _: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        return self._completions(text) if text.startswith("/") and "\n" not in text else ()

    def _completions(self, text: str) -> Iterator[Completion]:
        word = text.rpartition(" ")[2]
        for known, meaning in self._suggest(text).items():
            if known.startswith(word):
                yield Completion(known, start_position=-len(word), display_meta=meaning)
