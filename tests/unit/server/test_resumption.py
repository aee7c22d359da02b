"""Due runs go on once, in their order; busy threads are looked at again; nothing is doubled."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from langgraph_sdk.errors import (
    BadRequestError,
    ConflictError,
    NotFoundError,
    UnprocessableEntityError,
)

from potluck.quota.parked_run import ParkedRun
from potluck.quota.parking import ParkedRuns
from potluck.server.parked_threads import CANCELLED, Outcome, ParkedThreads
from potluck.server.resumption import LONGEST_SLEEP_S, Resumption

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PARKED = {"id": "p1", "value": {"type": "parked", "resume_at": "2026-11-21T12:00:00+00:00"}}
APPROVAL = {"id": "a1", "value": {"action_requests": []}}


def run(thread_id: str = "t", *, in_s: float = -1, **more: Any) -> ParkedRun:
    return ParkedRun(thread_id, "r1", NOW + timedelta(seconds=in_s), NOW, "spent", **more)


def refusal(kind: Any, status: int) -> Exception:
    response = httpx.Response(status, request=httpx.Request("POST", "http://test"))
    made: Exception = kind("no", response=response, body=None)
    return made


class FakeServer:
    """A LangGraph API with parked threads; keeps the runs made."""

    def __init__(self, *interrupts: Any, status: str = "interrupted") -> None:
        self.threads = self.runs = self
        self.interrupts = list(interrupts or [PARKED])
        self.status = status
        self.made: list[tuple[str, str, dict[str, Any]]] = []
        self.updated: list[tuple[str, Any, str]] = []
        self.refusals: list[Exception] = []
        self.is_gone = False

    async def get(self, _: str, run_id: str | None = None) -> Any:
        if run_id is not None:
            return {"assistant_id": "assistant"}
        if self.is_gone:
            raise refusal(NotFoundError, 404)
        return {"status": self.status}

    async def get_state(self, _: str) -> Any:
        return {
            "interrupts": self.interrupts,
            "tasks": [{"interrupts": self.interrupts}],
            "metadata": {"chat_asked": "digest", "user_id": "anonymous"},
        }

    async def create(self, thread_id: str, assistant_id: str, **options: Any) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.made.append((thread_id, assistant_id, options))

    async def update_state(self, thread_id: str, values: Any, *, as_node: str) -> None:
        self.updated.append((thread_id, values, as_node))


@pytest.fixture
def parking() -> ParkedRuns:
    return ParkedRuns(clock=lambda: NOW)


def watch(parking: ParkedRuns, server: FakeServer) -> Resumption:
    client: Any = server
    return Resumption(parking, lambda: client)


def threads(parking: ParkedRuns, server: FakeServer) -> ParkedThreads:
    client: Any = server
    return ParkedThreads(parking, client)


async def test_a_due_run_goes_on_as_it_was(parking: ParkedRuns) -> None:
    server = FakeServer(PARKED, APPROVAL)
    await parking.note(run(context={"model": "a/b"}, recursion_limit=77))
    assert await watch(parking, server).step() == LONGEST_SLEEP_S
    ((thread_id, assistant, options),) = server.made
    assert (thread_id, assistant) == ("t", "assistant")
    assert list(options["command"]["resume"]) == ["p1"], "an approval is not answered"
    assert options["context"] == {"model": "a/b"}
    marks = {"chat_asked": "digest"}
    assert options["config"] == {"metadata": marks, "recursion_limit": 77}
    assert await parking.list() == []


async def test_what_is_not_due_waits(parking: ParkedRuns) -> None:
    server = FakeServer()
    await parking.note(run(in_s=3))
    assert await watch(parking, server).step() == 3
    assert server.made == []


async def test_interactive_runs_go_first(parking: ParkedRuns) -> None:
    server = FakeServer()
    await parking.note(run("batch", in_s=-9, context={"priority": "batch"}))
    await parking.note(run("late", in_s=-1))
    await parking.note(run("early", in_s=-2))
    await parking.note(run("background", in_s=-9, context={"priority": "background"}))
    await watch(parking, server).step()
    assert [made[0] for made in server.made] == ["early", "late", "background", "batch"]


async def test_a_busy_thread_is_looked_at_again(parking: ParkedRuns) -> None:
    server = FakeServer(status="busy")
    watching = watch(parking, server)
    await parking.note(run())
    wait_s = await watching.step()
    assert 0 < wait_s < 1
    server.status = "interrupted"
    await watching.step()
    assert server.made == [], "not before its time"
    watching._not_before.clear()
    await watching.step()
    assert len(server.made) == 1


@pytest.mark.parametrize("refused", [(BadRequestError, 400), (ConflictError, 409)])
async def test_a_run_of_somebody_else_in_between_is_waited_for(
    parking: ParkedRuns, refused: Any
) -> None:
    server = FakeServer()
    server.refusals = [refusal(*refused)]
    await parking.note(run())
    assert await threads(parking, server).resume("t") is Outcome.BUSY
    assert await parking.find("t") is not None


@pytest.mark.parametrize("how", ["answered", "idle", "deleted"])
async def test_what_no_longer_waits_is_forgotten(parking: ParkedRuns, how: str) -> None:
    server = FakeServer(*([APPROVAL] if how == "answered" else [PARKED]))
    server.is_gone = how == "deleted"
    server.status = "idle" if how == "idle" else "interrupted"
    await parking.note(run())
    assert await threads(parking, server).resume("t") is Outcome.GONE
    assert await parking.list() == []
    assert server.made == []


async def test_a_model_that_is_gone_does_not_keep_the_run(parking: ParkedRuns) -> None:
    server = FakeServer()
    server.refusals = [refusal(UnprocessableEntityError, 422)]
    await parking.note(run(context={"model": "gone/gone", "privacy": "private"}))
    assert await threads(parking, server).resume("t") is Outcome.DONE
    assert server.made[0][2]["context"] == {"privacy": "private"}


async def test_a_run_that_was_parked_again_at_once_is_kept(parking: ParkedRuns) -> None:
    class Again(FakeServer):
        async def create(self, *_: Any, **__: Any) -> None:
            await parking.note(replace(run(in_s=60), run_id="r2"))

    await parking.note(run())
    assert await threads(parking, Again()).resume("t") is Outcome.DONE
    assert [one.run_id for one in await parking.list()] == ["r2"]


async def test_only_one_goes_on_with_a_thread(parking: ParkedRuns) -> None:
    server = FakeServer()
    await parking.note(run())
    async with parking.lock("t"):
        assert await threads(parking, server).resume("t") is Outcome.BUSY
        assert await threads(parking, server).cancel("t") is Outcome.BUSY
    assert server.made == []


async def test_a_server_that_does_not_answer_yet_is_asked_again_later(parking: ParkedRuns) -> None:
    server = FakeServer()
    server.refusals = [httpx.ConnectError("not yet")]
    watching = watch(parking, server)
    await parking.note(run())
    wait_s = await watching.step()
    assert 0 < wait_s < 1
    assert await parking.find("t") is not None


async def test_cancelling_says_so_in_the_thread(parking: ParkedRuns) -> None:
    server = FakeServer()
    await parking.note(run(in_s=99))
    assert await threads(parking, server).cancel("t") is Outcome.DONE
    ((_, values, node),) = server.updated
    assert values["messages"] == [{"type": "ai", "content": CANCELLED}]
    assert (node, values["verdict"]) == ("reflector", "accept")
    assert await threads(parking, server).cancel("t") is Outcome.GONE


async def test_a_new_model_is_a_reason_to_try_at_once(parking: ParkedRuns) -> None:
    await parking.note(run("old", in_s=99, known_models=("a",)))
    await parking.note(run("knew", in_s=99, known_models=("a", "b", "c")))
    await watch(parking, FakeServer())._welcome(frozenset({"a", "b"}))
    due = [one.thread_id for one in await parking.list() if one.resume_at <= NOW]
    assert due == ["old"]


async def test_a_database_that_is_away_is_told_once(
    parking: ParkedRuns, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> float:
        raise psycopg.OperationalError("away")

    watching = watch(parking, FakeServer())
    for _ in range(3):
        assert await watching._kept_up(fail) > 0
    assert caplog.text.count("cannot be looked after") == 1


async def test_a_run_need_not_wait_when_one_of_its_models_has_room_again(
    parking: ParkedRuns,
) -> None:
    server, ready = FakeServer(PARKED), set[str]()

    async def ready_models() -> frozenset[str]:
        return frozenset(ready)

    client: Any = server
    watching = Resumption(parking, lambda: client, ready_models)
    await parking.note(run("early", in_s=3600, waiting_for=("a/b", "c/d")))
    await parking.note(run("other", in_s=3600, waiting_for=("c/d",)))
    await watching.step()
    assert server.made == []

    ready.add("a/b")
    await watching.step()
    assert [thread_id for thread_id, _, _ in server.made] == ["early"]

    # It found too little room: it is not tried again until something has changed
    await parking.note(run("early", in_s=3600, waiting_for=("a/b",)))
    await watching.step()
    assert len(server.made) == 1
