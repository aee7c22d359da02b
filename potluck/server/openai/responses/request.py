"""What a client may ask of /v1/responses: strict where it matters, deaf to the rest."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    field_validator,
    model_validator,
)

from potluck.server.openai.request import MAX_TOOLS, Name, Text, ToolFunction
from potluck.server.openai.responses.items import Input, Item, Message

# Tools that run at OpenAI; here the agent has its own for the same.
HOSTED = (
    "web_search",
    "web_search_2025_08_26",
    "web_search_preview",
    "web_search_preview_2025_03_11",
    "file_search",
    "code_interpreter",
    "image_generation",
    "mcp",
)
MAX_METADATA = 16


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True)


class FunctionTool(ToolFunction):
    """A function of the client."""

    type: Literal["function"]


class HostedTool(_Wire):
    """A tool that is left to the agent's own."""

    model_config = ConfigDict(frozen=True, extra="allow")
    type: str


class FunctionChoice(_Wire):
    """The one function that must be called."""

    type: Literal["function"]
    name: Name


class AllowedTools(_Wire):
    """The tools that may be called this time."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: list[dict[str, JsonValue]]

    @property
    def names(self) -> frozenset[str]:
        """The functions among them."""
        return frozenset(str(tool.get("name")) for tool in self.tools)


def _tool_kind(tool: Any) -> str | None:  # Any: unchecked JSON
    kind = tool.get("type") if isinstance(tool, dict) else getattr(tool, "type", None)
    if kind in HOSTED:
        return "a hosted tool"
    return "a function" if kind == "function" else None


def _choice_kind(choice: Any) -> str | None:  # Any: unchecked JSON
    if isinstance(choice, str):
        return "a word"
    kind = choice.get("type") if isinstance(choice, dict) else getattr(choice, "type", None)
    if kind == "allowed_tools":
        return "allowed tools"
    return _tool_kind(choice)


Tool = Annotated[
    Annotated[FunctionTool, Tag("a function")] | Annotated[HostedTool, Tag("a hosted tool")],
    Discriminator(
        _tool_kind,
        custom_error_type="unknown_tool",
        custom_error_message=(
            "tools of this `type` are not offered here; there are function, and for the agent to "
            f"do in its own way {', '.join(HOSTED)}"
        ),
    ),
]
ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("a word")]
    | Annotated[FunctionChoice, Tag("a function")]
    | Annotated[AllowedTools, Tag("allowed tools")]
    | Annotated[HostedTool, Tag("a hosted tool")],
    Discriminator(
        _choice_kind,
        custom_error_type="unknown_choice",
        custom_error_message="it must be none, auto, required, or name a tool",
    ),
]


class TextFormat(_Wire):
    """Text, any JSON, or JSON of a schema."""

    model_config = ConfigDict(frozen=True, extra="allow")
    type: Literal["text", "json_object", "json_schema"]

    @model_validator(mode="after")
    def _schema_is_there(self) -> "TextFormat":
        schema = (self.model_extra or {}).get("schema")
        if self.type == "json_schema" and not isinstance(schema, dict):
            raise ValueError("`schema` must be a JSON schema")
        return self


class TextConfig(_Wire):
    """The form of the answer."""

    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class Reasoning(_Wire):
    """How much the model is to think."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None


class ConversationRef(_Wire):
    """A conversation by its id."""

    id: Name


class ResponsesRequest(BaseModel):
    """A request for a response; parameters that are not named here are accepted and ignored."""

    model_config = ConfigDict(frozen=True)

    model: Name
    input: Input
    instructions: Text | None = None
    previous_response_id: Name | None = None
    conversation: Name | ConversationRef | None = None
    store: bool | None = None
    stream: bool | None = None
    background: bool | None = None
    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: Annotated[int, Field(ge=1)] | None = None
    text: TextConfig | None = None
    reasoning: Reasoning | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_logprobs: Annotated[int, Field(ge=0)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    include: list[Text] | None = None
    metadata: Annotated[dict[str, Text], Field(max_length=MAX_METADATA)] | None = None
    user: Text | None = None
    safety_identifier: Text | None = None
    prompt_cache_key: Text | None = None
    prompt: JsonValue = None

    @field_validator("prompt")
    @classmethod
    def _no_template(cls, prompt: JsonValue) -> JsonValue:
        if prompt is not None:
            raise ValueError("prompt templates are not kept here; send `instructions` and `input`")
        return prompt

    @field_validator("input")
    @classmethod
    def _not_empty(cls, asked: str | list[Item]) -> str | list[Item]:
        if not asked:
            raise ValueError("it must not be empty")
        return asked

    @property
    def is_kept(self) -> bool:
        """Whether the response can be asked for, and led on from, later."""
        return self.store is not False

    @property
    def conversation_id(self) -> str | None:
        """The conversation that the response belongs to."""
        given = self.conversation
        return given.id if isinstance(given, ConversationRef) else given

    @property
    def items(self) -> list[Item]:
        """What is new in this request, as items."""
        if isinstance(self.input, str):
            return [Message(role="user", content=self.input)]
        return self.input

    @property
    def functions(self) -> list[FunctionTool]:
        """The client's own tools that may be called."""
        found = [tool for tool in self.tools or [] if isinstance(tool, FunctionTool)]
        if isinstance(self.tool_choice, AllowedTools):
            return [tool for tool in found if tool.name in self.tool_choice.names]
        return found
