"""What a client may ask of /v1/chat/completions: strict where it matters, deaf to the rest."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)

from potluck.server.stored_text import MAX_DEPTH, unstorable_in

MAX_MESSAGES = 4_000
MAX_TOOLS = 512
# Of the body, in which a value stands
LEVELS_AROUND = 8


def _storable(text: str) -> str:
    # PostgreSQL cannot keep it in text or JSON.
    if "\x00" in text:
        raise ValueError("the text holds a NUL character (U+0000); remove it")
    return text


Text = Annotated[str, AfterValidator(_storable)]
Name = Annotated[Text, StringConstraints(min_length=1, max_length=512)]


def holds_huge_number(value: object) -> bool:
    """Whether a whole number in a JSON value needs more than 64 bits: few programs can read it."""
    if isinstance(value, Mapping):
        return any(map(holds_huge_number, value.values()))
    if isinstance(value, list):
        return any(map(holds_huge_number, value))
    return isinstance(value, int) and not -(2**63) <= value < 2**63


TokenLimit = Annotated[int, Field(ge=1, lt=2**31)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class TextPart(_Part):
    """A piece of text."""

    type: Literal["text"]
    text: Text


class ImageUrl(_Part):
    """Where an image is: a URL, or the image itself as a data URI."""

    url: Text
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(_Part):
    """An image."""

    type: Literal["image_url"]
    image_url: ImageUrl


UserPart = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class FunctionCall(_Part):
    """Which function, and its arguments as a JSON text."""

    name: Name
    arguments: Text

    @property
    def args(self) -> dict[str, Any]:  # Any: JSON
        """The arguments; none for an empty text."""
        parsed = json.loads(self.arguments or "{}")
        if not isinstance(parsed, dict):
            raise ValueError("arguments must be a JSON object")  # noqa: TRY004 - pydantic turns only this one into its error
        return parsed

    @model_validator(mode="after")
    def _readable(self) -> "FunctionCall":
        try:
            unstorable = unstorable_in(self.args, MAX_DEPTH - LEVELS_AROUND)
        except RecursionError as error:
            raise ValueError("arguments are nested too deeply") from error
        except json.JSONDecodeError as error:
            raise ValueError(f"arguments must be a JSON object: {error}") from error
        if unstorable is not None or holds_huge_number(self.args):
            why = unstorable or "A whole number in it needs more than 64 bits."
            raise ValueError(f"arguments cannot be kept: {why}")
        return self


class ToolCall(_Part):
    """A call that an assistant made."""

    id: Name
    type: Literal["function"] = "function"
    function: FunctionCall


class SystemMessage(_Part):
    """Instructions."""

    role: Literal["system", "developer"]
    content: Text | list[TextPart]


class UserMessage(_Part):
    """What the user says."""

    role: Literal["user"]
    content: Text | list[UserPart]


class AssistantMessage(_Part):
    """What the model said or called."""

    role: Literal["assistant"]
    content: Text | list[TextPart] | None = None
    tool_calls: list[ToolCall] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "AssistantMessage":
        if self.content is None and not self.tool_calls:
            raise ValueError("an assistant message needs `content` or `tool_calls`")
        return self


class ToolMessage(_Part):
    """The result of a call."""

    role: Literal["tool"]
    content: Text | list[TextPart]
    tool_call_id: Name


Message = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")
]


class ToolFunction(_Part):
    """A function that the model may call; `parameters` is a JSON schema."""

    name: Annotated[Text, StringConstraints(pattern=r"^[a-zA-Z0-9_.:-]{1,128}$")]
    description: Text | None = None
    parameters: dict[str, JsonValue] | None = None
    strict: bool | None = None


class Tool(_Part):
    """A tool of the client."""

    type: Literal["function"]
    function: ToolFunction


class NamedFunction(_Part):
    """A function by its name."""

    name: Name


class NamedTool(_Part):
    """The one tool that must be called."""

    type: Literal["function"]
    function: NamedFunction


class StreamOptions(_Part):
    """Whether a last chunk tells the usage."""

    include_usage: bool | None = None


class ResponseFormat(_Part):
    """Text, any JSON, or JSON of a schema."""

    model_config = ConfigDict(frozen=True, extra="allow")
    type: Literal["text", "json_object", "json_schema"]
    json_schema: dict[str, JsonValue] | None = None

    @model_validator(mode="after")
    def _schema_is_there(self) -> "ResponseFormat":
        schema = (self.json_schema or {}).get("schema")
        if self.type == "json_schema" and not isinstance(schema, dict):
            raise ValueError("`json_schema.schema` must be a JSON schema")
        return self


class ChatRequest(BaseModel):
    """A chat completion request; parameters that are not named here are accepted and ignored."""

    model_config = ConfigDict(frozen=True)

    model: Name
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    metadata: dict[str, JsonValue] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_tokens: TokenLimit | None = None
    max_completion_tokens: TokenLimit | None = None
    stop: Text | Annotated[list[Text], Field(max_length=4)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Annotated[Text, StringConstraints(min_length=1, max_length=32)] | None = None
    # What is not offered, so that it can be refused by its name
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    modalities: JsonValue = None
    audio: JsonValue = None
    functions: JsonValue = None
    function_call: JsonValue = None

    @property
    def include_usage(self) -> bool:
        """Whether the client wants the usage at the end of the stream."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def output_limit(self) -> int | None:
        """How many tokens the answer may have."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def stops(self) -> list[str]:
        """The texts before which the answer ends."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return [text for text in given if text]

    @property
    def thread_name(self) -> str | None:
        """The thread that the client's metadata names."""
        name = (self.metadata or {}).get("thread_id")
        return name if isinstance(name, str) and name else None


def text_in(content: str | Sequence[TextPart | ImagePart] | None) -> str:
    """The text of a message's content, images left out."""
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(part.text for part in content if isinstance(part, TextPart))
