"""Events held against the schema that clients read, more strictly than clients may."""

import copy
from collections.abc import Iterable
from typing import Any

import jsonschema_rs

from potluck.event_schema import event_schema


def strict_schema() -> dict[str, Any]:
    """The schema without room for fields that it does not name."""
    schema = copy.deepcopy(event_schema())
    for kind in schema["$defs"].values():
        kind["additionalProperties"] = False
    return schema


VALIDATOR = jsonschema_rs.validator_for(strict_schema())


def kinds_of(events: Iterable[Any]) -> list[str]:
    """The kinds of the events, each of which must be as the schema says."""
    kinds = []
    for event in events:
        VALIDATOR.validate(event)
        kinds.append(str(event["type"]))
    return kinds
