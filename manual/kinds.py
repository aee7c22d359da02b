"""What a field takes and what it is when left out, in words, from its type."""

import re
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, is_typeddict

import annotated_types
from pydantic import AnyHttpUrl, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from manual.markdown import any_of, code
from potluck.settings import PROJECT_DIR

_PLAIN: Mapping[object, str] = {
    bool: "`true` or `false`",
    int: "a whole number",
    float: "a number",
    str: "some text",
    Path: "a path",
    SecretStr: "a secret",
    AnyHttpUrl: "an address",
}
_BOUNDS = (
    (annotated_types.Gt, "gt", "above {}"),
    (annotated_types.Ge, "ge", "from {}"),
    (annotated_types.Lt, "lt", "below {}"),
    (annotated_types.Le, "le", "up to {}"),
)
_EXAMPLE = re.compile(r"such as (\{.*\}|\[[^\]]*\]|[^\s,`]+)")
NEEDED = "needed"
NOTHING = "none"

# Any: a type as `typing` has it, which may be a class, a union, or an annotation
Kind = Any


def taken_by(field: FieldInfo) -> str:
    """What may be written there: as the form says it, else by its type."""
    if field.description:
        return _EXAMPLE.sub(r"such as `\1`", field.description)
    return kind_words(field.annotation, field.metadata)


def kind_words(kind: Kind, limits: Sequence[object] = ()) -> str:
    """A type in words: `a whole number from 0`, `a list of paths`."""
    origin: object = get_origin(kind)
    args = get_args(kind)
    if origin is Annotated:
        return kind_words(args[0], [*limits, *_flat(args[1:])])
    if origin in {Union, types.UnionType}:
        return kind_words(next(one for one in args if one is not type(None)), limits)
    if origin is Literal:
        return any_of([code(word) for word in args])
    if kind in _PLAIN:
        return " ".join(filter(None, [_PLAIN[kind], " and ".join(_bounds(limits))]))
    if origin in {list, tuple, Sequence}:
        return "a list"
    if origin in {dict, Mapping} or is_typeddict(kind):
        return "a mapping"
    raise TypeError(f"manual/kinds.py has no words for {kind}")


def default_words(field: FieldInfo) -> str:
    """What holds when nothing is written."""
    if field.is_required():
        return NEEDED
    if field.default is PydanticUndefined:
        return NOTHING
    return value_words(field.default)


def value_words(value: object) -> str:
    """A value as it would be written in a file."""
    if isinstance(value, bool):
        return code(str(value).lower())
    if isinstance(value, int | float | str):
        return code(f"{value:g}" if isinstance(value, float) else value)
    if isinstance(value, Path) and value.is_relative_to(PROJECT_DIR):
        return code(value.relative_to(PROJECT_DIR))
    if isinstance(value, list | tuple) and value:
        return ", ".join(code(one) for one in value)
    return NOTHING


def _flat(metadata: Sequence[object]) -> list[object]:
    return [
        part for one in metadata for part in (one.metadata if isinstance(one, FieldInfo) else [one])
    ]


def _bounds(limits: Sequence[object]) -> list[str]:
    return [
        words.format(f"{getattr(limit, name):,}")
        for kind, name, words in _BOUNDS
        for limit in limits
        if isinstance(limit, kind)
    ]
