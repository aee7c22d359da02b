"""A value that fits a JSON schema, for replies nobody scripted."""

from collections.abc import Mapping

type Json = dict[str, Json] | list[Json] | str | int | float | bool | None

_MAX_DEPTH = 12
_PLAIN: dict[str, Json] = {"integer": 1, "number": 1.0, "boolean": True, "null": None}


def sample(schema: Mapping[str, object], *, text: str = "simulated") -> Json:
    """The smallest value that fits the schema; strings are `text` where any string will do.

    Understands `$ref` into `$defs`, `anyOf`, `allOf`, `enum`, `const`, `default`, required
    properties and minimum sizes; anything else is ignored.
    """
    return _sample(schema, schema, text, 0)


def _sample(node: Mapping[str, object], root: Mapping[str, object], text: str, depth: int) -> Json:
    if depth > _MAX_DEPTH:
        return None
    node = _resolve(node, root)
    fixed = _fixed(node)
    if fixed is not None:
        return fixed
    kind = _type_of(node)
    if kind == "object":
        return _object(node, root, text, depth)
    if kind == "array":
        return _array(node, root, text, depth)
    if kind == "string":
        return text
    return _number(node, kind)


def _number(node: Mapping[str, object], kind: str) -> Json:
    low = node.get("minimum")
    if isinstance(low, int | float) and kind in {"integer", "number"}:
        return low
    return _PLAIN.get(kind)


def _fixed(node: Mapping[str, object]) -> Json:
    for key in ("const", "default"):
        if node.get(key) is not None:
            return _as_json(node[key])
    choices = node.get("enum")
    return _as_json(choices[0]) if isinstance(choices, list) and choices else None


def _resolve(node: Mapping[str, object], root: Mapping[str, object]) -> Mapping[str, object]:
    for _ in range(_MAX_DEPTH):
        target = _next(node, root)
        if target is None:
            return node
        node = target
    return {}


def _next(node: Mapping[str, object], root: Mapping[str, object]) -> Mapping[str, object] | None:
    ref = node.get("$ref")
    if isinstance(ref, str):
        return _lookup(ref, root)
    for key in ("anyOf", "oneOf", "allOf"):
        options = node.get(key)
        if isinstance(options, list) and options and isinstance(options[0], dict):
            return options[0]
    return None


def _lookup(ref: str, root: Mapping[str, object]) -> Mapping[str, object]:
    found: object = root
    for part in ref.removeprefix("#/").split("/"):
        found = found.get(part, {}) if isinstance(found, Mapping) else {}
    return found if isinstance(found, Mapping) else {}


def _type_of(node: Mapping[str, object]) -> str:
    kind = node.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if isinstance(kind, str):
        return kind.lower()
    return "object" if "properties" in node else "string"


def _object(node: Mapping[str, object], root: Mapping[str, object], text: str, depth: int) -> Json:
    properties = node.get("properties")
    required = node.get("required")
    if not isinstance(properties, Mapping):
        return {}
    names = required if isinstance(required, list) else []
    return {
        name: _sample(properties[name], root, text, depth + 1)
        for name in names
        if isinstance(properties.get(name), Mapping)
    }


def _array(node: Mapping[str, object], root: Mapping[str, object], text: str, depth: int) -> Json:
    least = node.get("minItems")
    items = node.get("items")
    count = least if isinstance(least, int) and least > 0 else 1
    if not isinstance(items, Mapping):
        return []
    return [_sample(items, root, text, depth + 1) for _ in range(count)]


def _as_json(value: object) -> Json:
    return value if isinstance(value, dict | list | str | int | float | bool) else None
