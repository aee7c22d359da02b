"""Who gets to our doors under LangGraph's development server."""

from dataclasses import replace

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from potluck.engine import Engine, use_engine
from potluck.server import address
from potluck.server.guard_elsewhere import GuardElsewhere
from potluck.server.ownership import caller
from potluck.settings import Settings


async def whoami(_: Request) -> PlainTextResponse:
    found = caller()
    return PlainTextResponse(found.user if found else "nobody")


async def status(
    engine: Engine, path: str, key: str = "", *, keys: str = "ann:s1,root:s2:admin", root: str = ""
) -> int:
    settings = Settings(potluck_api_keys=keys)  # type: ignore[arg-type] # parsed
    app = Starlette(routes=[Route("/{rest:path}", whoami)])
    transport = httpx.ASGITransport(GuardElsewhere(app), root_path=root)
    sent = {"X-Api-Key": key} if key else {}
    with use_engine(replace(engine, settings=settings)):
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return (await client.get(path, headers=sent)).status_code


@pytest.mark.parametrize("path", ["/v1/models", "/agent/invoke", "/quota", "/new/door", "/threads"])
async def test_with_keys_every_door_wants_one(engine: Engine, path: str) -> None:
    assert await status(engine, path) == 401
    assert await status(engine, path, "wrong") == 401
    assert await status(engine, path, "s2") == 200


async def test_what_keeps_no_users_apart_is_for_admins(engine: Engine) -> None:
    for path in ("/v1/models", "/agent/invoke", "/quota/parked", "/new/door"):
        assert await status(engine, path, "s1") == 403, path
    for path in ("/threads", "/threads/x/runs", "/store/items", "/info"):
        assert await status(engine, path, "s1") == 200, path


async def test_the_empty_page_and_the_sign_of_life_are_open(engine: Engine) -> None:
    for path in ("/dashboard", "/ok"):
        assert await status(engine, path) == 200


async def test_that_server_reaches_itself(engine: Engine) -> None:
    assert await status(engine, "/threads", root="/noauth") == 200
    assert await status(engine, "/noauth/threads") == 401


async def test_without_keys_and_under_our_own_server_it_does_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await status(engine, "/v1/models", keys="") == 200
    monkeypatch.setattr(address, "_served", [address.Address("http://127.0.0.1:1")])
    assert await status(engine, "/v1/models") == 200
