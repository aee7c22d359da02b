"""Whether two texts that were cut apart had a space between them."""

import re

# Models leave out the space that a continuation would begin with. Words as common as these are
# never cut in two by a tokenizer, so one that stands whole at the seam is whole.
_COMMON = frozenset(
    "a about after again all also although always am an and any are as at be because been before "
    "being between both but by can could did do does each even every few first for from get give "
    "go good had has have he her here him his how i if in into is it its just know last like made "
    "make many may me more most much must my never new next no not now of off often on once one "
    "only or other our out over own per same say second see she should since so some still such "
    "take than that the their them then there these they this those three through time to too two "
    "under until up upon us use used very was way we well were what when where which while who why "
    "will with without would year yes yet you your".split()
)
_JOINED = frozenset(
    "another anyone anything anyway because become before cannot everyone everything forever "
    "herein however inside into itself maybe myself nowhere onto ourselves outside overall someone "
    "something sometime sometimes somewhere therefore thereof today together upon whatever whenever "
    "wherever whereas whether within without asset assume island isolate itis also almost always "
    "already altogether although ago atone become below beside besides beyond done goes gone hereby "
    "hers herself himself his history inform inner input instead intend inter issue item items none "
    "normal nothing notice offer office offset online onward oring orbit organ overuse perform "
    "permit person sofa some son soon sort sorry toast todo toe token tone tons too tool tool top "
    "total tow toward towards usage user uses using weight went were".split()
)
_LAST_WORD = re.compile(r"[^\W\d_]+$")
_FIRST_WORD = re.compile(r"[^\W\d_]+")
_SENTENCE_END = re.compile(r"[a-z]{2}[.!?]$")
_CLAUSE_END = re.compile(r"[^\W\d_]{2}[,;]$")


def missing_space(out: str, rest: str, *, code: bool) -> str:
    """A space, if `rest` begins a new word that would stick to the last one of `out`; else ""."""
    if code or not out or not rest:
        return ""
    if rest[0].isupper() and _SENTENCE_END.search(out):
        return " "
    if rest[0].isalpha() and _CLAUSE_END.search(out):
        return " "
    last, first = _LAST_WORD.search(out), _FIRST_WORD.match(rest)
    if last is None or first is None:
        return ""
    return " " if _are_two_words(last.group(), first.group(), out) else ""


def _are_two_words(last: str, first: str, out: str) -> bool:
    if not (last.isascii() and first.isascii()):
        return False
    joined = (last + first).lower()
    words = {word.lower() for word in re.findall(r"[^\W\d_]+", out[: -len(last)])}
    if joined in _COMMON or joined in _JOINED or joined in words:
        return False
    known = _COMMON | words
    return last.lower() in known and first.lower() in known
