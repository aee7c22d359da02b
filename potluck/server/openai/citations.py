"""Pages that an answer rests on, as OpenAI's annotations of its text."""

import re
from collections.abc import Iterable
from typing import Literal, TypedDict

from potluck.server.openai.deltas import Cited


class UrlCitation(TypedDict):
    """A page, and the characters of the text that rest on it."""

    url: str
    title: str
    start_index: int
    end_index: int


class Annotation(TypedDict):
    """An annotation of an answer's text."""

    type: Literal["url_citation"]
    url_citation: UrlCitation


def annotations_of(cited: Iterable[Cited], text: str) -> list[Annotation]:
    """One for each page, where the text names it; else for the text as a whole."""
    return [Annotation(type="url_citation", url_citation=_citation(one, text)) for one in cited]


def _citation(cited: Cited, text: str) -> UrlCitation:
    start, end = span_of(cited.url, text)
    return UrlCitation(url=cited.url, title=cited.title, start_index=start, end_index=end)


def span_of(url: str, text: str) -> tuple[int, int]:
    """Where the text names the address; the whole text when it does not."""
    # Not where another address only begins with this one
    named = re.search(rf"{re.escape(url.rstrip('/'))}/?(?![\w/-])", text)
    return named.span() if named else (0, len(text))
