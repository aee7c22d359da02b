"""What makes no sense for this graph is refused before it is used."""

import json
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from potluck.server import langgraph_door
from potluck.server.langgraph_door import LangGraphDoor

pytestmark = pytest.mark.usefixtures("engine")

GOOD = {"messages": [{"role": "user", "content": "hi"}]}


async def echo(request: Request) -> JSONResponse:
    body = await request.body()
    return JSONResponse({"got": body.decode(errors="replace")})


async def post(path: str, body: object) -> httpx.Response:
    routes = [Route("/{rest:path}", echo, methods=["POST"])]
    transport = httpx.ASGITransport(LangGraphDoor(Starlette(routes=routes)))
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.post(path, content=content)


@pytest.mark.parametrize(
    "path", ["/runs", "/runs/wait", "/runs/stream", "/threads/t/runs", "/threads/t/runs/stream"]
)
@pytest.mark.parametrize(
    ("run", "place", "words"),
    [
        ({"input": {"messages": 5}}, "input.messages", "int"),
        ({"input": {"messages": []}}, "input.messages", "is missing"),
        ({"input": {"message": "hi"}}, "input.messages", "is missing"),
        ({"input": {"messages": [{"content": "x"}]}}, "input.messages", "role"),
        ({"input": {"messages": [{"role": "robot", "content": "x"}]}}, "input.messages", "robot"),
        ({"input": {"messages": [{"role": "user", "content": 5}]}}, "input.messages", "content"),
        ({"input": {"messages": [[["user"]]]}}, "input.messages", "sequence"),
        ({"input": GOOD, "context": {"model": 5}}, "context.model", "string"),
        ({"input": GOOD, "context": {"privacy": "some"}}, "context.privacy", "'private'"),
        (
            {"input": GOOD, "config": {"configurable": {"model": ["x"]}}},
            "config.configurable.model",
            "string",
        ),
        ({"input": GOOD, "stream_mode": "zzz"}, "stream_mode", "updates"),
        ({"input": GOOD, "stream_mode": ["values", 5]}, "stream_mode", "5"),
        ({"input": GOOD, "stream_mode": {}}, "stream_mode", "{}"),
        ({"input": GOOD, "stream_mode": [{}]}, "stream_mode", "{}"),
        ({"input": GOOD, "config": {"recursion_limit": "x"}}, "config.recursion_limit", "number"),
        ({"input": GOOD, "config": {"recursion_limit": -1}}, "config.recursion_limit", "number"),
        ({"input": GOOD, "context": {"model": "no/such"}}, "context.model", "/v1/models"),
    ],
)
async def test_mistake_is_named_with_its_place(
    path: str, run: dict[str, Any], place: str, words: str
) -> None:
    answer = await post(path, run)
    assert answer.status_code == 422
    (mistake,) = answer.json()["detail"]
    assert ".".join(mistake["loc"]) == f"body.{place}"
    assert words in mistake["msg"]


@pytest.mark.parametrize(
    "run",
    [
        {"input": GOOD, "stream_mode": ["messages-tuple", "custom"]},
        {"input": {"messages": "hi"}},
        {"input": {"messages": [["user", "hi"]]}},
        {"input": {"messages": [{"type": "human", "content": [{"type": "text", "text": "a"}]}]}},
        {"input": None, "checkpoint_id": "x"},
        {"input": {}, "command": {"resume": True}},
        {"input": GOOD, "context": {"model": "groq/x", "unknown": 1}},
        {"input": GOOD, "config": {"recursion_limit": 50}},
        {"command": {"resume": "yes"}},
        [1],
        b"{no json",
        b"[" * 100_000,
    ],
)
async def test_everything_else_passes_unchanged(run: Any) -> None:
    content = run if isinstance(run, bytes) else json.dumps(run).encode()
    answer = await post("/threads/t/runs/wait", run)
    assert answer.json() == {"got": content.decode()}


async def test_other_paths_are_not_looked_at() -> None:
    for path in ("/threads/search", "/v1/chat/completions", "/agent/invoke"):
        answer = await post(path, {"input": {"messages": 5}})
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("update", "place", "words"),
    [
        ({"values": {"messages": 5}}, "values.messages", "int"),
        ({"values": {"messages": [{"role": "x", "content": "y"}]}}, "values.messages", "'x'"),
        ({"values": {"plan": "x"}}, "values.plan", "list"),
        ({"values": None, "as_node": "nope"}, "as_node", "triage"),
    ],
)
async def test_an_update_of_the_state_is_checked_too(
    update: dict[str, Any], place: str, words: str
) -> None:
    answer = await post("/threads/t/state", update)
    assert answer.status_code == 422
    mistake = answer.json()["detail"][0]
    assert ".".join(mistake["loc"]).startswith(f"body.{place}")
    assert words in mistake["msg"]


@pytest.mark.parametrize("text", ["a\ud800b", "a\x00b"])
@pytest.mark.parametrize("path", ["/threads", "/runs/wait", "/store/items"])
async def test_text_that_cannot_be_stored_is_refused(path: str, text: str) -> None:
    assert (await post(path, {"metadata": {"a": [text]}})).status_code == 422


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN"])
@pytest.mark.parametrize("body", ['{{"metadata": {{"a": [{}]}}}}', "[{}]"])
async def test_a_number_that_no_answer_can_quote_is_refused(body: str, number: str) -> None:
    assert (await post("/threads", body.format(number).encode())).status_code == 422


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"limit": 10**30}, ["limit"]),
        ({"offset": 10**30}, ["offset"]),
        ({"config": {"configurable": 5}}, ["config", "configurable"]),
        ({"filter": {"age": {"$gt": 3, "$near": 4}}}, ["filter", "age"]),
    ],
)
async def test_what_would_be_taken_on_trust_is_refused(
    body: dict[str, Any], place: list[str]
) -> None:
    answer = await post("/assistants/search", body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", *place]


async def test_filters_of_the_store_with_operators_that_it_knows_pass() -> None:
    wanted = {"filter": {"age": {"$gt": 3, "$lte": 9}, "name": "Ada"}, "limit": 3}
    assert (await post("/store/items/search", wanted)).status_code == 200


async def test_a_path_with_nul_is_not_found() -> None:
    assert (await post("/threads/%00", {})).status_code == 404


async def test_a_run_without_input_goes_on_from_the_last_checkpoint() -> None:
    answer = await post("/threads/t/runs/wait", {"assistant_id": "agent"})
    assert json.loads(answer.json()["got"]) == {"assistant_id": "agent", "checkpoint": {}}


async def test_a_huge_body_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(langgraph_door, "MAX_BODY_BYTES", 100)
    answer = await post("/runs/wait", {"input": {"messages": "x" * 200}})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("run", "place"),
    [
        ({"context": {"privacy": "private"}}, ("context",)),
        ({}, ("config", "configurable")),
        ({"config": {"configurable": {"privacy": "any"}}}, ("config", "configurable")),
    ],
)
async def test_a_run_whose_thread_is_not_kept_waits_for_quota_and_asks_nobody(
    run: Any, place: Any
) -> None:
    got = json.loads((await post("/runs/wait", {"input": GOOD, **run})).json()["got"])
    for name in place:
        got = got[name]
    assert got["when_out"] == "wait"
    assert got["can_ask"] is False


async def test_a_run_on_a_thread_is_left_to_be_parked() -> None:
    got = (await post("/threads/t/runs", {"input": GOOD})).json()["got"]
    assert "when_out" not in got
    assert "can_ask" not in got
