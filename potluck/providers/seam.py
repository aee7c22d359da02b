"""The seam between what is out of a broken answer and the text that another model goes on with."""

import re
from dataclasses import dataclass

from potluck.providers.seam_words import missing_space

# Models repeat a text with other line breaks and other markup: neither is compared
_INSIGNIFICANT = frozenset("*_`#>~")
# A continuation that agrees so far with the beginning of the answer is a new start, not chance
_RESTART_LETTERS = 24
_TAIL_LETTERS = 12
_FENCE = re.compile(r"\s*```[\w+-]+[^\S\n]*\n")
_FENCE_BEGINS = re.compile(r"\s*(?:`{1,2}|```[\w+-]*[^\S\n]*)?")
_REMARK = re.compile(
    r"\s*(?:(?:\.\.\.|…)\s*"
    r"|(?:sure|certainly|of course|ok|okay|sorry|apologies|here|continuing)\b[^\n]{0,120}\n\s*)",
    re.IGNORECASE,
)
_REMARK_BEGINS = re.compile(
    r"\s*(?:\.{0,2}|(?:sure|certainly|of course|ok|okay|sorry|apologies|here|continuing)\b[^\n]{0,120})",
    re.IGNORECASE,
)


class NotContinuedError(Exception):
    """The model answered anew in other words: nothing of it fits to what is out."""


@dataclass(frozen=True, slots=True)
class _Overlap:
    """The end of what is out, from the letter `start`, is the first `letters` of the new text."""

    start: int
    letters: int


class Seam:
    """Joins a continuation to the text that is out, without a gap and without a repeated word.

    Feed it the continuation as it comes; it gives back what may follow what is out. The first
    words are kept until it is clear how much of them repeats: the last words, the last sentence,
    or everything from the beginning. Raises NotContinuedError for an answer begun anew.
    """

    def __init__(self, out: str) -> None:
        self._out = out
        self._places = _significant(out)
        self._letters = "".join(out[place] for place in self._places)
        self._pending = _word_starts(out, self._places)
        self._complete: list[_Overlap] = []
        self._restarted = 0
        self._in_fence = out.count("```") % 2 == 1
        self._lead: int | None = None
        self._new = ""
        self._new_places: list[int] = []
        self._joined = False

    def feed(self, piece: str) -> str:
        """What may go out now that this piece has come."""
        if self._joined:
            return piece
        self._new += piece
        if self._find_lead(ended=False):
            self._match()
        return self._decide(ended=False)

    def finish(self) -> str:
        """What is still to go out when the continuation has ended."""
        if self._joined:
            return ""
        self._find_lead(ended=True)
        self._match()
        length = len(self._new_places)
        ends = [start for start in self._pending if start + length == len(self._letters)]
        self._complete += [_Overlap(start, length) for start in ends if length]
        if 0 in self._pending:
            self._restarted = length
        self._pending = []
        return self._decide(ended=True)

    def _find_lead(self, *, ended: bool) -> bool:
        """Whether it is known what stands before the continuation proper: a fence or a remark."""
        if self._lead is not None:
            return True
        whole = (_FENCE if self._in_fence else _REMARK).match(self._new)
        begun = (_FENCE_BEGINS if self._in_fence else _REMARK_BEGINS).fullmatch(self._new)
        if begun and not ended:
            return False
        self._lead = whole.end() if whole and not begun else 0
        return True

    def _match(self) -> None:
        done = self._new_places[-1] + 1 if self._new_places else self._lead or 0
        for place in _significant(self._new, done):
            letter, length = self._new[place], len(self._new_places)
            self._new_places.append(place)
            still = []
            for start in self._pending:
                if start + length == len(self._letters):
                    self._complete.append(_Overlap(start, length))
                elif self._letters[start + length] == letter:
                    still.append(start)
                elif start == 0:
                    self._restarted = length
            self._pending = still

    def _decide(self, *, ended: bool) -> str:
        if self._lead is None or (self._pending and not ended):
            return ""
        if not self._letters:
            return self._join(len(self._out) if self._new.startswith(self._out) else 0)
        for overlap in sorted(self._complete, key=lambda found: found.start):
            if self._is_meant(overlap):
                return self._join(self._new_places[overlap.letters - 1] + 1)
        if self._restarted >= _RESTART_LETTERS:
            return self._catch_up(ended=ended)
        return self._join(0)

    def _is_meant(self, overlap: _Overlap) -> bool:
        """Whether so much agreement is a repetition, not the chance of two words alike."""
        text = self._out[self._places[overlap.start] :]
        words = len(re.findall(r"\w+", text))
        if overlap.start == 0 or words >= 3:
            return True
        first, last = self._new[self._lead or 0], self._out[-1]
        if (first.isspace() and not last.isspace()) or not words:
            return False
        if words == 2 or overlap.letters >= 4:
            return True
        if not (first.isalnum() and last.isalnum()):
            return False
        if text.isdigit():
            return overlap.letters >= 3
        end = self._new_places[overlap.letters - 1] + 1
        goes_on = self._new[end : end + 1].isalnum()
        return overlap.letters >= 2 or not goes_on

    def _catch_up(self, *, ended: bool) -> str:
        """Skip an answer begun anew up to the words with which what is out ends."""
        tail = self._tail()
        letters = "".join(self._new[place] for place in self._new_places)
        found = letters.find(tail, len(self._letters) // 2) if tail else -1
        if found < 0 or found + len(tail) == len(letters):
            if not ended:
                return ""
            if found < 0:
                raise NotContinuedError
        return self._join(self._new_places[found + len(tail) - 1] + 1)

    def _tail(self) -> str:
        """The letters of the last words that is out, enough of them to be sure; or nothing."""
        for start in reversed(_word_starts(self._out, self._places)):
            tail = self._letters[start:]
            if len(tail) >= _TAIL_LETTERS and len(self._out[self._places[start] :].split()) >= 3:
                return tail
        return ""

    def _join(self, cut: int) -> str:
        self._joined = True
        if cut:
            return self._without_repeated_markup(self._new[cut:])
        rest = self._new[self._lead or 0 :] if self._in_fence else self._new
        return missing_space(self._out, rest, code=self._in_fence) + rest

    def _without_repeated_markup(self, rest: str) -> str:
        last = self._places[-1] + 1 if self._places else len(self._out)
        tail = self._out[last:]
        for size in range(len(tail), 0, -1):
            if rest.startswith(tail[-size:]):
                return rest[size:]
        return rest


def _significant(text: str, begin: int = 0) -> list[int]:
    """The places of the characters that are compared."""
    return [
        place
        for place in range(begin, len(text))
        if not text[place].isspace() and text[place] not in _INSIGNIFICANT
    ]


def _word_starts(text: str, places: list[int]) -> list[int]:
    """Which of these places begin a word, a sign, or a letter of a script without spaces."""
    return [
        number
        for number, place in enumerate(places)
        if place == 0
        or not (text[place - 1].isalnum() and text[place].isalnum())
        or text[place] >= "\u2e80"
    ]
