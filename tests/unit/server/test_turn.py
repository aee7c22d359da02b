"""A turn told apart from the LangGraph stream, and the answer in it."""

import uuid
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from potluck.server.turn import (
    Answer,
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
            yield SimpleNamespace(event=event, data=data)
        if self._error:
            raise self._error


async def parts_of(client: FakeClient, thread_id: str | None = None) -> list[Part]:
    turn = Turn([{"role": "user", "content": "hi"}], thread_id, {"model": "groq/x"})
    return [part async for part in run_turn(client, turn)]  # type: ignore[arg-type]


def chunk(text: str, message_id: str = "m1", kind: str = "AIMessageChunk") -> dict[str, Any]:
    return {"type": kind, "id": message_id, "content": text}


def piece(text: str, message_id: str = "m1", *, for_user: bool = True) -> Piece:
    return Piece(chunk(text, message_id), node="triage", for_user=for_user)


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
    assert options["context"] == {"when_out": "wait", "model": "groq/x"}


async def test_a_thread_is_made_before_its_first_turn() -> None:
    client = FakeClient()
    await parts_of(client, "t1")
    assert client.created == ["t1"]
    assert client.asked[0][0] == "t1"


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


def test_the_answer_is_what_is_for_the_user() -> None:
    answer = Answer()
    parts = [piece("plan", "m0", for_user=False), piece("Hel"), piece("lo")]
    assert [answer.take(part) for part in parts] == ["", "Hel", "lo"]
    assert answer.rest() == ""


def test_a_blank_line_parts_two_messages() -> None:
    answer = Answer()
    assert answer.take(piece("Let me look.", "m1")) == "Let me look."
    assert answer.take(piece("", "m2")) == ""
    assert answer.take(piece("Found", "m2")) == "\n\nFound"
    assert answer.take(piece(" it.", "m2")) == " it."


def said(*texts: tuple[str, str, str]) -> Values:
    return Values({"messages": [{"type": t, "id": i, "content": c} for t, i, c in texts]})


def test_what_was_not_streamed_comes_at_the_end() -> None:
    answer = Answer()
    answer.take(piece("Wait.", "m1"))
    answer.take(said(("human", "h", "hi"), ("ai", "m1", "Wait."), ("ai", "m2", "Which file?")))
    assert answer.rest() == "\n\nWhich file?"


@pytest.mark.parametrize("message_id", ["m1", "other"])
def test_what_was_streamed_does_not_come_twice(message_id: str) -> None:
    answer = Answer()
    answer.take(piece("Hello", "m1"))
    answer.take(said(("human", "h", "hi"), ("ai", message_id, "Hello")))
    assert answer.rest() == ""


def test_the_answer_of_an_earlier_turn_is_not_repeated() -> None:
    answer = Answer()
    answer.take(said(("human", "h1", "hi"), ("ai", "m0", "Old answer"), ("human", "h2", "again")))
    assert answer.rest() == ""


def test_text_of_parts_leaves_out_what_is_no_text() -> None:
    parts = ["a", {"type": "text", "text": "b"}, {"type": "reasoning", "text": "hidden"}]
    assert text_of({"content": parts}) == "ab"
    assert text_of({"content": None}) == ""


def test_a_uuid_is_its_own_thread_and_a_name_always_the_same() -> None:
    known = str(uuid.uuid4())
    assert thread_id_of(known) == known
    assert thread_id_of("notes") == thread_id_of("notes") != thread_id_of("other")
    uuid.UUID(thread_id_of("notes"))
