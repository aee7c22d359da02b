"""The dashboard's page as it is served."""

import base64
import hashlib
import re

import httpx
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.types import ASGIApp

from potluck.server.auth_keys import Keyring
from potluck.server.dashboard import door
from potluck.server.dashboard.page import read_page
from potluck.server.guard import Guard
from potluck.settings import Settings


async def get(app: ASGIApp, path: str = "/dashboard", **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.get(path, headers=headers)


def dashboard() -> FastAPI:
    app = FastAPI()
    door.mount(app)
    return app


def guarded_by(*keys: str) -> Guard:
    settings = Settings(potluck_api_keys=tuple(map(SecretStr, keys)))
    return Guard(dashboard(), keyring=Keyring.of(settings, "inner"))


def hashes(element: str, text: str) -> set[str]:
    inner = re.findall(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
    digests = (hashlib.sha256(one.encode()).digest() for one in inner)
    return {f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests}


async def test_nothing_runs_in_it_but_its_own_scripts() -> None:
    answer = await get(dashboard())
    directives = dict(
        one.strip().split(" ", 1) for one in answer.headers["content-security-policy"].split(";")
    )
    assert directives["default-src"] == "'none'"
    assert set(directives["script-src"].split()) == hashes("script", answer.text)
    assert set(directives["style-src"].split()) == hashes("style", answer.text)
    assert directives["frame-ancestors"] == "'none'"
    assert "unsafe" not in answer.headers["content-security-policy"]


def test_it_loads_nothing_from_elsewhere() -> None:
    text = read_page().text
    assert (
        re.findall(r"""(?:src|href|url|import)\s*[=(]\s*["']?(?:https?:)?//[^\s"')]*""", text) == []
    )
    assert "<script src" not in text
    assert not re.search(
        r"\son[a-z]+=|\sstyle=", re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    )


def test_text_from_the_server_never_becomes_markup() -> None:
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", read_page().text
    )


async def test_it_is_sent_once_and_then_known() -> None:
    app = dashboard()
    first = await get(app)
    again = await get(app, **{"If-None-Match": first.headers["etag"]})
    assert (first.status_code, again.status_code, again.text) == (200, 304, "")
    assert again.headers["content-security-policy"] == first.headers["content-security-policy"]
    other = await get(app, **{"If-None-Match": '"another"'})
    assert other.status_code == 200


async def test_behind_keys_the_page_alone_is_open() -> None:
    guarded = guarded_by("ann:k")
    assert (await get(guarded)).status_code == 200
    for path in ("/quota", "/quota/hours", "/dashboard/x", "/dashboards"):
        assert (await get(guarded, path)).status_code == 401


async def test_without_keys_a_foreign_name_does_not_reach_it() -> None:
    guarded = guarded_by()
    assert (await get(guarded)).status_code == 200
    assert (await get(guarded, Host="evil.example")).status_code == 403
