"""Pages that a tool has found or read: kept with its result, beside what the model sees of it."""

from collections.abc import Iterable, Mapping
from typing import TypedDict
from urllib.parse import urlsplit

from langchain_core.messages import ToolMessage

MAX_TEXT_CHARS = 500
MAX_TITLE_CHARS = 200


class Source(TypedDict):
    """A page: its address, its title, and an excerpt; title and excerpt may be empty."""

    url: str
    title: str
    text: str


class Sources(TypedDict):
    """The artifact of a tool that reads pages."""

    sources: list[Source]


def as_sources(pages: Iterable[tuple[str, str, str]]) -> Sources:
    """Address, title and text of each page, cut to what people are shown."""
    return Sources(
        sources=[
            Source(url=url, title=_cut(title, MAX_TITLE_CHARS), text=_cut(text, MAX_TEXT_CHARS))
            for url, title, text in pages
        ]
    )


def sources_in(message: ToolMessage) -> list[Source]:
    """The pages that a tool's result rests on; other tools' artifacts have none."""
    artifact = message.artifact
    listed = artifact.get("sources") if isinstance(artifact, Mapping) else None
    if not isinstance(listed, list):
        return []
    return [
        Source(url=str(one["url"]), title=str(one.get("title", "")), text=str(one.get("text", "")))
        for one in listed
        if isinstance(one, Mapping) and _is_web_address(one.get("url"))
    ]


def _is_web_address(url: object) -> bool:
    """Whether a client may make a link of it."""
    try:
        return isinstance(url, str) and urlsplit(url).scheme in ("http", "https")
    except ValueError:
        return False


def _cut(text: str, most: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[:most]}…"
