"""Arithmetic in any wording, turned into an expression for the calculator."""

import re
import unicodedata
from collections.abc import Callable

from potluck.providers.offline_numbers import to_digits
from potluck.providers.offline_quotes import RESULT

MAX_CHARS = 1_000

_N = rf"(?:-?\d+(?:[,_]\d+)*(?:\.\d+)?%?|{RESULT}|pi|\([^()]*\))"
_LIST = rf"{_N}(?:\s*(?:,\s*and|,|and|&)\s*{_N})+"
_FUNCTIONS = (
    "abs|acos|asin|atan|atan2|cbrt|ceil|comb|cos|degrees|exp|factorial|floor|gcd|hypot|lcm|ln|log"
    "|log10|log2|max|mean|median|min|percent|perm|pow|radians|root|round|sin|sqrt|sum|tan"
)
_TOKEN = (
    rf"\d[\d,_]*(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+|{RESULT}|(?:{_FUNCTIONS})(?=\s*[\d(])"
    r"|(?:pi|tau|e|mod)(?![a-z])"
    r"|(?<=%)\s*of|x(?=\s*[\d(])|\*\*|//|[<>=!]=|[-+*/^%!()<>,°√²³×·÷−\[\]]"  # noqa: RUF001 - typed so
)
_EXPRESSION = re.compile(rf"(?<![a-z])(?:\s*(?:{_TOKEN}))+\s*(?![a-z])")
_OPERATION = re.compile(rf"[-+*/^%!<>°√²³×·÷−]|==|\bmod\b|\bx\b|(?:{_FUNCTIONS})\s*[\d(]")  # noqa: RUF001
_OPERAND = re.compile(rf"\d|{RESULT}|pi|tau|\be\b")
_LOOKS_LIKE_A_DATE = re.compile(r"\d{4}[-/]\d{1,2}[-/]\d{1,2}|\d{1,2}/\d{1,2}/\d{4}|24/7")
# In the middle of prose only these show that arithmetic is meant: 3-5 may be a range.
_CLEARLY = re.compile(
    r"[\d)]\s*(?:[*^+×÷]|x\s*\d|\s[-/−]\s)\s*[\d(.]|\d\s*%\s*of\s*\d|(?:sqrt|log|sin|cos)\s*\("  # noqa: RUF001
)

_LEAD = re.compile(
    r"(?:(?:please|hey|so|ok|okay|then|and|now|also|can you|could you|would you|will you|tell me"
    r"|give me|show me|i want to know|i need to know|do you know|what(?:'s| is|s| are| does| do)?"
    r"|how much(?: is| are| does| do)?|how many(?: is| are)?|calculate|compute|evaluate|work out"
    r"|find|solve|determine|figure out|say|is|are|the (?:answer|result|value|solution)"
    r"(?: of| to| for)?|the|value of|result of|of|for)\b|[:,\s=>]+(?=[a-z])"
    r"|計算して|計算|次の)\s*[:,]?\s*"
)
_TAIL = re.compile(
    r"(?:\s*\b(?:please|equals?(?: to)?|make|makes|be|thanks|thank you|now|for me|exactly|in total"
    r"|altogether|is what|gives?|come to)|\s*[?=。？]|(?<![\d)])\s*!|\.(?!\d)"  # noqa: RUF001
    r"|(?:を計算)?(?:して)?(?:ください|下さい)|の?答えは?|を?教えて|を計算(?:して)?|は?いくつ|は?いくら"
    r"|は?何|は?なに|です|でしょう|になりますか|になる|か|は|って)\s*$"
)


def _list(text: str) -> list[str]:
    """The numbers of `1, 2 and 3`; a comma with three digits after it stays: 1,000."""
    parts = re.split(r"\s*(?:,\s+and|,\s+|,?\s*\band\b|&)\s*", text)
    if len(parts) == 1 and not re.fullmatch(r"\d{1,3}(?:,\d{3})+", text):
        parts = text.split(",")
    return [part.strip().replace(",", "") for part in parts if part.strip()]


def _call(name: str) -> Callable[[re.Match[str]], str]:
    return lambda found: f"{name}({', '.join(_list(found[1]))})"


def _joined(sign: str) -> Callable[[re.Match[str]], str]:
    return lambda found: f"({f' {sign} '.join(_list(found[1]))})"


# Order matters: phrases of several words come before the words in them.
_WORDING: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = tuple(
    (re.compile(pattern), to)
    for pattern, to in (
        (r"(?<=[a-z)])-(?=[a-z])", " "),
        (r"\b(?:per\s?cent|パーセント)\b|パーセント", "%"),
        (r"\bdegrees?\b(?!\s*\()", "°"),
        (rf"\bthe square root of\s+({_N})|\bsquare root of\s+({_N})", r"sqrt(\1\2)"),
        (rf"\bthe cube root of\s+({_N})|\bcube root of\s+({_N})", r"cbrt(\1\2)"),
        (rf"\b(?:the )?square of\s+({_N})", r"\1^2"),
        (rf"\b(?:the )?cube of\s+({_N})", r"\1^3"),
        (rf"\b(?:the )?factorial of\s+({_N})", r"factorial(\1)"),
        (r"(\d)\s+factorial\b", r"\1!"),
        (r"\bsquare root\b|ルート", "sqrt "),
        (rf"\b(?:the )?(?:sine|sin) of\s+({_N}\s*°?)", r"sin(\1)"),
        (rf"\b(?:the )?(?:cosine|cos) of\s+({_N}\s*°?)", r"cos(\1)"),
        (rf"\b(?:the )?(?:tangent|tan) of\s+({_N}\s*°?)", r"tan(\1)"),
        (rf"\b(?:the )?(?:natural log(?:arithm)?|ln) of\s+({_N})", r"ln(\1)"),
        (rf"\b(?:the )?log(?:arithm)? of\s+({_N})", r"log(\1)"),
        (rf"\b(?:the )?sum of\s+({_LIST})", _call("sum")),
        (rf"\b(?:the )?product of\s+({_LIST})", _joined("*")),
        (rf"\b(?:the )?difference (?:between|of)\s+({_LIST})", _joined("-")),
        (rf"\b(?:the )?quotient of\s+({_LIST})", _joined("/")),
        (rf"\b(?:the )?(?:average|mean) of\s+({_LIST})", _call("mean")),
        (rf"\b(?:the )?median of\s+({_LIST})", _call("median")),
        (rf"\b(?:the )?(?:maximum|max|largest|biggest) of\s+({_LIST})", _call("max")),
        (rf"\b(?:the )?(?:minimum|min|smallest) of\s+({_LIST})", _call("min")),
        (rf"\b(?:the )?(?:gcd|greatest common divisor) of\s+({_LIST})", _call("gcd")),
        (rf"\b(?:the )?(?:lcm|least common multiple) of\s+({_LIST})", _call("lcm")),
        (rf"\b(?:add|sum)(?: up)?\s+({_LIST})", _call("sum")),
        (rf"\badd\s+({_N})\s+to\s+({_N})", r"\2 + \1"),
        (rf"\bsubtract\s+({_N})\s+from\s+({_N})", r"\2 - \1"),
        (rf"\bmultiply\s+({_LIST})", _joined("*")),
        (rf"\bmultiply\s+({_N})\s+(?:by|with)\s+({_N})", r"\1 * \2"),
        (rf"\bdivide\s+({_N})\s+by\s+({_N})", r"\1 / \2"),
        (rf"\b(?:increase|raise)\s+({_N})\s+by\s+({_N})", r"\1 + \2"),
        (rf"\b(?:decrease|reduce|lower)\s+({_N})\s+by\s+({_N})", r"\1 - \2"),
        (rf"({_N})\s+off(?: of)?\s+({_N})", r"\2 - \1"),
        (
            rf"\b(?:the )?remainder (?:of|when)\s+({_N})\s+(?:is )?divided by\s+({_N})",
            r"\1 mod \2",
        ),
        (rf"\bsquare\s+({_N})", r"\1^2"),
        (rf"\bcube\s+({_N})", r"\1^3"),
        (r"\b(?:a |one )?half of\b", "(1/2) *"),
        (r"\b(?:a |one )?third of\b", "(1/3) *"),
        (r"\b(?:a |one )?quarter of\b", "(1/4) *"),
        (rf"\b(?:double|twice)\s+({_N})", r"2 * \1"),
        (rf"\b(?:triple|thrice)\s+({_N})", r"3 * \1"),
        (rf"\bhalve\s+({_N})", r"\1 / 2"),
        (r"\b(?:multiplied by|times)\b|かける|掛ける", "*"),
        (r"\b(?:divided by|over)\b|わる|割る", "/"),
        (r"\bplus\b|足す|たす|プラス", "+"),
        (r"\b(?:minus|less)\b|引く|ひく|マイナス", "-"),
        (r"\b(?:raised )?to the (?:power of|power)\b|\braised to\b", "^"),
        (r"\bto the (\d+)(?:st|nd|rd|th)(?: power)?\b", r"^\1"),
        (r"\bsquared\b|の二乗|の2乗", "^2"),
        (r"\bcubed\b|の三乗|の3乗", "^3"),
        (r"の(\d+)乗", r"^\1"),
        (r"(\d[\d,]*(?:\.\d+)?)の(\d[\d.]*\s*%)", r"\1 * \2"),
        (r"\b(?:modulo|modulus)\b", "mod"),
        (r"(?<=%) of\b", " *"),
    )
)
_ANAPHOR = re.compile(
    r"\b(?:(?:the|that|this) (?:result|answer|total|sum|number|value)|that|it|this|ans)\b"
    r"|その結果|それ"
)


def to_expressions(clause: str, *, has_result: bool) -> list[str]:
    """The expressions that a clause asks to calculate; RESULT in them stands for the last result.

    `has_result` tells whether there is one to refer to. Empty if no arithmetic is meant.
    """
    if len(clause) > MAX_CHARS or not (_has_numbers(clause) or has_result):
        return []
    text = unicodedata.normalize("NFKC", _keep_superscripts(clause)).strip()
    if plain := _whole(_bare(text.lower()) if text else "", has_result=has_result):
        return [plain]
    worded = _bare(_translated(text.lower(), has_result=has_result))
    if whole := _whole(worded, has_result=has_result):
        return [whole]
    parts = [_bare(part) for part in re.split(r"\s*(?:,|;|\band\b)\s+", worded)]
    if len(parts) > 1 and all(_whole(part, has_result=has_result) for part in parts):
        return [_whole(part, has_result=has_result) for part in parts]
    return _inside(worded)


def _has_numbers(clause: str) -> bool:
    lower = clause.lower()
    return bool(re.search(r"\d|\bpi\b|\be\b", lower)) or to_digits(lower) != lower


def _keep_superscripts(text: str) -> str:
    return text.replace("²", "^2").replace("³", "^3")


def _translated(text: str, *, has_result: bool) -> str:
    text = to_digits(text)
    if has_result:
        text = _ANAPHOR.sub(RESULT, text)
    for pattern, to in _WORDING:
        text = pattern.sub(to, text)
    return text


def _bare(text: str) -> str:
    """The clause without the words around the expression."""
    text = text.strip()
    while (lead := _LEAD.match(text)) and lead.end():
        text = text[lead.end() :]
    while tail := _TAIL.search(text):
        text = text[: tail.start()].rstrip()
    return text


def _whole(text: str, *, has_result: bool) -> str:
    """The text if all of it is one expression that has something to calculate, else empty."""
    if not _EXPRESSION.fullmatch(text) or not _OPERAND.search(text):
        return ""
    if not _OPERATION.search(text) or _LOOKS_LIKE_A_DATE.fullmatch(text.strip()):
        return ""
    if has_result and re.match(r"(?:[*/^+]|mod\b|-\s)", text):  # "and times 3?"
        return f"{RESULT} {text}"
    return text


def _inside(text: str) -> list[str]:
    """The longest clear expression in the middle of other words."""
    found = [match[0].strip(" ,") for match in _EXPRESSION.finditer(text)]
    clear = [one for one in found if _CLEARLY.search(one) and not _LOOKS_LIKE_A_DATE.search(one)]
    return [max(clear, key=len)] if clear else []
