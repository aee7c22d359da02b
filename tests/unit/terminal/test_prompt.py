"""What is typed, with and without a terminal that can do more than lines."""

import io
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput
from rich.console import Console

from potluck.terminal.prompt import KeyPrompt, LinePrompt, _Commands, unquoted

Lines = Sequence[str | type[BaseException]]


def typed(lines: Lines) -> Callable[[], str]:
    left = list(lines)

    def read() -> str:
        line = left.pop(0) if left else EOFError
        if isinstance(line, str):
            return line
        raise line

    return read


def line_prompt(*lines: str | type[BaseException]) -> tuple[LinePrompt, io.StringIO]:
    beside = io.StringIO()
    return LinePrompt(Console(file=beside), typed(lines)), beside


def test_lines_come_one_by_one_until_the_end_and_blank_ones_are_no_message() -> None:
    prompt, _ = line_prompt("one", "  ", " two ")
    assert [prompt.read(), prompt.read(), prompt.read()] == ["one", "two", None]


def test_three_quotes_hold_several_lines() -> None:
    prompt, beside = line_prompt('"""one', "", '  two"""', '"""three"""')
    assert [prompt.read(), prompt.read()] == ["one\n\n  two", "three"]
    assert beside.getvalue().startswith("you> ...> ...> ")


def test_an_interrupt_at_the_prompt_says_how_to_leave_and_asks_again() -> None:
    prompt, beside = line_prompt(KeyboardInterrupt, "one")
    assert prompt.read() == "one"
    assert "/quit" in beside.getvalue()


KNOWN = {"/threads": "all", "/thread": "one"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"""', '"""'),
        ('""""""', ""),
        ('"""a', '"""a'),
        ('"quoted"', '"quoted"'),
        (" a ", "a"),
        ("a\udcff", "a?"),
    ],
)
def test_only_a_pair_of_three_quotes_is_taken_off(text: str, message: str) -> None:
    assert unquoted(text) == message


@pytest.fixture
def keys() -> Iterator[PipeInput]:
    with create_pipe_input() as made, create_app_session(input=made, output=DummyOutput()):
        yield made


def key_prompt(folder: Path) -> KeyPrompt:
    console = Console(file=io.StringIO())
    return KeyPrompt(folder / "chat_history", console, lambda _: KNOWN)


@pytest.mark.parametrize(
    ("pressed", "message"),
    [
        ("one\r", "one"),
        ("\r one \r", "one"),
        ("one\x1b\rtwo\r", "one\ntwo"),
        ('"""one\rtwo"""\r', "one\ntwo"),
        ("\x1b[200~one\ntwo\x1b[201~\r", "one\ntwo"),
        ("gone\x03one\r", "one"),
        ("\x04", None),
    ],
)
def test_keys_make_a_message(
    keys: PipeInput, tmp_path: Path, pressed: str, message: str | None
) -> None:
    keys.send_text(pressed)
    assert key_prompt(tmp_path).read() == message


def test_what_was_typed_is_there_the_next_time_for_its_owner_alone(
    keys: PipeInput, tmp_path: Path
) -> None:
    keys.send_text("first\x1b\rline\r")
    assert key_prompt(tmp_path).read() == "first\nline"
    assert stat.S_IMODE((tmp_path / "chat_history").stat().st_mode) == 0o600
    again = key_prompt(tmp_path)
    keys.send_text("\x1b[A\r")
    assert again.read() == "first\nline"


def test_of_a_very_long_history_the_older_half_goes(keys: PipeInput, tmp_path: Path) -> None:
    file = tmp_path / "chat_history"
    entries = [f"\n# 2026-11-21 12:00:00\n+message {number}\n+# x\n" for number in range(30_000)]
    file.write_text("".join(entries))
    prompt = key_prompt(tmp_path)
    assert file.stat().st_size <= 500_000
    assert file.read_text().startswith("\n# 2026")
    assert file.read_text().endswith(entries[-1])
    keys.send_text("\x1b[A\r")
    assert prompt.read() == "message 29999\n# x"


def test_without_a_place_for_the_history_it_works_all_the_same(
    keys: PipeInput, tmp_path: Path
) -> None:
    keys.send_text("one\r")
    assert key_prompt(tmp_path / "missing").read() == "one"


@pytest.mark.parametrize(
    ("text", "found"),
    [("/thre", ["/threads", "/thread"]), ("/x", []), ("thre", []), ("/thread\n/", [])],
)
def test_only_commands_are_completed(text: str, found: list[str]) -> None:
    completer = _Commands(lambda _: KNOWN)
    completions = completer.get_completions(Document(text), CompleteEvent())
    told = [(one.text, one.display_meta_text) for one in completions]
    assert told == [(one, KNOWN[one]) for one in found]
