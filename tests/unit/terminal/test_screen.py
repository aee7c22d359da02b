"""What a turn looks like on the terminal."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from potluck.events import Event
from potluck.server.turn import Happened, Parked, Part, Piece, Values
from potluck.terminal.countdown import Countdown
from potluck.terminal.screen import Screen, lines_of


def said(text: str, message_id: str = "m1") -> Piece:
    message = {"type": "AIMessageChunk", "id": message_id, "content": text}
    return Piece(message, node="triage", for_user=True)


def happened(**event: Any) -> Happened:
    return Happened(event)  # type: ignore[arg-type]


STEP = happened(type="step", node="triage", text="Reading the request")


def shown(*parts: Part) -> tuple[str, str]:
    """Standard output, and what is beside it."""
    out, beside = io.StringIO(), io.StringIO()
    screen = Screen(Console(file=out, width=20), Console(file=beside, width=20))
    for part in parts:
        screen.show(part)
    screen.end()
    return out.getvalue(), beside.getvalue()


def test_only_the_answer_goes_to_standard_output() -> None:
    out, beside = shown(STEP, said("It is "), said("42."))
    assert out == "It is 42.\n"
    assert beside == "· Reading the request\n"


def test_long_lines_are_left_to_the_terminal_to_wrap() -> None:
    text = "a fairly long answer that is wider than the terminal is"
    assert shown(said(text))[0] == f"{text}\n"


def test_what_is_piped_on_keeps_its_tabs() -> None:
    assert shown(said("all:\n\t"), said("cc\tx.c\n"))[0] == "all:\n\tcc\tx.c\n"


def test_half_a_character_does_not_cost_the_answer() -> None:
    assert shown(said("a\ud83d\udc4db"), said("c\udc80"))[0] == "abc\n"


def test_brackets_are_text_and_no_markup() -> None:
    assert shown(said("[bold]x[/bold] :smile:"))[0] == "[bold]x[/bold] :smile:\n"


def test_an_event_in_the_middle_of_a_line_begins_a_new_one() -> None:
    out, _ = shown(said("Let me look."), STEP, said("Found.", "m2"))
    assert out == "Let me look.\n\nFound.\n"


def test_an_answer_that_was_not_streamed_is_shown_at_the_end() -> None:
    messages = [{"type": "human", "content": "hi"}, {"type": "ai", "id": "m", "content": "Why?"}]
    assert shown(Values({"messages": messages}))[0] == "Why?\n"


def test_control_sequences_of_models_and_tools_do_not_reach_the_terminal() -> None:
    event = happened(type="tool_result", id="1", name="cat", ok=True, text="a\x1b[31mred\x07")
    out, beside = shown(event, said("x\x1b]0;title\x07y\r\nz"))
    assert "\x1b" not in out + beside
    assert "\x07" not in out + beside
    assert out == "x]0;titley\nz\n"


def lines(**event: Any) -> list[str]:
    typed: Event = event  # type: ignore[assignment]
    return lines_of(typed)


def test_a_plan_shows_every_step_with_its_status() -> None:
    steps = [
        {"id": 1, "goal": "Look", "status": "done"},
        {"id": 2, "goal": "Write", "status": "doing"},
        {"id": 3, "goal": "Check", "status": "todo"},
        {"id": 4, "goal": "Send", "status": "failed"},
    ]
    assert lines(type="plan", steps=steps) == [
        "  ● 1. Look",
        "  ◐ 2. Write",
        "  ○ 3. Check",
        "  ✗ 4. Send",
    ]


def test_tool_calls_and_results_are_cut_to_what_a_person_reads() -> None:
    (call,) = lines(type="tool_call", id="1", name="write_file", args={"text": "x" * 500})
    assert call.startswith("→ write_file(text='xxx")
    assert len(call) == 160
    text = "\n".join(map(str, range(10)))
    result = lines(type="tool_result", id="1", name="f", ok=True, text=text)
    assert result == ["← 0", "  1", "  2", "  3", "  4", "  5", "  … 4 more lines"]
    assert lines(type="tool_result", id="1", name="f", ok=False, text="no file") == ["✗ no file"]
    assert lines(type="tool_result", id="1", name="f", ok=True, text="") == ["← (nothing)"]


def test_output_of_a_running_tool_is_shown_cut_and_without_control_characters() -> None:
    text = "one\x1b[31m\n" + "\n".join(["x" * 500] * 20)
    shown_lines = lines(type="tool_output", id="1", name="shell", text=text)
    assert shown_lines[0] == "  one[31m"
    assert len(shown_lines) == 6
    assert all(len(line) <= 162 for line in shown_lines)


def test_pages_and_pictures_are_named_so_that_they_can_be_opened() -> None:
    url = f"https://example.com/{'x' * 200}"
    (page,) = lines(type="source", id="1", url=url, title="On\ntea", text="leaves")
    assert page == f"  ↗ On tea {url}"
    (untitled,) = lines(type="source", id="1", url="https://e.com", title="", text="")
    assert untitled == "  ↗ https://e.com"
    picture = {"type": "picture", "id": "1", "mime_type": "image/png", "base64": "cG5n"}
    assert lines(**picture, path="images/a.png") == ["  ▣ picture: images/a.png"]
    assert lines(**picture, path="") == ["  ▣ picture: image/png"]


def test_failover_and_verdict_say_why() -> None:
    (failover,) = lines(type="failover", failed="groq/x", reason="day quota spent")
    assert "groq/x" in failover
    assert "day quota spent" in failover
    (verdict,) = lines(type="verdict", verdict="retry", reason="step 2 is empty")
    assert "retry" in verdict
    assert "step 2 is empty" in verdict


def test_what_waits_for_a_person_and_what_they_decided_are_told() -> None:
    call = {"id": "1", "name": "shell", "args": {"command": "make"}}
    assert lines(type="approval_asked", reason="It asks.", **call) == [
        "? shell waits for your decision"
    ]
    decided = {"type": "approval_decided", **call}
    assert lines(decision="approve", message="", **decided) == ["= shell: approved"]
    assert lines(decision="reject", message="not\nnow", **decided) == ["= shell: rejected: not now"]


def test_what_may_be_spent_is_told_once_nothing_is_left() -> None:
    left = {"type": "budget", "calls": 3, "tokens": 900, "seconds": 60.0, "tool_calls": 9}
    assert lines(**left) == []
    assert lines(**{**left, "seconds": -2.5}) == ["! What this run may spend is used up"]


def test_a_wait_in_place_says_for_whom() -> None:
    told = lines(type="waiting", until="", reason="No room: groq/x.", waiting_for=["groq/x"])
    assert told == ["! No room: groq/x."]


def test_where_the_answer_begins_and_ends_needs_no_line() -> None:
    assert lines(type="answer_begun", id="m") == []
    assert lines(type="answer_ended", id="m", is_final=True, model="groq/x") == []


def test_a_wait_for_quota_is_told_beside_the_answer() -> None:
    event = happened(type="parked", resume_at="", reason="All is spent.", waiting_for=[])
    resume_at = datetime.now(UTC) + timedelta(seconds=130)
    out, beside = shown(said("Half"), event, Parked(resume_at, "spent"), said(" and half"))
    assert out == "Half\n and half\n"
    assert "! All is spent.\n" in beside
    assert f"goes on at {resume_at.astimezone():%H:%M:%S}, in 02:" in beside
    assert "Ctrl-C leaves" in beside


def test_it_waits_until_the_next_part_comes() -> None:
    screen = Screen(Console(file=io.StringIO()), Console(file=io.StringIO()))
    screen.show(Parked(datetime.now(UTC), "spent"))
    assert screen.is_waiting
    screen.show(STEP)
    assert not screen.is_waiting


@pytest.mark.parametrize(("in_s", "told"), [(-3, "in 00:00"), (59, "in 00:59"), (3661, "1:01:01")])
def test_counts_down_on_a_terminal(in_s: int, told: str) -> None:
    now = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    file = io.StringIO()
    countdown = Countdown(Console(file=file, force_terminal=True, width=100), clock=lambda: now)
    countdown.start(now + timedelta(seconds=in_s))
    countdown.stop()
    assert told in file.getvalue()
