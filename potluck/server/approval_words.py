"""Answers to approvals in plain words: yes and no, for all or by number, and nothing in between."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

from potluck.server.approvals import Approval, Resume, approved, rejected

Word = Literal["yes", "no", "all"] | int

_SHADES = re.compile("[\U0001f3fb-\U0001f3ff\ufe0f]")


def _plain(text: str) -> str:
    """The text without what tells no word from another: case, width, shades of emoji."""
    return _SHADES.sub("", unicodedata.normalize("NFKC", text).casefold())


def _vocabulary(words: str) -> frozenset[str]:
    return frozenset(_plain(words).split())


_YES = _vocabulary("""
    yes y yep yeah yup ok okay okey sure approve approved accept accepted agree agreed allow allowed
    confirm confirmed proceed 👍 ✅ ja jawohl klar einverstanden genehmigt freigeben oui accord
    si sí sì vale sim akkoord tak да так ano evet نعم はい 承認 承認します 了解 是 好 好的
    可以 同意 批准 네 예 हाँ हां
""")
_NO = _vocabulary("""
    no n nope nah not never reject rejected deny denied decline declined refuse cancel stop 👎 ❌
    nein nicht ablehnen abgelehnt non não nao nee nie нет ні ne hayir لا いいえ だめ 却下 拒否
    不 不行 不要 否 拒绝 아니요 아니오 नहीं
""")
_ALL = _vocabulary("all both everything alle beide alles tous tout todo todos tutti 全部 すべて")
# They say nothing about which call, nor whether.
_FILLERS = _vocabulary("""
    please thanks thank you to for and number nr it them this these that bitte danke und die den
    zu merci gracias por favor お願いします
""")
_PHRASES = re.compile(r"\b(?:go ahead|do it|run it|go for it|d['’]accord)\b")  # noqa: RUF001 - both apostrophes
_TOKENS = re.compile(r"\d+|[^\s\d.,;:!?…、。()\[\]\"'’*_`~#&/+\-]+")  # noqa: RUF001 - as people write them
# A question decides nothing, and what lies between two numbers is anybody's guess.
_UNCLEAR = re.compile(r"[?？؟]|\d\s*[-–—~]\s*\d|\d[./]\d")  # noqa: RUF001 - as people write them


def decide(text: str, approvals: Sequence[Approval]) -> Resume:
    """What the approvals are answered with, when a person has said `text`.

    Only what is plainly approved may run. Words that are more than a yes or no are handed on to
    the model with the rejection.
    """
    words = _words(text)
    allowed = _allowed(words, len(approvals)) if words else None
    message = text.strip() if allowed is None else ""
    return {
        one.id: approved() if number in (allowed or ()) else rejected(message)
        for number, one in enumerate(approvals, start=1)
    }


def _words(text: str) -> list[Word] | None:
    """The text as answers and numbers; None when there is more to it."""
    plain = _plain(text)
    if _UNCLEAR.search(plain):
        return None
    plain = _PHRASES.sub(" yes ", plain)
    words: list[Word] = []
    for token in _TOKENS.findall(plain):
        if token.isdecimal():
            words.append(int(token[:9]))
        elif token in _FILLERS:
            continue
        elif (word := _meaning(token)) is not None:
            words.append(word)
        else:
            return None
    return words


def _meaning(token: str) -> Word | None:
    if token in _YES:
        return "yes"
    if token in _NO:
        return "no"
    return "all" if token in _ALL else None


def _allowed(words: Sequence[Word], count: int) -> set[int] | None:
    """The numbers that may run; None when the words do not say so plainly."""
    answers = {word for word in words if word in ("yes", "no")}
    if len(answers) == 1 and all(isinstance(word, str) for word in words):
        return set(range(1, count + 1)) if answers == {"yes"} else set()
    is_answer_first = words[0] in ("yes", "no")
    groups = _groups(words if is_answer_first else words[::-1])
    if groups is None:
        return None
    said: dict[str, set[int]] = {"yes": set(), "no": set()}
    for answer, targets in groups:
        for target in targets:
            said[answer] |= set(range(1, count + 1)) if target == "all" else {int(target)}
    if not (said["yes"] | said["no"]) <= set(range(1, count + 1)):
        return None
    return said["yes"] - said["no"]


def _groups(words: Sequence[Word]) -> list[tuple[str, list[Word]]] | None:
    """Each answer with what it is about; None when one is about nothing, or nothing is said."""
    groups: list[tuple[str, list[Word]]] = []
    for word in words:
        if word in ("yes", "no"):
            groups.append((str(word), []))
        elif groups:
            groups[-1][1].append(word)
        else:
            return None
    return groups if all(targets for _, targets in groups) else None
