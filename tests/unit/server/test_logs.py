"""Lines of the log: for people, or one JSON object each; without secrets."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from potluck import telemetry
from potluck.quota.calls import CallRecord
from potluck.server.logs import log_call
from potluck.settings import know_secret
from tests.collected import collected
from tests.unit.server.log_stage import logs_set_up

PLANTED = "planted5ecret-in-a-log"


@pytest.fixture
def begin() -> Iterator[Callable[..., None]]:
    """Set the logs up, until the test ends."""
    with ExitStack() as stack:

        def set_up(form: str = "json", level: str = "info") -> None:
            stack.enter_context(logs_set_up(form, level))

        yield set_up


def written(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def fail(text: str) -> None:
    raise ValueError(text)


Lines = Callable[[], list[str]]
Begin = Callable[..., None]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    """What was written so far."""
    return lambda: written(capsys)


def only(lines: Lines) -> dict[str, Any]:
    [line] = lines()
    told: dict[str, Any] = json.loads(line)
    return told


def test_a_line_says_when_where_what_and_of_which_run(begin: Begin, lines: Lines) -> None:
    begin()
    structlog.contextvars.bind_contextvars(request_id="req-1", run_id="r", thread_id="t")
    structlog.get_logger("potluck.x").info("something happened", provider="groq")
    told = only(lines)
    datetime.fromisoformat(told.pop("timestamp"))
    assert told == {
        "event": "something happened", "level": "info", "logger": "potluck.x",
        "request_id": "req-1", "run_id": "r", "thread_id": "t", "provider": "groq",
    }  # fmt: skip


def test_libraries_that_know_nothing_of_it_write_the_same_form(begin: Begin, lines: Lines) -> None:
    begin()
    structlog.contextvars.bind_contextvars(run_id="r")
    logging.getLogger("some.library").warning("%d things", 3, extra={"place": "here"})
    told = only(lines)
    assert (told["event"], told["level"], told["run_id"]) == ("3 things", "warning", "r")
    assert told["place"] == "here"


def test_a_traceback_stays_in_its_line(begin: Begin, lines: Lines) -> None:
    begin()
    try:
        fail("wrong")
    except ValueError:
        logging.getLogger("some.library").exception("failed")
    told = only(lines)
    assert told["exception"].startswith("Traceback")
    assert "ValueError: wrong" in told["exception"]


@pytest.mark.parametrize("form", ["json", "text"])
def test_secrets_are_in_no_line(begin: Begin, lines: Lines, form: str) -> None:
    begin(form)
    know_secret(PLANTED)
    structlog.get_logger("a").warning(f"with {PLANTED}", url=f"https://x:{PLANTED}@h/")
    try:
        fail(PLANTED)
    except ValueError:
        logging.getLogger("some.library").exception("failed with %s", PLANTED)
    everything = "\n".join(lines())
    assert "failed with [key]" in everything
    assert PLANTED not in everything


def test_people_get_lines_without_colours_where_no_terminal_is(begin: Begin, lines: Lines) -> None:
    begin("text")
    structlog.get_logger("potluck.x").warning("something happened", provider="groq")
    [line] = lines()
    assert "something happened" in line
    assert "provider=groq" in line
    assert "\x1b" not in line
    assert "{" not in line


def test_what_is_below_the_level_is_not_written(begin: Begin, lines: Lines) -> None:
    begin(level="warning")
    structlog.get_logger("potluck.x").info("quiet")
    logging.getLogger("some.library").info("quiet")
    # Aegra takes every 404 for a warning
    structlog.get_logger("app.access_logs").warning("GET /nothing 404")
    assert lines() == []


def test_a_worker_tells_the_request_that_its_run_came_with(begin: Begin, lines: Lines) -> None:
    begin()
    structlog.contextvars.bind_contextvars(original_request_id="req-1", graph_id="agent")
    structlog.get_logger("a").info("working")
    told = only(lines)
    assert told["request_id"] == "req-1"
    assert {"original_request_id", "graph_id"}.isdisjoint(told)


def test_a_line_of_a_trace_names_it(begin: Begin, lines: Lines) -> None:
    begin()
    with collected() as spans, telemetry.span("work"):
        structlog.get_logger("a").info("working")
    told = only(lines)
    assert told["trace_id"] == f"{spans.one('work').context.trace_id:032x}"  # type: ignore[union-attr]


def test_a_call_is_a_line_with_its_provider(begin: Begin, lines: Lines) -> None:
    begin()
    log_call(
        CallRecord(
            at=datetime.now(UTC), provider="groq", model="m", key_id="k", task_type="general",
            priority="batch", outcome="failed", input_tokens=3, duration_s=0.12345, error="day",
        )
    )  # fmt: skip
    told = only(lines)
    assert (told["provider"], told["model"], told["outcome"]) == ("groq", "m", "failed")
    assert (told["error"], told["duration_s"], told["input_tokens"]) == ("day", 0.123, 3)


def test_letters_of_all_languages_stay_readable(begin: Begin, lines: Lines) -> None:
    begin()
    structlog.get_logger("a").info("お茶", object=object())
    [line] = lines()
    assert "お茶" in line


HOSTILE = "a\nb\r\x1b[2Jc\x85d\u2028e\u202ef\ud800"
HARMLESS = "a\\u000ab\\u000d\\u001b[2Jc\\u0085d\\u2028e\\u202ef\\ud800"


def test_json_stays_one_line_whatever_was_said(begin: Begin, lines: Lines) -> None:
    begin()
    structlog.get_logger("a").info(HOSTILE, said=HOSTILE, many=[HOSTILE])
    logging.getLogger("some.library").warning("got %s", HOSTILE)
    ours, theirs = map(json.loads, lines())
    assert (ours["event"], ours["said"], ours["many"]) == (HOSTILE, HOSTILE, [HOSTILE])
    assert theirs["event"] == f"got {HOSTILE}"


def test_people_see_no_line_that_was_not_logged(begin: Begin, lines: Lines) -> None:
    begin("text")
    structlog.get_logger("a").info(HOSTILE, said=HOSTILE.replace("\n", ""), many=[HOSTILE])
    logging.getLogger("some.library").warning("got %s", HOSTILE)
    ours, theirs = lines()
    assert HARMLESS in ours
    assert f"got {HARMLESS}" in theirs
    assert "\x1b" not in ours + theirs


def test_what_an_exception_quotes_stands_under_its_line(begin: Begin, lines: Lines) -> None:
    begin("text")
    try:
        fail("wrong\n2026-11-21T00:00:00Z [info] forged \x1b[2J")
    except ValueError:
        logging.getLogger("some.library").exception("failed")
    first, second, *quoted = lines()
    assert "failed" in first
    assert second == "Traceback (most recent call last):"
    assert all(line.startswith("    ") for line in quoted)
    assert quoted[-1] == "    2026-11-21T00:00:00Z [info] forged \\u001b[2J"
