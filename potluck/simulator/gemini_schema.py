"""The subset of JSON schema that Gemini's `parameters` takes; anything else is refused."""

from collections.abc import Mapping

from potluck.simulator.dialect import Refusal

# the fields of google.ai.generativelanguage.v1beta.Schema, and how JSON spells them
_FIELDS = frozenset({
    "type", "format", "title", "description", "nullable", "enum", "maxItems", "minItems",
    "properties", "required", "minProperties", "maxProperties", "minLength", "maxLength",
    "pattern", "example", "anyOf", "propertyOrdering", "default", "items", "minimum", "maximum",
    "max_items", "min_items", "min_properties", "max_properties", "min_length", "max_length",
    "any_of", "property_ordering", "additionalProperties", "additional_properties",
    "defs", "ref", "$defs", "$ref",
})  # fmt: skip


def refuse_unknown_schema(schema: Mapping[str, object], place: str) -> None:
    """Raise Refusal for the first keyword the API does not know, as the API names its place."""
    for name in schema:
        if name not in _FIELDS:
            raise Refusal(
                f"Invalid JSON payload received. Unknown name \"{name}\" at '{place}': "
                "Cannot find field."
            )
    _each(schema.get("properties"), f"{place}.properties")
    items = schema.get("items")
    if isinstance(items, Mapping):
        refuse_unknown_schema(items, f"{place}.items")
    options = schema.get("anyOf") or schema.get("any_of")
    if isinstance(options, list):
        for index, option in enumerate(options):
            if isinstance(option, Mapping):
                refuse_unknown_schema(option, f"{place}.any_of[{index}]")


def _each(properties: object, place: str) -> None:
    if not isinstance(properties, Mapping):
        return
    for index, value in enumerate(properties.values()):
        if isinstance(value, Mapping):
            refuse_unknown_schema(value, f"{place}[{index}].value")
