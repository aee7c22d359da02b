"""Whether a text holds what should never be written down: keys, passwords, card numbers."""

import math
import re
from collections import Counter

_KNOWN = re.compile(
    r"\b(?:sk|pk|rk)[-_](?:[\w]+[-_])?[\w-]{16,}"
    r"|\b(?:gsk_|hf_|ghp_|gho_|github_pat_|glpat-|xox[abprs]-|AIza|AKIA|ASIA|ya29\.|r8_|nvapi-|csk-|tvly-)"
    r"[\w.-]{10,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|\b[a-z][a-z0-9+.-]*://[^\s/:@]+:[^\s/@]+@"
)
_NAMED = re.compile(
    r"(?:pass(?:word|phrase|code)|passwd|\bpin\b|secret|api[ _-]?key|access[ _-]?key|token|"
    r"private[ _-]?key|credential|パスワード|暗証番号|秘密鍵|APIキー|トークン)"
    r"[^\n.。]{0,30}?(?:[:=\uff1a]|\bis\b|\bare\b|は|が)\s*[\"'「]?(?P<value>[^\s\"'」、。]{3,})",
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Za-z0-9+/=_-]{20,}")
_CARD = re.compile(r"(?<!\d)(?:\d[ -]?){13,19}(?!\d)")
# Words of a language lie well below, random keys above
_RANDOM_BITS = 3.6
# What people say of a password without telling it
_NOT_VALUES = frozenset(
    {"not", "in", "the", "a", "an", "my", "too", "very", "kept", "stored", "saved", "set", "wrong"}
)


def holds_secret(text: str) -> bool:
    """Whether a key, a password or a card number seems to stand in the text."""
    if _KNOWN.search(text) or any(_is_told(found) for found in _NAMED.finditer(text)):
        return True
    if any(_is_card(found[0]) for found in _CARD.finditer(text)):
        return True
    return any(_is_random(word) for word in _WORD.findall(text))


def _is_told(found: re.Match[str]) -> bool:
    return found["value"].lower() not in _NOT_VALUES


def _is_random(word: str) -> bool:
    """Mixed of letters and digits, with hardly a sign repeated: nobody says such a word."""
    kinds = (r"[a-z]", r"[A-Z]", r"\d")
    mixed = sum(bool(re.search(kind, word)) for kind in kinds)
    shares = [count / len(word) for count in Counter(word).values()]
    bits = -sum(share * math.log2(share) for share in shares)
    return mixed > 1 and bool(re.search(r"\d", word)) and bits > _RANDOM_BITS


def _is_card(digits: str) -> bool:
    """By Luhn's check digit."""
    numbers = [int(letter) for letter in digits if letter.isdigit()]
    doubled = [
        n if place % 2 == 0 else (2 * n - 9 if n > 4 else 2 * n)
        for place, n in enumerate(reversed(numbers))
    ]
    return len(set(numbers)) > 1 and sum(doubled) % 10 == 0
