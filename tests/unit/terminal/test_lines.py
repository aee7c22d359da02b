"""Lines on narrow terminals and in pipes."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from potluck.terminal.facts import Fact, print_facts
from potluck.terminal.lines import print_line

TEXT = "█████░░░░░ 500/1,000 requests/day; CAN_INCREASE"


def console(width: int, *, is_terminal: bool) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    shown = Console(file=file, width=width, force_terminal=is_terminal, color_system=None)
    return shown, file


@pytest.mark.parametrize("text", [TEXT, Text(TEXT)])
def test_on_a_terminal_words_stay_whole_and_the_rest_is_indented(text: str | Text) -> None:
    shown, file = console(30, is_terminal=True)
    print_line(text, shown, indent=4)
    assert file.getvalue() == "    █████░░░░░ 500/1,000\n    requests/day; CAN_INCREASE\n"


def test_what_is_longer_than_the_terminal_is_not_cut_off() -> None:
    shown, file = console(20, is_terminal=True)
    print_line("x" * 50, shown, indent=2)
    assert file.getvalue().replace("\n", "").replace(" ", "") == "x" * 50


def test_in_a_pipe_a_line_is_a_line() -> None:
    shown, file = console(20, is_terminal=False)
    print_line(TEXT, shown, indent=2)
    assert file.getvalue() == f"  {TEXT}\n"


def test_facts_on_a_narrow_terminal_stand_below_their_names() -> None:
    shown, file = console(40, is_terminal=True)
    served = "simulated at http://127.0.0.1:44293: gemini-3.5-flash-lite"
    print_facts(
        [Fact("google_gemini", "bad", served, "Mend the key in .env, then look again.")], shown
    )
    assert file.getvalue().splitlines() == [
        "✗ google_gemini",
        "  simulated at http://127.0.0.1:44293:",
        "  gemini-3.5-flash-lite",
        "  Mend the key in .env, then look again.",
        "1 to be mended.",
    ]
