"""A run that makes no sense is refused before it is made."""

import json
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from potluck.server import run_input
from potluck.server.run_input import RunInput

GOOD = {"messages": [{"role": "user", "content": "hi"}]}


async def echo(request: Request) -> JSONResponse:
    body = await request.body()
    return JSONResponse({"got": body.decode(errors="replace")})


async def post(path: str, body: object) -> httpx.Response:
    routes = [Route("/{rest:path}", echo, methods=["POST"])]
    transport = httpx.ASGITransport(RunInput(Starlette(routes=routes)))
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
        ({"input": {"messages": [{"role": "user", "content": 5}]}}, "input.messages", "error"),
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


async def test_only_runs_are_looked_at() -> None:
    answer = await post("/threads/search", {"input": {"messages": 5}})
    assert answer.status_code == 200


async def test_a_huge_body_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_input, "MAX_BODY_BYTES", 100)
    answer = await post("/runs/wait", {"input": {"messages": "x" * 200}})
    assert answer.status_code == 413
