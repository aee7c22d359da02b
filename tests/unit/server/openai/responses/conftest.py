"""The SDK's own types, held against what this door sends."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

# OpenAI sends it, and its SDK has no field for it.
UNTYPED = frozenset({"store"})

Check = Callable[[Any], Any]
_EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def unknown_in(value: Any, place: str = "") -> Iterator[str]:
    """Every field that the SDK's types do not name."""
    if isinstance(value, BaseModel):
        yield from (f"{place}.{name}" for name in (value.model_extra or {}).keys() - UNTYPED)
        for name in type(value).model_fields:
            yield from unknown_in(getattr(value, name), f"{place}.{name}")
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from unknown_in(one, f"{place}[{number}]")


def checked(made: Any) -> Any:
    assert list(unknown_in(made)) == []
    return made


@pytest.fixture
def as_response() -> Check:
    """Read a response as the SDK's type, to which nothing may be unknown."""
    return lambda body: checked(Response.model_validate(body))


@pytest.fixture
def as_event() -> Check:
    """Read an event as the SDK's type, to which nothing may be unknown."""
    return lambda body: checked(_EVENTS.validate_python(body))
