"""Long-term notes in the words that the offline model understands: keep, forget, list."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from langchain_core.messages import BaseMessage, SystemMessage

REMEMBER, FORGET = "remember", "forget"
_MOST_CHARS = 400
_POLITE = r"\A\W*(?:please |could you |can you |would you )?"
_REMEMBER = re.compile(
    rf"{_POLITE}(?:(?:always )?remember|keep in mind|make a note|note down|take note|don'?t forget)"
    r"(?: for (?:me|later))?(?:\s+that\b|\s*[,:])\s*(?P<text>.+?)\s*[.!]*\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
_FORGET = re.compile(
    rf"{_POLITE}(?:(?:forget|delete|remove)(?: the| my| your| all)* notes?"
    r"|forget(?: about)? (?:that|what|everything|all))(?![\w-]|\.\w)"
    r"\s*(?:notes?\b|you know\b|that\b|about\b|i told you\b|on\b|with id\b)*\s*[:\[]?\s*"
    r"(?P<text>.*?)\]?\s*[.!]*\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
_LIST = re.compile(
    rf"{_POLITE}(?:what (?:do|did) you (?:remember|note|know)(?: about me)?"
    r"|(?:list|show)(?: me)?(?: all)?(?: of)? (?:my|your|the) notes)\W*\Z",
    re.IGNORECASE,
)
_EVERYTHING = re.compile(r"\b(?:everything|all)\b", re.IGNORECASE)
_MINE = re.compile(r"(?:about )?(?:me|my notes|your notes|them|it)?", re.IGNORECASE)
_REMEMBER_JA = re.compile(
    r"\A\s*(?P<text>.+?)(?:こと|の)?(?:を|と|って|、)?\s*"
    r"(?:覚えて(?:おいて|いて)?|記憶して(?:おいて)?|忘れないで)(?:ください|下さい|ね|ほしい)?[。!\uff01\s]*\Z",
    re.DOTALL,
)
_FORGET_JA = re.compile(
    r"\A\s*(?P<text>.+?)(?:のメモ|のこと|こと)?を?\s*(?:忘れて|(?:メモを?)?消して)(?:ください|下さい|ね)?[。!\uff01\s]*\Z",
    re.DOTALL,
)
_LIST_JA = re.compile(
    r"\A\s*(?:私|わたし|僕|俺)?(?:について|のこと)?(?:を|は)?\s*何を(?:覚えて|知って)(?:い)?(?:ます|る)か?[。?\uff1f\s]*\Z"
)
_ALL_JA = re.compile(r"すべて|全部|全て")
_SHOWN = re.compile(r"^- \[(?P<id>[^\]\s]+)\] (?P<text>.+)$", re.MULTILINE)
_HEAD = "Notes that the user had you keep"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to happen to the notes."""

    kind: Literal["remember", "forget", "list"]
    text: str = ""


def wish_in(request: str) -> Wish | None:
    """What the request wants of the notes, if that is all that it wants."""
    text = request.strip()
    if len(text) > _MOST_CHARS:
        return None
    if _LIST.match(text) or _LIST_JA.match(text):
        return Wish("list")
    for pattern in (_FORGET, _FORGET_JA):
        if found := pattern.match(text):
            return Wish("forget", _meant(found["text"], text))
    for pattern in (_REMEMBER, _REMEMBER_JA):
        if found := pattern.match(text):
            return Wish("remember", found["text"].strip())
    return None


def _meant(named: str, text: str) -> str:
    """The note to forget: `all` where no other is named."""
    says_all = _EVERYTHING.search(text) or _ALL_JA.search(text)
    if says_all and (_MINE.fullmatch(named.strip()) or _ALL_JA.search(named)):
        return "all"
    return named.strip()


def notes_in(messages: Sequence[BaseMessage]) -> list[str]:
    """The notes that the prompt shows."""
    system = next((str(m.text) for m in messages if isinstance(m, SystemMessage)), "")
    _, head, shown = system.partition(_HEAD)
    return [found["text"] for found in _SHOWN.finditer(shown)] if head else []
