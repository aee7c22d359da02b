"""Who gets through the guard."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from potluck.server.guard import Guard
from potluck.settings import Settings


async def ok(_: Request) -> PlainTextResponse:
    return PlainTextResponse("in")


async def status(keys: str, path: str = "/threads", **headers: str) -> int:
    secrets = Settings(potluck_api_keys=keys).api_secrets  # type: ignore[arg-type] # parsed
    app = Starlette(routes=[Route("/{rest:path}", ok)])
    guard = Guard(app, secrets=secrets, internal_key="inner")
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
    ],
)
async def test_without_keys_only_this_machine_and_no_foreign_page(
    headers: dict[str, str], expected: int
) -> None:
    assert await status("", **headers) == expected
