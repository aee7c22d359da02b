"""The items of a conversation in the Responses API, as clients send them and as they are kept."""

import secrets
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    model_validator,
)

from potluck.server.openai.request import FunctionCall, Name, Text

# What others did on the way to an answer; it says nothing that the answer does not.
PASSED_OVER = frozenset(
    {
        "code_interpreter_call",
        "compaction",
        "file_search_call",
        "image_generation_call",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_call",
        "mcp_list_tools",
        "reasoning",
        "tool_search_call",
        "tool_search_output",
        "web_search_call",
    }
)
MAX_ITEMS = 4_000
_TEXTS = frozenset({"input_text", "output_text", "text", "summary_text", "reasoning_text"})


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True)


class TextPart(_Wire):
    """A piece of text."""

    type: Literal["input_text", "output_text", "text", "summary_text", "reasoning_text"]
    text: Text


class RefusalPart(_Wire):
    """What a model said where it would not answer."""

    type: Literal["refusal"]
    refusal: Text


class ImagePart(_Wire):
    """An image, as a URL or as a data URI."""

    type: Literal["input_image"]
    image_url: Text | None = None
    detail: Literal["auto", "low", "high", "original"] | None = None

    @model_validator(mode="after")
    def _is_there(self) -> "ImagePart":
        if not self.image_url:
            raise ValueError("give the image as `image_url`; files cannot be uploaded here")
        return self


def _part_kind(part: Any) -> str | None:  # Any: unchecked JSON
    kind = str(_field(part, "type"))
    if kind in _TEXTS:
        return "a text"
    return {"refusal": "a refusal", "input_image": "an image"}.get(kind)


# Tags are no identifiers, so that they are told from the names of parameters in errors.
Part = Annotated[
    Annotated[TextPart, Tag("a text")]
    | Annotated[RefusalPart, Tag("a refusal")]
    | Annotated[ImagePart, Tag("an image")],
    Discriminator(
        _part_kind,
        custom_error_type="unknown_part",
        custom_error_message="its `type` must be input_text, input_image, output_text or refusal",
    ),
]
Content = Text | list[Part]


class Message(_Wire):
    """What somebody said."""

    type: Literal["message"] = "message"
    id: Name | None = None
    role: Literal["user", "assistant", "system", "developer"]
    content: Content


class CallItem(FunctionCall):
    """A function that the model called."""

    type: Literal["function_call"] = "function_call"
    id: Name | None = None
    call_id: Name


class CallOutput(_Wire):
    """What the function gave."""

    type: Literal["function_call_output"]
    id: Name | None = None
    call_id: Name
    output: Content


class Reference(_Wire):
    """An item of a kept response, by its id."""

    type: Literal["item_reference"] | None = "item_reference"
    id: Name


class PassedOver(_Wire):
    """An item that is of no use to whoever answers now."""

    type: str
    id: Name | None = None


def _item_kind(item: Any) -> str | None:  # Any: unchecked JSON
    kind = _field(item, "type")
    if str(kind) in PASSED_OVER:
        return "passed over"
    if kind is None:
        kind = "message" if _field(item, "role") else "item_reference"
    return f"a {kind}"


Item = Annotated[
    Annotated[Message, Tag("a message")]
    | Annotated[CallItem, Tag("a function_call")]
    | Annotated[CallOutput, Tag("a function_call_output")]
    | Annotated[Reference, Tag("a item_reference")]
    | Annotated[PassedOver, Tag("passed over")],
    Discriminator(
        _item_kind,
        custom_error_type="unknown_item",
        custom_error_message=(
            "items of this `type` are not taken here; there are message, function_call, "
            "function_call_output, item_reference and reasoning"
        ),
    ),
]
Items = TypeAdapter[list[Item]](list[Item])


def image_urls(items: Iterable[Item]) -> Iterator[str]:
    """The address or data URI of each image."""
    for item in items:
        if isinstance(item, Message):
            content = item.content
        elif isinstance(item, CallOutput):
            content = item.output
        else:
            continue
        for part in content if isinstance(content, list) else ():
            if isinstance(part, ImagePart) and part.image_url:
                yield part.image_url


def new_id(prefix: str) -> str:
    """An id that nobody can guess."""
    return f"{prefix}_{secrets.token_hex(20)}"


def kept_form(item: Item) -> dict[str, object]:
    """The item as it is kept and listed: with an id, its content in parts."""
    if isinstance(item, Message):
        return {
            "id": item.id or new_id("msg"),
            "type": "message",
            "status": "completed",
            "role": item.role,
            "content": _parts(item),
        }
    if isinstance(item, CallItem):
        return {
            "id": item.id or new_id("fc"),
            "type": "function_call",
            "status": "completed",
            "call_id": item.call_id,
            "name": item.name,
            "arguments": item.arguments,
        }
    if isinstance(item, CallOutput):
        return {
            "id": item.id or new_id("fco"),
            "type": "function_call_output",
            "status": "completed",
            "call_id": item.call_id,
            "output": _dumped(item.output),
        }
    return item.model_dump(exclude_none=True)


def _parts(message: Message) -> list[dict[str, object]]:
    is_answer = message.role == "assistant"
    text_type: Literal["input_text", "output_text"] = "output_text" if is_answer else "input_text"
    content = message.content
    if isinstance(content, str):
        content = [TextPart(type=text_type, text=content)]
    made: list[dict[str, object]] = []
    for part in content:
        if isinstance(part, TextPart):
            more: dict[str, object] = {"annotations": []} if is_answer else {}
            made.append({"type": text_type, "text": part.text, **more})
        elif isinstance(part, ImagePart):
            made.append({**part.model_dump(exclude_none=True), "detail": part.detail or "auto"})
        else:
            made.append(part.model_dump())
    return made


def _dumped(content: Content) -> object:
    if isinstance(content, str):
        return content
    return [part.model_dump(exclude_none=True) for part in content]


def _field(value: Any, name: str) -> object:  # Any: JSON, or a model that was made of it
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)


def _input_kind(given: Any) -> str | None:  # Any: unchecked JSON
    if isinstance(given, str):
        return "a text"
    return "a list" if isinstance(given, list) else None


Input = Annotated[
    Annotated[Text, Tag("a text")]
    | Annotated[list[Item], Field(max_length=MAX_ITEMS), Tag("a list")],
    Discriminator(
        _input_kind,
        custom_error_type="unknown_input",
        custom_error_message="it must be a text or a list of items",
    ),
]
