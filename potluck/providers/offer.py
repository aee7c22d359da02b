"""What a call offers a model and demands of its answer: tools, and a form of JSON."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import json_repair
import jsonschema_rs

_WORD = re.compile(r"\w+")
_SHOWN_LETTERS = 300
_MOST_FAULTS = 4

type Schema = Mapping[str, object]

# The tool by which a model asks for the tools that its description names
USE_TOOLS = "use_tools"

_READERS: Mapping[str, Callable[[str], object]] = {
    "integer": int,
    "number": float,
    "boolean": lambda text: json.loads(text.lower()),
    "array": json.loads,
    "object": json.loads,
}


@dataclass(frozen=True)
class Offer:
    """The tools of a call by name, each with the JSON schema of its arguments.

    `forced` is the one tool that must be called. `json_form` is the schema that the answer's text
    must have: empty for any JSON, None when it may be any text. `more` are the tools that can be
    asked for with `use_tools`.
    """

    tools: Mapping[str, Schema] = field(default_factory=dict)
    forced: str | None = None
    json_form: Schema | None = None
    more: frozenset[str] = frozenset()

    @classmethod
    def of(cls, options: Mapping[str, object]) -> "Offer":
        """The offer in the options of a call, which speak OpenAI's words."""
        listed = options.get("tools")
        functions = [_mapping(_mapping(tool).get("function")) for tool in _list(listed)]
        tools = {str(f["name"]): _mapping(f.get("parameters")) for f in functions if "name" in f}
        choice = options.get("tool_choice")
        forced = choice if isinstance(choice, str) and choice in tools else None
        told = (str(f.get("description", "")) for f in functions if f.get("name") == USE_TOOLS)
        more = frozenset(_WORD.findall(next(told, "")))
        return cls(tools, forced, _json_form(options.get("response_format")), more)

    def name_of(self, called: str) -> str | None:
        """The tool that is meant by `called`, or None."""
        bare = called.strip().removeprefix("functions.").removeprefix("default_api.")
        return next((name for name in self.tools if bare.lower() == name.lower()), None)

    def has_more(self, called: str) -> bool:
        """Whether `called` is a tool that was not shown, but may be asked for."""
        return called.strip() in self.more

    def arguments(self, name: str, given: object, *, cut: bool) -> dict[str, object]:
        """The arguments of a call of the tool `name`, mended where it is clear what was meant.

        `cut` when the model had to stop before it was done. Raises ValueError that says what is
        wrong with them.
        """
        value = parse_json(given, cut=cut) if isinstance(given, str) else given
        if value in (None, []) or given == "":
            value = {}
        if not isinstance(value, dict):
            raise TypeError(f"the arguments are no JSON object: {shown(given)}")
        schema = self.tools[name]
        faults = self._faults(name, value)
        if faults:
            value = _eased(value, schema)
            faults = self._faults(name, value)
        if faults:
            raise ValueError("; ".join(faults))
        return value

    def text(self, given: str, *, cut: bool) -> str:
        """The answer's text as the JSON that was asked for. Raises ValueError if it is not."""
        if self.json_form is None:
            return given
        try:
            value, text = json.loads(given), given
        except json.JSONDecodeError:
            value = parse_json(given, cut=cut)
            if not isinstance(value, dict | list):
                raise TypeError(f"it is no JSON: {shown(given)}") from None
            text = json.dumps(value, ensure_ascii=False)
        faults = _list_faults(self._form_validator, value)
        if faults:
            raise ValueError("; ".join(faults))
        return text

    def _faults(self, name: str, value: object) -> list[str]:
        return _list_faults(self._validators[name], value)

    @cached_property
    def _validators(self) -> dict[str, jsonschema_rs.Validator | None]:
        return {name: _validator(schema) for name, schema in self.tools.items()}

    @cached_property
    def _form_validator(self) -> jsonschema_rs.Validator | None:
        return _validator(self.json_form or {})


def parse_json(text: str, *, cut: bool) -> object:
    """The value of a JSON text, with the slips of weak models mended.

    What was cut is not mended: half an argument is another argument. Raises ValueError.
    """
    try:
        return json.loads(text or "{}")
    except json.JSONDecodeError as error:
        if cut:
            message = f"the answer was cut off by the output limit in the middle of {shown(text)}"
            raise ValueError(message) from error
    return json_repair.loads(text)


def shown(value: object) -> str:
    """A value as it is shown to the model that gave it."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_LETTERS else f"{text[:_SHOWN_LETTERS]}..."


def _json_form(wanted: object) -> Schema | None:
    kind = _mapping(wanted).get("type", "text")
    if kind == "text":
        return None
    return _mapping(_mapping(_mapping(wanted).get("json_schema")).get("schema"))


def _validator(schema: Schema) -> jsonschema_rs.Validator | None:
    try:
        return jsonschema_rs.validator_for(dict(schema))
    except ValueError:
        # A schema that is wrong in itself is the provider's to refuse
        return None


def _list_faults(validator: jsonschema_rs.Validator | None, value: object) -> list[str]:
    if validator is None:
        return []
    faults = []
    for fault in validator.iter_errors(value):
        place = ".".join(str(part) for part in fault.instance_path)
        faults.append(f"{place}: {fault.message}" if place else fault.message)
    return faults[:_MOST_FAULTS]


def _eased(value: Mapping[str, object], schema: Schema) -> dict[str, object]:
    """Arguments as they were meant: numbers out of their quotes, what is null left out."""
    properties, required = _mapping(schema.get("properties")), _list(schema.get("required"))
    return {
        name: _unquoted(given, _mapping(properties.get(name)).get("type"))
        for name, given in value.items()
        if given is not None or name in required
    }


def _unquoted(given: object, kind: object) -> object:
    if not isinstance(given, str) or not isinstance(kind, str):
        return given
    read = _READERS.get(kind)
    try:
        return given if read is None else read(given.strip())
    except ValueError:
        return given


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
