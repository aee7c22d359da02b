"""Numbers in words, turned into digits: twenty-three, two hundred and five, three point five."""

import re

_UNITS = {
    word: value
    for value, word in enumerate(
        (
            *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
            *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"),
            *("seventeen", "eighteen", "nineteen"),
        )
    )
}
_TENS = {
    word: 10 * value
    for value, word in enumerate(
        ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"), start=2
    )
}
_SCALES = {
    "hundred": 100,
    "thousand": 1_000,
    "million": 1_000_000,
    "billion": 1_000_000_000,
    "trillion": 1_000_000_000_000,
}
_WORD = "|".join([*_UNITS, *_TENS, *_SCALES])
_DIGIT = "|".join(list(_UNITS)[:10])
_NUMBER = re.compile(
    rf"\b(?:(?:an?|\d+(?:\.\d+)?)\s+(?=hundred|thousand|million|billion|trillion))?"
    rf"(?:{_WORD})(?:(?:[\s-]+|\s+and\s+(?=\w))(?:{_WORD})\b)*"
    rf"(?:\s+point(?:\s+(?:{_DIGIT}))+)?\b"
)


def to_digits(text: str) -> str:
    """Lower-case text with its number words as digits."""
    return _NUMBER.sub(lambda found: _value(found[0]), text)


def _value(words: str) -> str:
    whole, _, fraction = words.partition(" point ")
    parts = [part for part in re.split(r"[\s-]+", whole) if part != "and"]
    if " and " in whole and not any(part in _SCALES for part in parts):
        return words_apart(whole)
    digits = "".join(str(_UNITS[word]) for word in fraction.split())
    value = _sum(parts)
    shown = str(int(value)) if value == int(value) else str(value)
    return f"{shown}.{digits}" if digits else shown


def words_apart(words: str) -> str:
    """`two and three` are two numbers, unlike `two hundred and three`."""
    return " and ".join(_value(part) for part in words.split(" and "))


def _sum(parts: list[str]) -> float:
    total: float = 0
    group: float = 0
    for part in parts:
        if part in _SCALES:
            scale = _SCALES[part]
            group = (group or 1) * scale
            if scale > 100:
                total, group = total + group, 0
        elif part in {"a", "an"}:
            group = 1
        else:
            group += _UNITS.get(part, _TENS.get(part, 0)) or _digits(part)
    return total + group


def _digits(part: str) -> float:
    return float(part) if part[:1].isdigit() else 0
