"""The web: search it, and read a page as text. This machine and its network are not reached."""

import asyncio

from langchain_core.tools import tool

from potluck.errors import ToolError
from tools.options import ToolOptions, current_options
from tools.page_text import Page, read_page
from tools.sources import Sources, as_sources
from tools.web_fetch import fetch, kind_of
from tools.web_search import Found, find_pages

MAX_PAGE_BYTES = 5_000_000
MAX_SHOWN_CHARS = 12_000
MAX_RESULTS = 10


@tool(parse_docstring=True, response_format="content_and_artifact")
async def search_web(query: str, results: int = 5) -> tuple[str, Sources]:
    """Search the web: titles, addresses, excerpts.

    Args:
        query: A few words.
        results: How many, at most 10.
    """
    if not query.strip():
        raise ToolError("The query is empty.", fix="Give a few words to look for.")
    found = await find_pages(query.strip(), max(1, min(results, MAX_RESULTS)), current_options())
    if not found:
        return f"Nothing was found for {query!r}. Try other or fewer words.", as_sources(())
    text = "\n\n".join(_listed(number, one) for number, one in enumerate(found, start=1))
    return text, as_sources((one.url, one.title, one.excerpt) for one in found)


@tool(parse_docstring=True, response_format="content_and_artifact")
async def fetch_page(url: str, start: int = 0) -> tuple[str, Sources]:
    """Read a web page as Markdown, a long one in parts.

    Args:
        url: The full address, https://...
        start: The character to begin with.
    """
    if start < 0:
        raise ToolError(f"start is {start}, but characters are counted from 0.")
    page = await _read(url, current_options())
    text = _part(page, start)
    return text, as_sources([(page.url, page.title, page.text[start:])])


async def _read(url: str, options: ToolOptions) -> Page:
    response = await fetch(url, options, max_bytes=MAX_PAGE_BYTES)
    kind = kind_of(response, "text/html")
    # Taking a page apart takes up to seconds of computing.
    return await asyncio.to_thread(read_page, str(response.request.url), kind, response.content)


def _part(page: Page, start: int) -> str:
    if start >= len(page.text):
        raise ToolError(f"The page has {len(page.text):,} characters; there is no {start:,}.")
    end = start + MAX_SHOWN_CHARS
    head = f"[{page.title} | {page.url}]" if page.title else f"[{page.url}]"
    rest = len(page.text) - end
    more = f"\n[{rest:,} more characters: fetch_page with start={end}]" if rest > 0 else ""
    return f"{head}\n{page.text[start:end]}{more}"


def _listed(number: int, found: Found) -> str:
    return f"{number}. {found.title}\n{found.url}\n{found.excerpt}".strip()
