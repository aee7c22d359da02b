"""How a run's end is told."""

from typing import Any

import pytest

from potluck.server.openai.deltas import Called
from potluck.server.openai.finish import end_of, reason_in

CALLS = [
    {"name": "f", "args": {"x": "é"}, "id": "1", "type": "tool_call"},
    {"name": "g", "args": {}, "id": "2", "type": "tool_call"},
]


def ai(**more: Any) -> dict[str, Any]:
    return {"type": "ai", "content": "", **more}


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"finish_reason": "length"}, "length"),
        ({"finish_reason": "MAX_TOKENS"}, "length"),
        ({"done_reason": "length"}, "length"),
        ({"finish_reason": "SAFETY"}, "content_filter"),
        ({"finish_reason": "stop"}, None),
        ({}, None),
    ],
)
def test_reasons_in_openais_words(told: dict[str, str], reason: str | None) -> None:
    assert reason_in(told) == reason
    assert end_of([ai(response_metadata=told)]) == (reason or "stop", [])


def test_the_clients_calls_are_the_end() -> None:
    last = ai(tool_calls=CALLS, response_metadata={"for_client": True, "finish_reason": "stop"})
    assert end_of([{"type": "human"}, last]) == (
        "tool_calls",
        [Called(0, '{"x": "é"}', id="1", name="f"), Called(1, "{}", id="2", name="g")],
    )


@pytest.mark.parametrize(
    "thread", [[], [{"type": "human"}], [ai(tool_calls=CALLS)], [ai(), {"type": "tool"}]]
)
def test_our_own_calls_are_never_told(thread: list[Any]) -> None:
    assert end_of(thread) == ("stop", [])
