"""What PostgreSQL and UTF-8 cannot store, though JSON can carry it."""

import math
import re
from collections.abc import Iterable
from itertools import chain

MAX_DEPTH = 100
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def unstorable_in(value: object, depth: int = MAX_DEPTH) -> str | None:
    """Why a JSON value cannot be stored, in a sentence; None when it can."""
    if depth == 0:
        return f"The body is nested deeper than {MAX_DEPTH} levels."
    if isinstance(value, str):
        bad = UNSTORABLE.search(value)
        return "A text holds NUL or half a surrogate pair: no valid text." if bad else None
    if isinstance(value, float) and not math.isfinite(value):
        return "A number is too large, or none: JSON knows neither infinity nor NaN."
    inner: Iterable[object] = ()
    if isinstance(value, dict):
        inner = chain(value, value.values())
    elif isinstance(value, list):
        inner = value
    return next(filter(None, (unstorable_in(item, depth - 1) for item in inner)), None)
