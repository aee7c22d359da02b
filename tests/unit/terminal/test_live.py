"""A turn on a real terminal's screen: what stands, what moves, and what is left at the end."""

import base64
import io
import re
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyte
import pytest
from rich.console import Console

from potluck.server.turn import Happened, Parked, Part, Piece, Values
from potluck.terminal import live, markdown
from potluck.terminal.live import LiveScreen, Pictures

COLUMNS, LINES = 60, 16


def said(text: str, message_id: str = "m1") -> Piece:
    message = {"type": "AIMessageChunk", "id": message_id, "content": text}
    return Piece(message, node="triage", for_user=True)


def happened(kind: str, **event: Any) -> Happened:
    return Happened({"type": kind, **event})  # type: ignore[arg-type, misc]


def plan(*statuses: str) -> Happened:
    steps = [
        {"id": number, "goal": f"Step {number}", "status": status}
        for number, status in enumerate(statuses, start=1)
    ]
    return happened("plan", steps=steps)


CALL = happened("tool_call", id="1", name="shell", args={"command": "make"})
RESULT = happened("tool_result", id="1", name="shell", ok=True, text="built")
BEGUN = happened("answer_begun", id="m1")


class Monitor:
    """A terminal, and what a person sees on it."""

    def __init__(self, columns: int = COLUMNS, lines: int = LINES, **screen: Any) -> None:
        self.file = io.StringIO()
        self.console = Console(
            file=self.file, force_terminal=True, width=columns, height=lines, highlight=False
        )
        self.columns = columns
        self.screen = LiveScreen(self.console, **screen)

    def show(self, *parts: Part) -> "Monitor":
        for part in parts:
            self.screen.show(part)
        self.screen._live.refresh()
        return self

    def end(self) -> list[str]:
        self.screen.end()
        return self.seen()

    def seen(self) -> list[str]:
        """Its lines from the top, also those that have scrolled away."""
        picture = pyte.Screen(self.columns, 300)
        # As a terminal does that is told to end a line
        text = re.sub(r"\x1b(_G.*?\x1b\\|\]1337.*?\x07)", "", self.file.getvalue(), flags=re.DOTALL)
        pyte.Stream(picture).feed(text.replace("\n", "\r\n"))
        return "\n".join(line.rstrip() for line in picture.display).rstrip().split("\n")


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    made = Monitor()
    yield made
    made.screen._live.stop()


def test_an_answer_ends_as_formatted_text_and_nothing_else(monitor: Monitor) -> None:
    monitor.show(happened("step", node="triage", text="Reading"), said("It is **4"), said("2**."))
    assert "Reading" in monitor.seen()[-1]
    assert monitor.end() == ["It is 42."]
    assert monitor.screen.said == "It is **42**."


def test_an_answer_is_seen_while_it_is_written(monitor: Monitor) -> None:
    monitor.show(said("One.\n\nTw"))
    assert "One." in "\n".join(monitor.seen())
    assert "Tw" in "\n".join(monitor.seen())
    monitor.show(said("o.\n\nThr"), said("ee."))
    assert monitor.end() == ["One.", "", "Two.", "", "Three."]


def test_a_tool_shows_the_last_of_its_output_while_it_runs(monitor: Monitor) -> None:
    monitor.show(CALL)
    for number in range(9):
        monitor.show(happened("tool_output", id="1", name="shell", text=f"line {number}\npart"))
    seen = monitor.seen()
    assert seen[0].startswith("→ shell(command='make')")
    assert "  partline 8" in seen
    assert "line 0" not in "\n".join(seen)
    monitor.show(RESULT)
    assert monitor.end() == ["→ shell(command='make')", "← built"]


def test_a_bar_of_progress_shows_as_it_is_now(monitor: Monitor) -> None:
    monitor.show(CALL)
    for text in ("10%", "\r55%\r", "90%"):
        monitor.show(happened("tool_output", id="1", name="shell", text=text))
    assert "  90%" in monitor.seen()
    monitor.show(happened("tool_output", id="1", name="shell", text="\r100%\r\ndone\r\n"))
    assert monitor.seen()[1:3] == ["  100%", "  done"]


def test_calls_side_by_side_stand_above_their_own_results(monitor: Monitor) -> None:
    other = happened("tool_call", id="2", name="read_file", args={"path": "a"})
    read = happened("tool_result", id="2", name="read_file", ok=False, text="no file")
    monitor.show(CALL, other, read, RESULT)
    assert monitor.end() == [
        "→ read_file(path='a')", "✗ no file", "→ shell(command='make')", "← built",
    ]  # fmt: skip


def test_a_plan_moves_and_stands_once_with_how_it_ended(monitor: Monitor) -> None:
    monitor.show(plan("doing", "todo"))
    assert monitor.seen()[:2] == ["  ◐ 1. Step 1", "  ○ 2. Step 2"]
    monitor.show(plan("done", "doing"), plan("done", "done"), BEGUN, said("Done."))
    assert monitor.end() == ["  ● 1. Step 1", "  ● 2. Step 2", "", "Done."]


def test_a_plan_that_is_told_after_the_first_word_does_not_break_the_answer(
    monitor: Monitor,
) -> None:
    monitor.show(plan("done"), said("It"), BEGUN, said(" is 42."))
    assert monitor.end() == ["  ● 1. Step 1", "", "It is 42."]


def test_what_is_cut_leaves_what_was_there_and_nothing_that_moves(monitor: Monitor) -> None:
    monitor.show(
        plan("doing"), said("Let me lo"), happened("answer_ended", id="m1", is_final=False), CALL
    )
    assert monitor.end() == [
        "Let me lo", "", "→ shell(command='make'): not finished", "  ◐ 1. Step 1",
    ]  # fmt: skip
    assert monitor.file.getvalue().count("\x1b[?25l") == monitor.file.getvalue().count("\x1b[?25h")


def test_a_failover_in_the_middle_of_code_does_not_break_it(monitor: Monitor) -> None:
    failover = happened("failover", failed="a/b", reason="over capacity")
    monitor.show(said("```python\nx = 1\n"), failover, said("# no heading\n```\n"))
    seen = [line.strip() for line in monitor.end() if line.strip()]
    assert seen == ["! a/b failed (over capacity); asking the next one", "x = 1", "# no heading"]


def test_a_long_answer_shows_its_end_and_then_all_of_it(monitor: Monitor) -> None:
    lines = [f"line {number}" for number in range(60)]
    code = "\n".join(["```", *lines])
    monitor.show(said(code))
    assert "line 59" in "\n".join(monitor.seen())
    assert "line 0\n" not in "\n".join(monitor.seen())
    monitor.show(said("\n```\n"))
    assert [line.strip() for line in monitor.end() if line.strip()] == lines


@pytest.mark.parametrize("text", ["1. item\n" * 5_000, "word " * 20_000])
def test_of_what_is_long_only_what_has_room_is_drawn(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    drawn: list[int] = []
    monkeypatch.setattr(
        live, "rendered", lambda shown: drawn.append(len(shown)) or markdown.rendered(shown)
    )
    monitor.show(said(text))
    assert max(drawn) <= 2 * COLUMNS * LINES


def test_sources_are_listed_once_below_the_answer_with_whole_addresses(monitor: Monitor) -> None:
    url = f"https://example.com/{'x' * 90}"
    page = happened("source", id="1", url=url, title="On\ntea", text="")
    bare = happened("source", id="1", url="https://e.com", title="", text="")
    monitor.show(page, page, bare, said("Green."))
    seen = monitor.end()
    assert seen[:4] == ["Green.", "", "Sources", f"  1. On tea {url}"[:COLUMNS]]
    assert "".join(seen[3:]).endswith("  2. https://e.com")


def test_control_characters_do_not_reach_the_terminal(monitor: Monitor) -> None:
    evil = "\x1b]0;title\x07\x1b[2J\x9b31m"
    monitor.show(
        happened("step", node="n", text=f"s{evil}"),
        CALL,
        happened("tool_output", id="1", name="shell", text=f"o{evil}\n"),
        happened("tool_result", id="1", name="shell", ok=True, text=f"r{evil}"),
        happened("source", id="1", url=f"https://e.com/{evil}", title=evil, text=""),
        said(f"a{evil}"),
    )
    monitor.end()
    for sequence in ("\x1b]0", "\x07", "\x1b[2J", "\x9b"):
        assert sequence not in monitor.file.getvalue()


def test_a_parked_run_counts_down_until_the_next_part(monitor: Monitor) -> None:
    monitor.show(Parked(datetime.now(UTC) + timedelta(seconds=130), "spent"))
    assert monitor.screen.is_waiting
    assert re.search(r"in 02:\d\d", " ".join(monitor.seen()))
    monitor.show(said("Back."))
    assert not monitor.screen.is_waiting
    assert monitor.end() == ["Back."]


def test_an_answer_that_was_not_streamed_is_shown_at_the_end(monitor: Monitor) -> None:
    monitor.show(Values({"messages": [{"type": "ai", "id": "m", "content": "*Why?*"}]}))
    assert monitor.end() == ["Why?"]


@pytest.mark.parametrize("columns", [8, 20, 200])
def test_every_width_does(columns: int) -> None:
    monitor = Monitor(columns)
    monitor.show(plan("doing", "todo"), CALL, said("a word and another " * 5), RESULT)
    seen = monitor.end()
    assert "".join(seen).count("another") == 5 or columns < 20
    assert not any("⠋" in line for line in seen)


def png(width: int) -> str:
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, 10)
    return base64.b64encode(header + bytes(6000)).decode()


def picture(path: str = "images/plot.png", data: str = "") -> Happened:
    data = data or png(100)
    return happened("picture", id="1", path=path, mime_type="image/png", base64=data)


def test_a_picture_is_named_with_the_path_at_which_it_can_be_opened(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "plot.png").write_bytes(b"")
    monitor = Monitor(200, pictures=Pictures(tmp_path))
    monitor.show(picture(), picture("gone.png"), picture("../../etc/passwd"))
    assert monitor.end() == [
        f"  ▣ picture: {tmp_path}/images/plot.png",
        "  ▣ picture: gone.png",
        "  ▣ picture: ../../etc/passwd",
    ]


def test_kitty_shows_a_picture_in_chunks_no_wider_than_the_terminal() -> None:
    monitor = Monitor(40, pictures=Pictures(None, "kitty"))
    monitor.show(picture(data=png(100)), picture(data=png(10_000)))
    monitor.end()
    sent = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", monitor.file.getvalue())
    firsts = [keys for keys, _ in sent if "a=T" in keys]
    assert [re.search(r"c=(\d+)", keys)[1] for keys in firsts] == ["10", "40"]  # type: ignore[index]
    assert sent[-1][0] == "m=0"
    assert all(len(data) <= 4096 for _, data in sent)
    half = len(sent) // 2
    assert "".join(data for _, data in sent[:half]) == png(100)


def test_iterm_shows_a_picture() -> None:
    monitor = Monitor(40, pictures=Pictures(None, "iterm"))
    monitor.show(picture())
    monitor.end()
    assert f":{png(100)}\x07" in monitor.file.getvalue()


@pytest.mark.parametrize(
    "data", ["cG5n\x07\x1b[2J", "no base64", base64.b64encode(b"GIF").decode()]
)
def test_what_is_no_png_is_only_named(data: str) -> None:
    monitor = Monitor(40, pictures=Pictures(None, "kitty"))
    monitor.show(picture(data=data))
    assert monitor.end() == ["  ▣ picture: images/plot.png"]
    assert "\x1b_G" not in monitor.file.getvalue()


def test_where_all_else_goes_into_a_file_the_terminal_has_only_the_answer() -> None:
    file = io.StringIO()
    monitor = Monitor(beside=Console(file=file, width=40))
    monitor.show(plan("done"), CALL, RESULT, said("Done."))
    assert monitor.end() == ["Done."]
    assert "← built\n" in file.getvalue()
    assert "● 1. Step 1" in file.getvalue()
