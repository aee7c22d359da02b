"""Every request counts once, by door and status, whoever answers it."""

import contextlib

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from potluck.server.auth_keys import Keyring
from potluck.server.guard import Guard
from potluck.server.metrics import Metrics
from potluck.server.request_count import RequestCount, door_of
from potluck.settings import Settings


async def answering(scope: Scope, _: Receive, send: Send) -> None:
    """Answers with the status that its path ends with."""
    status = int(scope["path"].rpartition("/")[2])
    if status == 500:
        raise ValueError("my diary")
    if status == 499:
        return
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


async def get(app: ASGIApp, path: str, **headers: str) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(_: Message) -> None:
        pass

    listed = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": path, "headers": listed}
    with contextlib.suppress(ValueError):
        await app(scope, receive, send)


def counted(metrics: Metrics, door: str, status: str) -> float | None:
    labels = {"door": door, "status": status}
    return metrics.registry.get_sample_value("potluck_http_requests_total", labels)


@pytest.mark.parametrize(
    ("path", "door"),
    [
        ("/v1/chat/completions", "openai"),
        ("/agent/invoke", "langserve"),
        ("/chain/stream", "langserve"),
        ("/threads/8b2c5a64/runs/stream", "langgraph"),
        ("/runs/wait", "langgraph"),
        ("/health", "health"),
        ("/my-diary", "other"),
        ("//v1/models", "other"),
        ("*", "other"),
        ("", "other"),
        ("/", "other"),
    ],
)
def test_each_path_has_a_door(path: str, door: str) -> None:
    assert door_of(path) == door


@pytest.mark.parametrize("status", ["200", "404", "500", "499"])
async def test_requests_count_by_door_and_status(status: str) -> None:
    metrics = Metrics()
    await get(RequestCount(answering, metrics), f"/v1/{status}")
    assert counted(metrics, "openai", status) == 1
    now = metrics.registry.get_sample_value("potluck_http_requests_in_progress", {"door": "openai"})
    assert now == 0


async def test_what_is_counted_twice_counts_once() -> None:
    metrics = Metrics()
    await get(RequestCount(RequestCount(answering, metrics), metrics), "/v1/200")
    assert counted(metrics, "openai", "200") == 1


async def test_what_the_guard_refuses_counts_too() -> None:
    metrics = Metrics()
    keys = Keyring.of(Settings(potluck_api_keys="ann:s1,prom:s2:metrics"))  # type: ignore[arg-type] # parsed
    guarded = RequestCount(Guard(answering, keyring=keys), metrics)
    await get(guarded, "/v1/200")
    await get(guarded, "/quota/200", **{"x-api-key": "s2"})
    await get(guarded, "/v1/200", **{"x-api-key": "s1"})
    assert counted(metrics, "openai", "401") == 1
    assert counted(metrics, "quota", "403") == 1
    assert counted(metrics, "openai", "200") == 1
