"""What browsers may do with what is served."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from potluck.server.page_headers import PageHeaders


async def answer(request: Request) -> Response:
    """A page, a page with a policy of its own, or data."""
    match request.url.path:
        case "/page":
            return HTMLResponse("<p>")
        case "/strict":
            return HTMLResponse("<p>", headers={"Content-Security-Policy": "default-src 'none'"})
        case _:
            return JSONResponse({})


async def headers_of(path: str) -> httpx.Headers:
    app = PageHeaders(Starlette(routes=[Route("/{rest:path}", answer)]))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://127.0.0.1"
    ) as client:
        return (await client.get(path)).headers


async def test_a_page_loads_nothing_from_elsewhere_and_stands_in_no_frame() -> None:
    policy = (await headers_of("/page"))["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy


async def test_a_policy_of_its_own_stays() -> None:
    assert (await headers_of("/strict"))["content-security-policy"] == "default-src 'none'"


@pytest.mark.parametrize("path", ["/page", "/data"])
async def test_no_browser_guesses_what_it_is(path: str) -> None:
    headers = await headers_of(path)
    assert headers["x-content-type-options"] == "nosniff"
    assert ("content-security-policy" in headers) == (path == "/page")
