"""Questions for the date and the time, turned into places and days for the clock."""

import re

MAX_CHARS = 300

_QUESTION = re.compile(
    r"\b(?:what|which|tell|give|show|know|check|get|say)\b[^.!?]*"
    r"\b(?:time|date|day|weekday|year|month|today)\b"
    r"|\b(?:current|local|exact|present) (?:time|date|day|year|month)\b"
    r"|\b(?:today|tomorrow|yesterday)'?s (?:date|day)\b|\btime (?:is it|now|in)\b"
    r"|\bdate (?:today|in)\b"
    r"|\b(?:date and time|time and date|day of the week|today is|is (?:it|today) (?:mon|tues|wednes"
    r"|thurs|fri|satur|sun)day)\b|\bdays? (?:ago|from (?:now|today))\b"
)
_BARE = re.compile(r"(?:the )?(?:time|date|today|now|time now|date today)")
# "What time does the shop open?" and "how long did it take" ask for something else.
_OTHER = re.compile(
    r"\b(?:time|date|day|year|month)s? (?:does|do|did|should|can|could|would|to|for|limit|zone)\b"
    r"|\b(?:first|last|next|best|same|long|every|each|some|any|this|that|many|release|due|birth"
    r"|independence|national) (?:time|date|day|year|month)\b|\btimes\b|\btime complexity\b"
    r"|\bwhat (?:year|day|date|time|month) was\b(?!.*\b(?:yesterday|ago)\b)"
    r"|\bdays? (?:are|is) (?:there |in )"
)
_JAPANESE = re.compile(r"何時|何曜日|何日|何年|何月|日付|時刻|今日は?$|今の時間|現在の時間|曜日")
_JAPANESE_DAYS = {"明後日": 2, "あさって": 2, "一昨日": -2, "明日": 1, "昨日": -1}
_JAPANESE_WORDS = re.compile(
    r"明後日|あさって|一昨日|明日|昨日|今日|本日|ただいま|いま|今|現在|現地|何時|何曜日|何日|何年|何月|日付|時刻"
    r"|時間|曜日|西暦|教えて|おしえて|ください|下さい|でしょうか|でしたか|でした|ですか|です|では|には|の|は|で|を|に|か|と|、|,"
    r"|。|\?|？|\s"  # noqa: RUF001 - typed so
)

_NUMBER = {"a": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7}
_COUNT = rf"(\d{{1,6}}|{'|'.join(_NUMBER)})"
_SHIFTS: tuple[tuple[re.Pattern[str], int], ...] = (
    (
        re.compile(
            rf"\b(?:in|after) {_COUNT} days?\b(?! ago)|\b{_COUNT} days? from (?:now|today)\b"
        ),
        1,
    ),
    (re.compile(rf"\b(?:in )?{_COUNT} days? ago\b"), -1),
    (re.compile(rf"\bin {_COUNT} weeks?\b|\b{_COUNT} weeks? from (?:now|today)\b"), 7),
    (re.compile(rf"\b{_COUNT} weeks? ago\b"), -7),
)
_DAYS: tuple[tuple[re.Pattern[str], int], ...] = (
    (re.compile(r"\bthe day after tomorrow\b|\bday after tomorrow\b"), 2),
    (re.compile(r"\bthe day before yesterday\b|\bday before yesterday\b"), -2),
    (re.compile(r"\btomorrow(?:'s)?\b"), 1),
    (re.compile(r"\byesterday(?:'s)?\b"), -1),
)
_PLACE = re.compile(r"\b(?:in|at|for|over in)\s+(?:the (?:city of )?)?([^?!;:()]+)", re.IGNORECASE)
_BEFORE = re.compile(r"\b((?:[A-Z][\w.]*[ ]?){1,3}|UTC|GMT|[A-Z]{3,4})(?:'s)? (?:time|date)\b")
_NOT_A_PLACE = re.compile(
    r"(?:\s*\b(?:right now|now|today|tomorrow|please|currently|at the moment|this moment|local time"
    r"|is it|right|there|here|my (?:area|city|country|timezone|time zone|place)|my|the|moment"
    r"|words?|iso(?: format)?|english|japanese|it)\b|[.,\s])+$",
    re.IGNORECASE,
)
_QUESTION_WORDS = frozenset({"what", "the", "current", "local", "which", "tell", "show", "exact"})


def to_clock_calls(clause: str) -> list[dict[str, object]]:
    """The clock's arguments for each place that a clause asks about; empty if it asks no time."""
    if len(clause) > MAX_CHARS:
        return []
    if _JAPANESE.search(clause):
        return [_japanese(clause)]
    text = clause.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").strip()
    lower = re.sub(r"\bwhats\b", "what's", text.lower())
    bare = _BARE.fullmatch(re.sub(r"[?!.]|\bplease\b", "", lower).strip())
    if not bare and (not _QUESTION.search(lower) or _OTHER.search(lower)):
        return []
    days, rest = _take_days(text)
    places = _places(rest) or [""]
    return [_arguments(place, days) for place in places]


def _arguments(place: str, days: int) -> dict[str, object]:
    return {"timezone": place} | ({"days": days} if days else {})


def _take_days(text: str) -> tuple[int, str]:
    """How many days away is meant, and the text without the words that say so."""
    for pattern, unit in _SHIFTS:
        if found := re.search(pattern.pattern, text, re.IGNORECASE):
            count = next(group for group in found.groups() if group).lower()
            number = _NUMBER.get(count) or int(count)
            return unit * number, text[: found.start()] + text[found.end() :]
    for pattern, days in _DAYS:
        if found := re.search(pattern.pattern, text, re.IGNORECASE):
            return days, text[: found.start()] + text[found.end() :]
    return 0, text


def _places(text: str) -> list[str]:
    """The places named after `in`, or before `time`."""
    found = _PLACE.search(text) or _BEFORE.search(text)
    if found is None or found[1].split()[0].lower() in _QUESTION_WORDS:
        return []
    named = found[1]
    parts = re.split(r"\s*(?:,\s*)?(?:\band\b|&|\bin\b)\s*(?:in\s+)?", named)
    if len(parts) > 1:
        parts = [piece for part in parts for piece in part.split(",")]
    plain = (_NOT_A_PLACE.sub("", part).strip(" ,.'\"") for part in parts)
    return [place for place in plain if place]


def _japanese(clause: str) -> dict[str, object]:
    days = next((shift for word, shift in _JAPANESE_DAYS.items() if word in clause), 0)
    place = _JAPANESE_WORDS.sub("", clause).strip()
    return _arguments(place if len(place) <= 20 else "", days)
