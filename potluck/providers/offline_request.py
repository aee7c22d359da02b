"""A request in plain words, understood as a list of intents, in order."""

import re
from dataclasses import dataclass, replace

from potluck.providers.offline_arithmetic import to_expressions
from potluck.providers.offline_code import quote_code, read_code
from potluck.providers.offline_files import FileReader
from potluck.providers.offline_intent import Background, Gap, Intent
from potluck.providers.offline_quotes import QUOTE, RESULT, Quoted
from potluck.providers.offline_time import to_clock_calls

MAX_PARTS = 12
MAX_REQUEST_CHARS = 100_000
MAX_UNQUOTED_CHARS = 20_000

Part = Intent | Gap

_VERB = (
    r"(?:write|create|make|save|put|store|append|add|read|show|print|display|open|list|search|find|grep"
    r"|look|replace|change|edit|copy|delete|remove|rename|move|run|execute|calculate|compute|evaluate"
    r"|tell|give"
    r"|summari[sz]e|translate|explain|describe|rewrite|improve|analy[sz]e|fix|correct"
    r"|multiply|divide|subtract|what|which|how|then|also|please|count|convert|check)"
)
_THEN = (
    r"(?<!\s)\s*(?:[,;.]\s*)?(?:\band\s+)?\b(?:then|after that|afterwards?|finally|next"
    r"|after which)\b[,:]?\s+(?=\S)"
    rf"|(?:^|(?<!\s)\s*\n)\s*(?:\d+[.)]|[-*])\s+(?={_VERB}\b)"
    r"|(?<=て)から[、,]?"
    r"|(?<!\s)\s*[、。,]?(?:そして|それから|その後|そのあと|次に)[、,]?"
)
_PERHAPS = (
    rf"(?<=[!?;。？！])\s*(?!\s|{QUOTE})|\.\s+(?=\S)|;\s*"  # noqa: RUF001 - typed so
    rf"|(?<!\s)\s*\n\s*(?!\s|{QUOTE})"
    rf"|(?<!\s)\s*,\s*(?:and\s+)?(?={_VERB}\b)|(?<!\s)\s+and\s+(?={_VERB}\b)|(?<=て)、|(?<=て) "
)
_ITEM = re.compile(rf"(?:^|(?<!\s)\s+)\d{{1,2}}\)\s+(?={_VERB}\b)", re.IGNORECASE)
_FIRST_ITEM = re.compile(rf"(?:^|[\s:])1\)\s+{_VERB}\b", re.IGNORECASE)
_SPLIT = re.compile(f"({_THEN})|({_PERHAPS})", re.IGNORECASE)
_SEPARATOR = re.compile(r"^[\s,;.!?、。]*(?:and\s+)?(?:(?:also|please)\s+)?", re.IGNORECASE)
_PLACE_FIRST = re.compile(r"\W*(?:in|into|to)\s+(?:the file\s+)?\S+", re.IGNORECASE)
_SMALL_TALK = re.compile(
    r"(?:\W|\b(?:hi|hello|hey|there|good (?:morning|evening|afternoon|day)|thanks?|thank you|please"
    r"|do (?:the following|these|this)|first(?:ly)?|who are you|what can you do|help(?: me)?"
    r"|(?:show|tell|give) me the (?:result|answer|output)"
    r"|ok|okay|and|then|so|now|you|very much|a lot|cheers|potluck)\b"
    r"|こんにちは|ありがとう|ございます"
    r"|お願い(?:します)?|ください)*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Request:
    """What was understood: intents in order, and the gaps between them."""

    parts: tuple[Part, ...]

    @property
    def intents(self) -> list[Intent]:
        """The tool calls to make."""
        return [part for part in self.parts if isinstance(part, Intent)]

    @property
    def gaps(self) -> list[Gap]:
        """What cannot be done."""
        return [part for part in self.parts if isinstance(part, Gap)]


def understand(text: str, background: Background) -> Request:
    """Understand a request; what is not understood becomes a gap, never an error."""
    quoted = quote_code(Quoted.read(text[:MAX_REQUEST_CHARS]))
    if len(text) > MAX_REQUEST_CHARS or len(quoted.text) > MAX_UNQUOTED_CHARS:
        return Request(parts=(Gap("too_long", f"{MAX_UNQUOTED_CHARS:,}"),))
    reader = _Reader(quoted, background)
    for clause, is_surely_new in _clauses(_lines_of_list(quoted.text)):
        if not reader.has_room:
            break
        reader.take(clause, is_surely_new=is_surely_new)
    return Request(parts=tuple(reader.parts()))


@dataclass(frozen=True, slots=True)
class _Clause:
    text: str
    parts: tuple[Part, ...]
    background: Background


class _Reader:
    """Reads clause by clause; one that is no order may belong to the text of the one before."""

    def __init__(self, quoted: Quoted, background: Background) -> None:
        self._quoted = quoted
        self._background = background
        self._clauses: list[_Clause] = []
        self._count = 0

    @property
    def has_room(self) -> bool:
        """Whether more can be taken."""
        return self._count <= MAX_PARTS

    def take(self, clause: str, *, is_surely_new: bool) -> None:
        """Understand one clause, given those before."""
        parts = self._parts_of(_order(clause), self._background)
        if not parts and not is_surely_new and self._continues(clause):
            return
        if not parts and not _SMALL_TALK.fullmatch(clause):
            parts = [Gap("needs_llm", self._quoted.fill(_order(clause)))]
        self._add(_Clause(clause, tuple(parts), self._background))

    def parts(self) -> list[Part]:
        """All that was understood, bounded."""
        parts = [part for clause in self._clauses for part in clause.parts]
        intents = [part for part in parts if isinstance(part, Intent)]
        if len(parts) <= MAX_PARTS:
            return parts
        gaps = [part for part in parts if isinstance(part, Gap)]
        kept: list[Part] = [*intents[:MAX_PARTS], *gaps[: max(0, MAX_PARTS - len(intents))]]
        return [*kept, Gap("too_many", str(MAX_PARTS))]

    def _add(self, clause: _Clause) -> None:
        self._clauses.append(clause)
        self._count += len(clause.parts)
        for part in clause.parts:
            if isinstance(part, Intent):
                file = part.path or self._background.file
                self._background = replace(self._background, file=file, has_result=True)

    def _continues(self, clause: str) -> bool:
        """Add the clause to the text that the clause before writes, if that was unquoted."""
        last = self._clauses[-1] if self._clauses else None
        if last is None or not last.parts or clause.strip().endswith("?"):
            return False
        parts = self._longer(last, clause)
        if not parts:
            return False
        self._clauses.pop()
        self._count -= len(last.parts)
        self._add(_Clause(last.text + clause, tuple(parts), last.background))
        return True

    def _longer(self, last: _Clause, clause: str) -> list[Part]:
        """What the last clause means with this one added; empty if it takes no more."""
        text = last.text + clause
        part = last.parts[-1]
        if isinstance(part, Gap):
            if part.why != "no_text":
                return []
            parts = self._parts_of(_order(text), last.background)
            return parts if parts and isinstance(parts[-1], Intent) else []
        written = str(part.args["text"]).strip() if part.tool == "write_file" else ""
        if not written or written == RESULT or not last.text.rstrip().endswith(written):
            return []
        longer = text[last.text.rindex(written) :].strip()
        return [*last.parts[:-1], Intent(part.tool, {**part.args, "text": longer})]

    def _parts_of(self, clause: str, background: Background) -> list[Part]:
        if run := read_code(clause, self._quoted, background):
            return [run]
        files = FileReader(self._quoted, background, lambda text: self._facts(text, background))
        surely = self._facts(clause, background) if _begins_with_a_question(clause) else []
        return surely or files.read(clause) or self._facts(clause, background)

    def _facts(self, clause: str, background: Background) -> list[Part]:
        """Arithmetic, dates and times."""
        plain = self._quoted.fill(clause)
        calls = to_clock_calls(plain)
        if calls:
            return [Intent("current_time", args) for args in calls]
        expressions = to_expressions(plain, has_result=background.has_result)
        return [Intent("calculator", {"expression": e}) for e in expressions]


def _lines_of_list(text: str) -> str:
    """A list in one line, `1) read a.txt 2) read b.txt`, with a line for each item."""
    return _ITEM.sub("\n- ", text) if _FIRST_ITEM.search(text) else text


def _order(clause: str) -> str:
    """The clause without the separator that it begins with."""
    return _SEPARATOR.sub("", clause).strip()


def _begins_with_a_question(clause: str) -> bool:
    """Whether arithmetic or time is asked outright, so that `3.5` or `a/b` is no file."""
    return bool(
        re.match(
            r"\W*(?:calculate|compute|evaluate|how much|what(?:'s| is)\s+[\d(]|[\d(])",
            clause,
            re.IGNORECASE,
        )
    )


def _clauses(text: str) -> list[tuple[str, bool]]:
    """The pieces of a text that may each be an order, with the separator before each kept in it."""
    pieces: list[tuple[str, bool]] = []
    start = 0
    surely = True
    for found in _SPLIT.finditer(text):
        piece = text[start : found.start()]
        if not piece.strip() and found[1]:
            start, surely = found.end(), True
        if found.end() <= start or not piece.strip() or _PLACE_FIRST.fullmatch(piece):
            continue
        pieces.append((piece, surely))
        surely = bool(found[1])
        start = found.end() if surely else found.start()
    pieces.append((text[start:], surely))
    return [(piece, surely) for piece, surely in pieces if piece.strip()]
