"""Who gets through the guard."""

import json
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from potluck.server.auth_attempts import WRONG_KEYS_PER_MINUTE
from potluck.server.auth_keys import Keyring
from potluck.server.auth_rates import Buckets
from potluck.server.guard import Guard
from potluck.server.ownership import caller
from potluck.settings import Settings
from tests.unit.server.log_stage import logs_set_up


async def ok(_: Request) -> PlainTextResponse:
    return PlainTextResponse("in")


async def status(keys: str, path: str = "/threads", **headers: str) -> int:
    settings = Settings(potluck_api_keys=keys)  # type: ignore[arg-type] # parsed
    app = Starlette(routes=[Route("/{rest:path}", ok)])
    guard = Guard(app, keyring=Keyring.of(settings, "inner"))
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(guard), base_url="http://127.0.0.1:8123"
    ) as client:
        return (await client.get(path, headers=sent)).status_code


KEYS = "ann:s1,bob:s2:admin,bare"


@pytest.mark.parametrize("secret", ["s1", "s2", "bare", "inner"])
async def test_a_secret_opens_in_either_header(secret: str) -> None:
    assert await status(KEYS, authorization=f"Bearer {secret}") == 200
    assert await status(KEYS, authorization=f"bearer {secret}") == 200
    assert await status(KEYS, x_api_key=secret) == 200


@pytest.mark.parametrize("wrong", ["", "ann", "admin", "ann:s1", "s1,", "S1"])
async def test_everything_else_does_not(wrong: str) -> None:
    assert await status(KEYS, authorization=f"Bearer {wrong}") == 401
    assert await status(KEYS, x_api_key=wrong) == 401


async def test_health_needs_no_key() -> None:
    assert await status(KEYS, "/health") == 200


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 200),
        ({"authorization": "Bearer anything"}, 200),
        ({"host": "localhost:8123"}, 200),
        ({"host": "[::1]:8123"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"host": "127.evil.example"}, 403),
        ({"host": ""}, 403),
        ({"host": "[::1"}, 403),
        ({"origin": "http://["}, 403),
        ({"origin": "https://smith.langchain.com"}, 200),
        ({"origin": "http://localhost:3000"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "https://smith.langchain.com.evil.example"}, 403),
        ({"origin": "HTTP://LOCALHOST:3000"}, 200),
        ({"origin": "http://localhost.evil.example"}, 403),
        ({"origin": "http://localhost@evil.example"}, 403),
        ({"host": "LOCALHOST"}, 200),
        ({"host": "localhost."}, 403),
        ({"host": "[::1].evil.example"}, 403),
        ({"host": "0.0.0.0:8123"}, 403),
        ({"host": "2130706433:8123"}, 403),
        ({"host": "evil.example:127.0.0.1"}, 403),
        # A tag of a foreign page tells no Origin; a link may lead here.
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
        (
            {
                "sec-fetch-site": "cross-site",
                "sec-fetch-mode": "navigate",
                "sec-fetch-dest": "iframe",
            },
            403,
        ),
        (
            {
                "sec-fetch-site": "cross-site",
                "sec-fetch-mode": "navigate",
                "sec-fetch-dest": "document",
            },
            200,
        ),
        (
            {
                "sec-fetch-site": "cross-site",
                "sec-fetch-mode": "cors",
                "origin": "https://smith.langchain.com",
            },
            200,
        ),
        ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, 200),
        ({"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, 200),
    ],
)
async def test_without_keys_only_this_machine_and_no_foreign_page(
    headers: dict[str, str], expected: int
) -> None:
    assert await status("", **headers) == expected


async def asked_of(guard: Guard, path: str = "/threads", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(guard), base_url="http://127.0.0.1:8123"
    ) as client:
        return await client.get(path, headers=headers)


async def whoami(_: Request) -> PlainTextResponse:
    found = caller()
    return PlainTextResponse(found.user if found else "nobody")


def guarding(keys: str, **more: Any) -> Guard:
    settings = Settings(potluck_api_keys=keys)  # type: ignore[arg-type] # parsed
    app = Starlette(routes=[Route("/{rest:path}", whoami)])
    return Guard(app, keyring=Keyring.of(settings, "inner"), **more)


async def test_what_stands_behind_knows_who_asks() -> None:
    guard = guarding("ann:s1")
    assert (await asked_of(guard, authorization="Bearer s1")).text == "ann"
    assert (await asked_of(guard, authorization="Bearer inner")).text == "anonymous"
    inside = {"X-Api-Key": "inner", "X-Potluck-User": "ann"}
    assert (await asked_of(guard, **inside)).text == "ann"
    assert caller() is None


async def test_who_acts_for_another_is_refused() -> None:
    answer = await asked_of(guarding("ann:s1"), **{"X-Api-Key": "s1", "X-Potluck-User": "bob"})
    assert answer.status_code == 403
    assert "admin" in answer.json()["error"]["message"] == answer.json()["detail"]


async def test_a_key_that_asks_too_often_is_told_when_to_come_back() -> None:
    guard = guarding("ann:s1,bob:s2", rates=Buckets(2))
    for _ in range(2):
        assert (await asked_of(guard, authorization="Bearer s1")).status_code == 200
    answer = await asked_of(guard, authorization="Bearer s1")
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 30
    assert answer.json()["error"]["code"] == "rate_limit_exceeded"
    assert answer.json()["detail"]
    for free in ({"authorization": "Bearer s2"}, {"authorization": "Bearer inner"}):
        assert (await asked_of(guard, **free)).status_code == 200
    assert (await asked_of(guard, "/health")).status_code == 200


async def test_who_tries_keys_is_slowed_down_and_who_uses_one_is_not() -> None:
    guard = guarding("ann:s1,bob:s2")
    assert (await asked_of(guard, authorization="Bearer s1")).status_code == 200
    wrong = [
        await asked_of(guard, authorization=f"Bearer wrong{number}")
        for number in range(WRONG_KEYS_PER_MINUTE + 1)
    ]
    assert {answer.status_code for answer in wrong[:-1]} == {401}
    assert wrong[-1].status_code == 429
    assert 0 < int(wrong[-1].headers["retry-after"]) <= 3
    # A key that comes for the first time is not looked at either, whatever it asks for.
    for more in ({}, {"X-Potluck-User": "ann"}):
        guessed = await asked_of(guard, authorization="Bearer s2", **more)
        assert (guessed.status_code, guessed.json()) == (429, wrong[-1].json())
    for key in ("s1", "inner"):
        assert (await asked_of(guard, authorization=f"Bearer {key}")).status_code == 200
    assert (await asked_of(guard)).status_code == 401, "no key is no attempt"


async def test_a_page_that_may_use_the_server_can_read_why_it_was_refused() -> None:
    guard = guarding("ann:s1", origins=("https://chat.example",))
    refused = await asked_of(guard, origin="https://chat.example")
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://chat.example"
    foreign = await asked_of(guard, origin="https://evil.example")
    assert "access-control-allow-origin" not in foreign.headers


async def test_a_page_that_was_refused_can_read_when_to_come_back() -> None:
    guard = guarding("ann:s1", rates=Buckets(1), origins=("https://chat.example",))
    headers = {"authorization": "Bearer s1", "origin": "https://chat.example"}
    await asked_of(guard, **headers)
    refused = await asked_of(guard, **headers)
    assert refused.status_code == 429
    assert "Retry-After" in refused.headers["access-control-expose-headers"]


PREFLIGHT = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (PREFLIGHT, 405),
        ({}, 401),
        ({"Origin": "https://evil.example"}, 401),
        ({"Access-Control-Request-Method": "POST"}, 401),
        ({"X-Api-Key": "s1"}, 405),
    ],
)
async def test_of_what_browsers_ask_before_they_ask_nothing_else_needs_no_key(
    headers: dict[str, str], expected: int
) -> None:
    transport = httpx.ASGITransport(guarding("ann:s1"))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8123") as client:
        assert (await client.options("/threads", headers=headers)).status_code == expected


async def test_a_refusal_is_a_line_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    with logs_set_up("json"):
        headers = {"X-Api-Key": "a-wrong-key", "X-Request-Id": "req-1"}
        await asked_of(guarding("ann:s1"), "/v1/models%0Aforged?key=a-wrong-key", **headers)
    told = json.loads(capsys.readouterr().out)
    del told["timestamp"]
    assert told == {
        "level": "info", "event": "request", "logger": "potluck.guard", "method": "GET",
        "path": "/v1/models%0Aforged", "status": 401, "client": "127.0.0.1",
        "request_id": "req-1",
    }  # fmt: skip


async def test_pages_of_configured_sites_may_use_a_server_without_keys() -> None:
    guard = guarding("", origins=("https://chat.example",))
    assert (await asked_of(guard, origin="https://chat.example")).status_code == 200
    refused = await asked_of(guard, origin="https://smith.langchain.com")
    assert "POTLUCK_CORS_ORIGINS" in refused.json()["detail"]


async def test_a_websocket_needs_a_key_as_well() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": "/", "headers": []}
    await guarding("ann:s1")(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


class TestMetricsRole:
    KEYS = "ann:s1,prom:s3:metrics"

    async def test_reads_the_metrics_and_nothing_else(self) -> None:
        assert await status(self.KEYS, "/metrics", x_api_key="s3") == 200
        for path in ("/threads", "/v1/models", "/quota", "/dashboard/data", "/metrics/x", "/"):
            assert await status(self.KEYS, path, x_api_key="s3") == 403

    async def test_is_not_shed_by_acting_for_somebody(self) -> None:
        for header in ("x_potluck_user", "x_openwebui_user_id"):
            for user in ("ann", "prom", "prom/ann"):
                assert await status(self.KEYS, x_api_key="s3", **{header: user}) == 403

    async def test_the_metrics_are_not_open_to_those_without_a_key(self) -> None:
        assert await status(self.KEYS, "/metrics") == 401
