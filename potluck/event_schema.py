"""The events as a JSON schema, which stands in docs/events.schema.json.

To make it anew: `uv run python -m potluck.event_schema > docs/events.schema.json`
"""

import json
import sys
from typing import Annotated

from pydantic import Field, TypeAdapter
from pydantic.json_schema import JsonSchemaValue

from potluck.events import Event

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_EVENTS: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])


def event_schema() -> JsonSchemaValue:
    """One event of this version; clients pass over kinds and fields that are not in it."""
    schema = _EVENTS.json_schema()
    return {"$schema": _DIALECT, "title": "Event", **schema}


def as_text() -> str:
    """The schema as it stands in docs/events.schema.json."""
    return json.dumps(event_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(as_text())
