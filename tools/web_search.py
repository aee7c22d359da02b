"""Who searches the web: SearXNG or Tavily where the user has set them up, else DuckDuckGo's kin."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import httpx
from pydantic import BaseModel, Field, SecretStr, ValidationError

from potluck.errors import ToolError
from tools.options import ToolOptions

TIMEOUT_S = 20.0
MAX_EXCERPT_CHARS = 500


@dataclass(frozen=True, slots=True)
class Found:
    """One page that a search found."""

    title: str
    url: str
    excerpt: str


class _Result(BaseModel):
    title: str = ""
    url: str
    content: str = ""


class _Results(BaseModel):
    """The answer of SearXNG and of Tavily, which name things alike."""

    results: list[_Result] = Field(default_factory=list)


async def find_pages(query: str, count: int, options: ToolOptions) -> list[Found]:
    """At most `count` pages. Raises ToolError when the search engine does not answer."""
    if options.searxng_url is not None:
        found = await _ask_searxng(query, options.searxng_url)
    elif options.tavily_key is not None:
        found = await _ask_tavily(query, count, options.tavily_url, options.tavily_key)
    else:
        found = await _ask_free_engines(query, count)
    return found[:count]


async def _ask_searxng(query: str, url: str) -> list[Found]:
    async with _client() as client:
        response = await _sent(
            client.build_request(
                "GET", f"{url.rstrip('/')}/search", params={"q": query, "format": "json"}
            ),
            client,
            "SearXNG",
        )
    return _results(response, "SearXNG")


async def _ask_tavily(query: str, count: int, url: str, key: SecretStr) -> list[Found]:
    async with _client() as client:
        response = await _sent(
            client.build_request(
                "POST",
                f"{url.rstrip('/')}/search",
                json={"query": query, "max_results": count},
                headers={"Authorization": f"Bearer {key.get_secret_value()}"},
            ),
            client,
            "Tavily",
        )
    return _results(response, "Tavily")


async def _ask_free_engines(query: str, count: int) -> list[Found]:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            rows = await asyncio.to_thread(_search_free, query, count)
    except TimeoutError as error:
        raise ToolError("The search engines did not answer.", may_pass=True) from error
    return [
        Found(str(row.get("title", "")), str(row.get("href", "")), _short(row.get("body", "")))
        for row in rows
        if row.get("href")
    ]


def _search_free(query: str, count: int) -> Sequence[Mapping[str, object]]:
    from ddgs import DDGS  # noqa: PLC0415 # only who searches pays for it
    from ddgs.exceptions import DDGSException  # noqa: PLC0415 # likewise

    try:
        # Any: the library's results are loosely typed
        with DDGS(timeout=int(TIMEOUT_S / 2)) as engines:
            return cast("Sequence[Mapping[str, object]]", engines.text(query, max_results=count))
    except DDGSException as error:
        if "No results" in str(error):
            return []
        raise ToolError(
            f"The free search engines refuse just now: {error}.",
            fix="Fetch a page whose address you know, or go on without.",
            may_pass=True,
        ) from error


def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=TIMEOUT_S)


async def _sent(request: httpx.Request, client: httpx.AsyncClient, who: str) -> httpx.Response:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            response = await client.send(request)
    except (TimeoutError, httpx.HTTPError) as error:
        why = str(error) or type(error).__name__
        raise ToolError(f"{who} does not answer: {why}.", may_pass=True) from error
    if response.is_error:
        passing = response.is_server_error or response.status_code == httpx.codes.TOO_MANY_REQUESTS
        raise ToolError(
            f"{who} answers {response.status_code}.",
            fix="Its key or address may be wrong: tell the user."
            if not passing
            else "Go on without.",
            may_pass=passing,
        )
    return response


def _results(response: httpx.Response, who: str) -> list[Found]:
    try:
        read = _Results.model_validate_json(response.content)
    except ValidationError as error:
        raise ToolError(
            f"{who} did not answer with JSON.", fix="SearXNG needs `json` in `search.formats`."
        ) from error
    return [Found(one.title, one.url, _short(one.content)) for one in read.results]


def _short(text: object) -> str:
    plain = " ".join(str(text).split())
    return plain if len(plain) <= MAX_EXCERPT_CHARS else f"{plain[:MAX_EXCERPT_CHARS]}..."
