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
_ITEM = re.compile(r"\s*(?:[-+•]|\d+[.)])\s*")
_REMARK_WORDS = (
    "sure",
    "certainly",
    "of course",
    "ok",
    "sorry",
    "apologies",
    "here",
    "continuing",
    "...",
    "…",
)
_REMARK = re.compile(
    r"\s*(?:\.\.\.|…|(?:sure|certainly|of course|ok|okay|sorry|apologies|here|continuing)\b"
    r"[^\n]{0,120}\n)\s*",
    re.IGNORECASE,
)
_REMARK_LETTERS = 130


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
        self._in_fence = out.count("```") % 2 == 1 and "\n" in out.rpartition("```")[2]
        self._new = ""
        self._joined = False
        self._fence: int | None = None if self._in_fence else 0
        self._remark: int | None = None
        self._begin(0)

    def _begin(self, place: int) -> None:
        """Compare what is new from this place on."""
        self._from = place
        self._new_places: list[int] = []
        self._pending = _word_starts(self._out, self._places)
        self._complete: list[_Overlap] = []
        self._restarted = 0

    def feed(self, piece: str) -> str:
        """What may go out now that this piece has come."""
        if self._joined:
            return piece
        self._new += piece
        return self._decide(ended=False)

    def finish(self) -> str:
        """What is still to go out when the continuation has ended."""
        return "" if self._joined else self._decide(ended=True)

    def _decide(self, *, ended: bool) -> str:
        if self._fence is None and not self._skip_fence(ended=ended):
            return ""
        self._match(ended=ended)
        if (self._pending or not self._new_places) and not ended:
            return ""
        cut = self._repeated()
        if cut is not None:
            return self._join(cut)
        if self._restarted >= _RESTART_LETTERS:
            return self._catch_up(ended=ended)
        if self._remark is None:
            return self._skip_remark(ended=ended)
        return self._join_new(ended=ended)

    def _join_new(self, *, ended: bool) -> str:
        """All of it is new. Whether a space is missing can be told when a word has ended."""
        inside_a_word = self._out[-1:].isalpha() and self._new[self._fence or 0 :].isalpha()
        return "" if inside_a_word and not ended else self._join(0)

    def _repeated(self) -> int | None:
        """Where the new text ends to repeat what is out; None when it does not repeat."""
        if not self._letters:
            begin = len(self._new) - len(self._new.lstrip())
            return begin + len(self._out) if self._new.startswith(self._out, begin) else 0
        for overlap in sorted(self._complete, key=lambda found: found.start):
            if self._is_meant(overlap):
                return self._new_places[overlap.letters - 1] + 1
        return None

    def _skip_fence(self, *, ended: bool) -> bool:
        """Inside a block of code, models open the block again. Whether it is known if so."""
        if _FENCE_BEGINS.fullmatch(self._new) and not ended:
            return False
        found = _FENCE.match(self._new)
        self._fence = found.end() if found else 0
        self._begin(self._fence)
        return True

    def _skip_remark(self, *, ended: bool) -> str:
        """If the new text begins with words about itself, compare what follows them."""
        if _may_become_remark(self._new) and not ended:
            return ""
        found = _REMARK.match(self._new)
        self._remark = found.end() if found else 0
        if not self._remark:
            return self._join_new(ended=ended)
        self._begin(self._remark)
        return self._decide(ended=ended)

    def _match(self, *, ended: bool) -> None:
        begin = self._new_places[-1] + 1 if self._new_places else self._from
        for place in _significant(self._new, begin):
            letter, length = self._new[place], len(self._new_places)
            self._new_places.append(place)
            self._pending = [s for s in self._pending if self._goes_on(s, length, letter)]
        if ended:
            length = len(self._new_places)
            self._pending = [s for s in self._pending if self._goes_on(s, length, "")]

    def _goes_on(self, start: int, length: int, letter: str) -> bool:
        """Whether the overlap from `start` still holds with one more letter; notes its end."""
        if start + length == len(self._letters):
            if length:
                self._complete.append(_Overlap(start, length))
            return False
        if self._letters[start + length] == letter:
            return True
        if start == 0:
            self._restarted = length
        return False

    def _is_meant(self, overlap: _Overlap) -> bool:
        """Whether so much agreement is a repetition, not the chance of two words alike."""
        text = self._out[self._places[overlap.start] :]
        words = len(re.findall(r"\w+", text))
        # After a remark stands a blank that belongs to neither
        first = self._new[self._new_places[0] if self._remark else self._from]
        if self._is_longer_word(text, overlap.letters):
            return False
        if overlap.start == 0 or words >= 3:
            return True
        if first.isspace() and not self._out[-1].isspace():
            return words == 2 and overlap.letters >= 6
        if words == 2 or (words and overlap.letters >= 4):
            return True
        return self._is_item_again(overlap) or self._is_word_again(text, overlap.letters)

    def _is_longer_word(self, text: str, letters: int) -> bool:
        """Whether a word that had ended goes on in the new text: it is another one."""
        had_ended = not text[-1].isalnum() and text.rstrip()[-1].isalnum()
        return had_ended and self._after(letters).isalnum()

    def _is_word_again(self, word: str, letters: int) -> bool:
        """Whether a short last word stands there again, whole now, and not the rest of it."""
        word = re.sub(r"\W+\Z", "", word)
        goes_on = self._after(letters).isalnum()
        if word.isdigit():
            return letters >= 3 if goes_on else letters >= 2
        return word.isalpha() and (letters >= 2 or not goes_on)

    def _is_item_again(self, overlap: _Overlap) -> bool:
        """Whether what is out ends with the sign that begins an item, which stands there again."""
        line = self._out[self._out.rfind("\n") + 1 :]
        begins_line = self._places[overlap.start] >= len(self._out) - len(line)
        return begins_line and bool(_ITEM.fullmatch(line)) and self._after(overlap.letters) == " "

    def _after(self, letters: int) -> str:
        end = self._new_places[letters - 1] + 1
        return self._new[end : end + 1]

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
        rest = self._new[self._fence or 0 :]
        if self._out.endswith("```") and rest.startswith("```"):
            return rest[3:]
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


def _may_become_remark(text: str) -> bool:
    begun = text.lstrip().lower()
    if "\n" in begun or len(begun) > _REMARK_LETTERS:
        return False
    return any(word.startswith(begun[: len(word)]) for word in _REMARK_WORDS) and begun[:3] != "..."
