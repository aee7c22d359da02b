"""What makes two requests the same: their messages, tools and parameters, whose they are."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    ToolMessage,
)

# Entries of another form than this one's are never found
_FORM = "1"
# What a model thought, and its calls, which stand in the message a second time
_LEFT_OUT = frozenset(
    {"reasoning", "thinking", "redacted_thinking", "tool_use", "tool_call", "function_call"}
)
_MARKS = frozenset({"id", "index"})
_FREE = ":free"


@dataclass(frozen=True, slots=True)
class Conditions:
    """Whose request it is, and which model may answer; see `family_of`."""

    tenant: str = ""
    family: str = ""


def family_of(ref: str | None) -> str:
    """The name that a model has at every provider; `provider/` when any of a provider's may answer.

    `groq/openai/gpt-oss-120b` and `openrouter/openai/gpt-oss-120b:free` are one family. Empty when
    any model may answer.
    """
    if not ref:
        return ""
    provider, _, model = ref.lower().partition("/")
    return model.rpartition("/")[2].removesuffix(_FREE) if model else f"{provider}/"


def is_of_family(family: str, *, provider: str, model: str) -> bool:
    """Whether the model that answered is of the family."""
    if family.endswith("/"):
        return family == f"{provider.lower()}/"
    return family == family_of(f"{provider}/{model}")


def request_key(
    messages: Sequence[BaseMessage], options: Mapping[str, object], conditions: Conditions
) -> bytes | None:
    """A digest that is the same for the same request; None when it cannot be told.

    `options` speak OpenAI's words, tools included. Ids, usage and whatever vendors note in a
    message do not count; tool calls and their results are told apart by their order.
    """
    places: dict[str, int] = {}
    asked = [
        _FORM,
        conditions.tenant,
        conditions.family,
        [_normal(message, places) for message in messages],
        {name: value for name, value in options.items() if _counts(name, value)},
    ]
    try:
        # ASCII, for text from files may hold what UTF-8 cannot
        text = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    except (TypeError, ValueError):
        return None
    return hashlib.sha256(text.encode("ascii")).digest()


def _counts(name: str, value: object) -> bool:
    return value is not None and (name, value) != ("tool_choice", "auto")


def _normal(message: BaseMessage, places: dict[str, int]) -> list[object]:
    content = _content(message.content)
    match message:
        case AIMessage():
            for call in message.tool_calls:
                places[call["id"] or ""] = len(places)
            calls = [[call["name"], call["args"]] for call in message.tool_calls]
            broken = [[call["name"], call["args"]] for call in message.invalid_tool_calls]
            return ["ai", content, calls, broken]
        case ToolMessage():
            place = places.get(message.tool_call_id)
            return ["tool", message.name if place is None else place, message.status, content]
        case FunctionMessage():
            return ["function", message.name, content]
        case ChatMessage():
            return ["chat", message.role, content]
        case _:
            return [message.type, message.name, content]


def _content(content: str | Sequence[str | Mapping[str, object]]) -> object:
    """Text as text, however it is wrapped; other blocks as they are, without their marks."""
    if isinstance(content, str):
        return content
    blocks = [_block(block) for block in content if not _is_left_out(block)]
    if all(isinstance(block, str) for block in blocks):
        return "".join(map(str, blocks))
    return blocks


def _is_left_out(block: str | Mapping[str, object]) -> bool:
    return not isinstance(block, str) and block.get("type") in _LEFT_OUT


def _block(block: str | Mapping[str, object]) -> object:
    if isinstance(block, str):
        return block
    if block.get("type") == "text":
        return str(block.get("text") or "")
    return {name: value for name, value in block.items() if name not in _MARKS}
