"""Reading JSON bodies, and saying what is wrong with them in OpenAI's words."""

import json
from collections.abc import Mapping
from typing import NoReturn

from pydantic import ValidationError

from potluck.simulator.dialect import Refusal

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def compact(body: object) -> bytes:
    """The body as JSON without blanks, made for many small chunks."""
    return _encode(body).encode()


def json_object(body: bytes, complaint: str) -> dict[str, object]:
    """The body as a JSON object. Raises Refusal with the complaint."""
    try:
        value = json.loads(body)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise Refusal(complaint) from error
    if not isinstance(value, dict):
        raise Refusal(complaint)
    return value


def parsed_args(text: str) -> Mapping[str, object]:
    """The arguments of a tool call; nothing when the text is no JSON object."""
    try:
        value = json.loads(text or "{}")
    except json.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def refuse_wrong(error: ValidationError) -> NoReturn:
    """Raise the Refusal for the first thing pydantic found wrong."""
    first = min(error.errors(), key=lambda item: -len(_steps(item["loc"])))
    param = path_of(first["loc"])
    if first["type"] == "missing":
        raise Refusal(
            f"Missing required parameter: '{param}'.",
            param=param,
            code="missing_required_parameter",
        ) from error
    shown = json.dumps(first.get("input"), ensure_ascii=False, default=str)[:80]
    raise Refusal(
        f"Invalid value for '{param}': {first['msg']} (got {shown}).",
        param=param,
        code="invalid_value",
    ) from error


def path_of(location: tuple[int | str, ...]) -> str:
    """A pydantic location the way OpenAI writes it: `messages[0].content`."""
    path = ""
    for step in _steps(location):
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def _steps(location: tuple[int | str, ...]) -> list[int | str]:
    # members of a union add their own type's name to the location
    return [
        step
        for step in location
        if isinstance(step, int)
        or not (step.startswith(("_", "list[", "literal[")) or step in {"str", "dict"})
    ]
