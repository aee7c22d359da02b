"""The text of a page that was fetched, without menus, scripts and hidden parts."""

import json
from dataclasses import dataclass

from potluck.errors import ToolError

_HTML = frozenset({"text/html", "application/xhtml+xml"})
_JSON_ENDS = ("/json", "+json")
_TEXT_ENDS = ("/xml", "+xml", "/javascript", "/yaml", "/x-yaml", "/toml", "/x-ndjson")


@dataclass(frozen=True, slots=True)
class Page:
    """A page: where it was in the end, its title, its text as Markdown."""

    url: str
    title: str
    text: str


def read_page(url: str, kind: str, content: bytes) -> Page:
    """The page's text, by its media type. Raises ToolError when it has none."""
    if kind in _HTML or content.lstrip()[:100].lower().startswith((b"<!doctype html", b"<html")):
        return _from_html(url, content)
    if kind.endswith(_JSON_ENDS):
        return Page(url, "", _pretty(content))
    if kind.startswith("text/") or kind.endswith(_TEXT_ENDS):
        return Page(url, "", content.decode("utf-8", "replace") or _refuse_empty(url))
    raise ToolError(
        f"{url} is {kind} ({len(content):,} bytes), which is no text.",
        fix="Look for the same content as a page.",
    )


def _from_html(url: str, content: bytes) -> Page:
    import trafilatura  # noqa: PLC0415 # half a second, for who reads a page

    tree = trafilatura.load_html(content)
    if tree is None:
        return Page(url, "", _refuse_empty(url))
    found = trafilatura.extract_metadata(tree, default_url=url)
    # Extraction changes the tree it is given; the source is parsed anew.
    text = trafilatura.extract(
        content,
        url=url,
        output_format="markdown",
        include_links=True,
        include_tables=True,
        include_comments=False,
        favor_recall=True,
    )
    text = text or trafilatura.html2txt(content)
    return Page(url, found.title or "", text or _refuse_empty(url))


def _pretty(content: bytes) -> str:
    text = content.decode("utf-8", "replace")
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=1)
    except (ValueError, RecursionError):
        return text


def _refuse_empty(url: str) -> str:
    raise ToolError(
        f"{url} has no text.", fix="It may need a browser to be shown; look for another page."
    )
