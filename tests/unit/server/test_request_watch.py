"""Requests that do work are traced."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from potluck import telemetry
from potluck.server.request_watch import RequestWatch, route_of
from tests.collected import Spans, collected

THREAD = "8b2c5a64-0b6f-4f4e-9d43-0d8f1b1f2a3c"


@pytest.fixture
def spans() -> Iterator[Spans]:
    with collected() as kept:
        yield kept


async def answering(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the status that its path ends with; traces its work."""
    with telemetry.span("work"):
        status = int(scope["path"].rpartition("/")[2])
    if status == 500:
        raise ValueError("my diary")
    if status == 499:
        return
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


async def get(path: str, **headers: str) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(_: Message) -> None:
        pass

    listed = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": path, "headers": listed}
    with contextlib.suppress(ValueError):
        await RequestWatch(answering)(scope, receive, send)


def test_no_id_is_in_a_route() -> None:
    assert route_of(f"/threads/{THREAD}/runs/stream") == "/threads/*/runs/stream"
    assert route_of("/v1/responses/resp_8b2c") == "/v1/responses/*"
    assert route_of("/v1/models/groq/openai/gpt-oss-120b") == "/v1/models/groq/openai/*"


async def test_a_request_is_the_root_of_what_it_sets_in_motion(spans: Spans) -> None:
    await get("/v1/200")
    assert spans.parent_of("work") == "POST /v1/*"
    made: dict[str, Any] = dict(spans.one("POST /v1/*").attributes or {})
    assert made["http.response.status_code"] == 200
    assert (made["potluck.door"], made["url.path"]) == ("openai", "/v1/200")


async def test_a_request_goes_on_with_its_clients_trace(spans: Spans) -> None:
    with telemetry.span("client"):
        headers = telemetry.carried()
    await get("/v1/200", **headers)
    assert spans.parent_of("POST /v1/*") == "client"


async def test_a_request_that_failed_is_marked_without_its_words(spans: Spans) -> None:
    await get("/v1/500")
    assert not spans.one("POST /v1/*").status.is_ok
    assert "diary" not in spans.told()


async def test_what_is_asked_every_few_seconds_is_not_traced(spans: Spans) -> None:
    for path in ("/metrics/200", "/health/200", "/quota/200", "/dashboard/200"):
        await get(path)
    assert set(spans.names()) == {"work"}
