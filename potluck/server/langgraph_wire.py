"""What the LangGraph API takes for this graph: mistakes in a body, each with its place."""

from collections.abc import Iterable, Mapping
from typing import Any, cast, get_type_hints

from langchain_core.messages import AnyMessage, convert_to_messages
from pydantic import TypeAdapter, ValidationError

from graph.agent import graph
from graph.state import Context, State

STREAM_MODES = frozenset(
    {
        "values", "updates", "messages", "messages-tuple", "custom", "events", "debug", "tasks",
        "checkpoints",
    }
)  # fmt: skip
NODES = frozenset(graph.nodes)
_CONTEXT = TypeAdapter(Context)
# Messages come in many forms and are read by LangChain; the rest is as plain as its types.
_VALUES = {
    name: TypeAdapter(hint)
    for name, hint in get_type_hints(State).items()
    if name not in {"messages", "work"}
}

Mistake = tuple[tuple[str, ...], str]


def mistakes_in_run(run: Mapping[str, object], models: frozenset[str]) -> list[Mistake]:
    """What is wrong with a run that is to be made; `models` are those that can be asked."""
    config = run.get("config")
    config = config if isinstance(config, dict) else {}
    return [
        *_input_mistakes(run.get("input")),
        *_context_mistakes(run.get("context"), ("body", "context"), models),
        *_context_mistakes(config.get("configurable"), ("body", "config", "configurable"), models),
        *_recursion_limit_mistakes(config.get("recursion_limit")),
        *_stream_mode_mistakes(run.get("stream_mode")),
    ]


def mistakes_in_state(update: Mapping[str, object]) -> list[Mistake]:
    """What is wrong with an update of a thread's state."""
    values = update.get("values")
    node = update.get("as_node")
    mistakes: list[Mistake] = []
    if isinstance(values, dict):
        mistakes += _message_mistakes(values.get("messages"), ("body", "values", "messages"))
        for name, adapter in _VALUES.items():
            if name in values:
                mistakes += _type_mistakes(adapter, values[name], ("body", "values", name))
    if isinstance(node, str) and node not in NODES:
        mistakes.append((("body", "as_node"), f"is none of {', '.join(sorted(NODES))}"))
    return mistakes


def _input_mistakes(given: object) -> list[Mistake]:
    if not isinstance(given, dict):
        return []
    messages = given.get("messages")
    place = ("body", "input", "messages")
    if not messages:
        text = 'is missing: send {"messages": [{"role": "user", "content": "..."}]}'
        # An empty input beside a command is how some clients resume.
        return [(place, text)] if given or messages is not None else []
    return _message_mistakes(messages, place)


def _message_mistakes(messages: object, place: tuple[str, ...]) -> list[Mistake]:
    if messages is None:
        return []
    try:
        listed = messages if isinstance(messages, list) else [messages]
        convert_to_messages(cast("list[AnyMessage]", listed))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        return [(place, f"cannot be read as messages: {field}: {first['msg']}")]
    except (ValueError, TypeError, NotImplementedError, AttributeError, KeyError) as error:
        return [(place, f"cannot be read as messages: {str(error).splitlines()[0]}")]
    return []


def _context_mistakes(
    given: object, place: tuple[str, ...], models: frozenset[str]
) -> list[Mistake]:
    if not isinstance(given, dict):
        return []
    mistakes = _type_mistakes(_CONTEXT, given, place)
    wanted = given.get("model")
    if not mistakes and wanted and wanted not in models:
        text = f"{wanted!r} cannot be asked here; GET /v1/models lists the models"
        mistakes.append(((*place, "model"), text))
    return mistakes


def _type_mistakes(
    adapter: TypeAdapter[Any],  # Any: whatever the state or the context holds
    given: object,
    place: tuple[str, ...],
) -> list[Mistake]:
    try:
        adapter.validate_python(given)
    except ValidationError as error:
        return [
            ((*place, *(str(part) for part in item["loc"])), item["msg"]) for item in error.errors()
        ]
    return []


def _recursion_limit_mistakes(given: object) -> list[Mistake]:
    if given is None or (isinstance(given, int) and not isinstance(given, bool) and given > 0):
        return []
    return [(("body", "config", "recursion_limit"), "must be a whole number above 0")]


def _stream_mode_mistakes(given: object) -> list[Mistake]:
    modes: Iterable[object] = given if isinstance(given, list) else [given]
    for mode in modes:
        if mode is not None and not (isinstance(mode, str) and mode in STREAM_MODES):
            known = ", ".join(sorted(STREAM_MODES))
            return [(("body", "stream_mode"), f"{mode!r} is none of {known}")]
    return []
