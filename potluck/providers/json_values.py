"""JSON values that survive the way to a model: numbers, names and texts that any reader takes."""

import json
import math
from collections.abc import Mapping


def portable(text: str) -> str:
    """The text without halves of characters, which UTF-8 cannot say."""
    return text.encode(errors="replace").decode()


def finite(value: object) -> object:
    """The same value, with words in place of the numbers that JSON does not know."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {portable(str(key)): finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return portable(value) if isinstance(value, str) else value


def quoted(text: str) -> str:
    """The text such that who reads JSON in it finds these very words: quoted if it is JSON.

    Read as a number, `1.50` loses a digit and `NaN` cannot be sent; a number of thousands of
    digits cannot even be read.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return text
    except (ValueError, RecursionError):
        return json.dumps(text)
    return text if isinstance(value, str) else json.dumps(text)
