"""A run's time is its nodes' work, without what they wait."""

from typing import Any

import pytest
from langgraph.runtime import Runtime

from graph.state import NOTHING_USED, Context
from nodes import clock


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    times = [100.0]
    monkeypatch.setattr(clock, "_now_s", lambda: times[0])
    return times


async def test_waiting_is_no_work(now: list[float]) -> None:
    async def node(state: Any, runtime: Runtime[Context]) -> dict[str, object]:
        now[0] += 10
        clock.note_pause(7)
        return {"verdict": state["verdict"]}

    update = await clock.timed(node)({"verdict": "accept"}, Runtime(context=Context()))
    assert update == {
        "verdict": "accept",
        "elapsed": {"began": 100.0, "ended": 110.0, "seconds": 3.0},
    }


async def test_the_first_node_begins_the_account(now: list[float]) -> None:
    async def node(state: Any, runtime: Runtime[Context]) -> dict[str, object]:
        now[0] += 2
        return {"usage": {**NOTHING_USED, "calls": 1, "restart": True}}

    context = Context(max_calls=5, max_seconds=60)
    update: Any = await clock.timed(node, begins=True)({}, Runtime(context=context))
    assert update["elapsed"]["restart"]
    assert (update["left"]["calls"], update["left"]["seconds"]) == (4, 58.0)
