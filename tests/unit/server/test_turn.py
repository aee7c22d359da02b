"""A turn told apart from the LangGraph stream."""

import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest
from langgraph_sdk.schema import StreamPart

from potluck.server.approvals import Approval
from potluck.server.turn import (
    Asked,
    Begun,
    Happened,
    Part,
    Piece,
    RunError,
    Turn,
    Values,
    run_turn,
    text_of,
    thread_id_of,
)

USER = {"audience": "user", "langgraph_node": "triage"}
AGENT = {"audience": "agent", "langgraph_node": "planner"}


class FakeClient:
    """Plays the LangGraph client: gives these events, or raises this error."""

    def __init__(
        self, events: Sequence[tuple[str, Any]] = (), error: Exception | None = None
    ) -> None:
        self.runs = self.threads = self
        self.asked: list[tuple[str | None, dict[str, Any]]] = []
        self.created: list[str] = []
        self._events = events
        self._error = error

    async def create(self, *, thread_id: str, if_exists: str) -> None:
        assert if_exists == "do_nothing"
        self.created.append(thread_id)

    async def stream(self, thread_id: str | None, graph: str, **options: Any) -> AsyncIterator[Any]:
        assert graph == "agent"
        self.asked.append((thread_id, options))
        for event, data in self._events:
            yield StreamPart(event, data)
        if self._error:
            raise self._error
        yield StreamPart("end", {"status": "success"})


async def parts_of(client: FakeClient, thread_id: str | None = None) -> list[Part]:
    turn = Turn([{"role": "user", "content": "hi"}], thread_id, {"model": "groq/x"})
    return [part async for part in run_turn(client, turn)]  # type: ignore[arg-type]


def chunk(text: str, message_id: str = "m1", kind: str = "AIMessageChunk") -> dict[str, Any]:
    return {"type": kind, "id": message_id, "content": text}


async def test_tells_the_parts_of_a_stream_apart() -> None:
    step = {"type": "step", "node": "triage", "text": "Reading"}
    client = FakeClient(
        [
            ("metadata", {"run_id": "r1"}),
            ("custom", step),
            ("messages", [chunk("secret plan"), AGENT]),
            ("messages", [chunk("hello"), USER]),
            ("messages", [chunk("result", kind="tool"), USER]),
            ("heartbeat", None),
            ("values", {"messages": []}),
        ]
    )
    begun, happened, hidden, shown, tool, values = await parts_of(client)
    assert begun == Begun("r1")
    assert happened == Happened(step)  # type: ignore[arg-type]
    assert isinstance(hidden, Piece)
    assert not hidden.for_user
    assert hidden.node == "planner"
    assert isinstance(shown, Piece)
    assert shown.for_user
    assert isinstance(tool, Piece)
    assert not tool.for_user
    assert isinstance(values, Values)


async def test_without_a_thread_none_is_made_and_none_is_kept() -> None:
    client = FakeClient()
    await parts_of(client)
    ((thread_id, options),) = client.asked
    assert thread_id is None
    assert client.created == []
    assert options["on_completion"] == "delete"
    assert options["on_disconnect"] == "cancel"
    assert options["context"] == {"when_out": "wait", "can_ask": False, "model": "groq/x"}


async def test_a_thread_is_made_before_its_first_turn() -> None:
    client = FakeClient()
    await parts_of(client, "t1")
    assert client.created == ["t1"]
    assert client.asked[0][0] == "t1"


def waiting(interrupt_id: str, name: str) -> tuple[str, Any]:
    request = {"name": name, "args": {"path": "a"}, "description": "tools.yaml says ask."}
    interrupt = {"id": interrupt_id, "value": {"action_requests": [request]}}
    return "values", {"messages": [], "__interrupt__": [interrupt]}


async def test_calls_that_wait_for_a_person_come_together_at_the_end() -> None:
    client = FakeClient([waiting("i1", "shell"), waiting("i2", "write_file"), ("end", None)])
    *_, last = await parts_of(client, "t1")
    why = "tools.yaml says ask."
    assert last == Asked(
        (
            Approval("i1", "shell", {"path": "a"}, why),
            Approval("i2", "write_file", {"path": "a"}, why),
        )
    )


async def test_decisions_resume_the_run_and_ask_nothing() -> None:
    client = FakeClient()
    turn = Turn(thread_id="t1", thread_exists=True, decisions={"i1": "approve"})
    assert [part async for part in run_turn(client, turn)] == []  # type: ignore[arg-type]
    ((_, options),) = client.asked
    assert options["input"] is None
    assert options["command"] == {"resume": {"i1": "approve"}}


async def test_a_failed_run_says_why() -> None:
    client = FakeClient([("error", {"error": "ValueError", "message": "it broke"})])
    with pytest.raises(RunError, match="it broke") as caught:
        await parts_of(client)
    assert caught.value.status == 500


@pytest.mark.parametrize(("answered", "status"), [(404, 404), (422, 422), (500, 502)])
async def test_a_refused_run_keeps_the_callers_status(answered: int, status: int) -> None:
    request = httpx.Request("POST", "http://here")
    error = httpx.HTTPStatusError("no", request=request, response=httpx.Response(answered))
    with pytest.raises(RunError) as caught:
        await parts_of(FakeClient(error=error))
    assert caught.value.status == status


async def test_a_server_out_of_reach_is_unavailable() -> None:
    with pytest.raises(RunError) as caught:
        await parts_of(FakeClient(error=httpx.ConnectError("refused")))
    assert caught.value.status == 503


def test_text_of_parts_leaves_out_what_is_no_text() -> None:
    parts = ["a", {"type": "text", "text": "b"}, {"type": "reasoning", "text": "hidden"}]
    assert text_of({"content": parts}) == "ab"
    assert text_of({"content": None}) == ""


def test_a_uuid_is_its_own_thread_and_a_name_always_the_same() -> None:
    known = str(uuid.uuid4())
    assert thread_id_of(known) == known
    assert thread_id_of("notes") == thread_id_of("notes") != thread_id_of("other")
    uuid.UUID(thread_id_of("notes"))
