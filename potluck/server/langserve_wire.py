"""What the LangServe door takes and gives."""

from collections.abc import Mapping

from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    BaseMessage,
    BaseMessageChunk,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    convert_to_messages,
    message_chunk_to_message,
)
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.annotated_handlers import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from potluck.server.langserve_decisions import KEY, Decisions
from potluck.server.langserve_schemas import AGENT_INPUT, CHAIN_INPUT

FORMS = (
    'a text; {"messages": [...]}; or a list of messages, each {"role": "user", "content": "..."}, '
    '["user", "..."] or a LangChain message'
)
ROLES = frozenset({"user", "human", "assistant", "ai", "system", "developer", "tool"})
ACCEPTED = (HumanMessage, AIMessage, SystemMessage, ToolMessage)
ONE_MESSAGE: TypeAdapter[AnyMessage] = TypeAdapter(AnyMessage)
MESSAGES: TypeAdapter[list[AnyMessage]] = TypeAdapter(list[AnyMessage])


class AgentInput(RootModel[list[AnyMessage] | Decisions]):
    """The messages to answer, in whichever of the common forms they came; or decisions."""

    model_config = ConfigDict(title="Input")

    @model_validator(mode="before")
    @classmethod
    def _from_any_form(cls, value: object) -> list[BaseMessage] | Decisions:
        if isinstance(value, Mapping) and KEY in value:
            return Decisions.read(value)
        return messages_from(value)

    @classmethod
    def __get_pydantic_json_schema__(
        cls,
        core_schema: CoreSchema,
        handler: GetJsonSchemaHandler,
    ) -> JsonSchemaValue:
        """The forms as a caller writes them, not the messages they become."""
        return AGENT_INPUT


class ChainInput(RootModel[list[AnyMessage]]):
    """The messages to answer, in whichever of the common forms they came."""

    @model_validator(mode="before")
    @classmethod
    def _from_any_form(cls, value: object) -> list[BaseMessage]:
        return messages_from(value)

    @classmethod
    def __get_pydantic_json_schema__(
        cls,
        core_schema: CoreSchema,
        handler: GetJsonSchemaHandler,
    ) -> JsonSchemaValue:
        """The forms as a caller writes them, not the messages they become."""
        return CHAIN_INPUT


class ChainOutput(RootModel[AIMessage]):
    """The model's answer, with what it cost and who gave it."""

    model_config = ConfigDict(
        title="Answer",
        json_schema_extra={
            "examples": [
                {
                    "type": "ai",
                    "content": "391",
                    "usage_metadata": {"input_tokens": 14, "output_tokens": 2, "total_tokens": 16},
                }
            ]
        },
    )


class UsageView(BaseModel):
    """What the turn cost."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    tool_calls: int = 0


class ApprovalView(BaseModel):
    """A tool call that waits for a person's decision."""

    id: str
    name: str
    args: dict[str, object]
    description: str


class AgentOutput(BaseModel):
    """The answer's text, and the conversation with it.

    With `approvals` it is not the end: the run goes on when they are decided.

    `content` is the name under which the playground looks for text that streams.
    """

    model_config = ConfigDict(
        title="Output",
        json_schema_extra={
            "examples": [
                {
                    "content": "17 * 23 is 391.",
                    "messages": [
                        {"type": "human", "content": "What is 17 * 23?"},
                        {"type": "ai", "content": "17 * 23 is 391."},
                    ],
                    "usage": {
                        "calls": 1,
                        "input_tokens": 912,
                        "output_tokens": 9,
                        "tool_calls": 0,
                    },
                    "approvals": [],
                }
            ]
        },
    )

    content: str = ""
    messages: list[AnyMessage] = Field(default_factory=list)
    usage: UsageView = Field(default_factory=UsageView)
    approvals: list[ApprovalView] = Field(default_factory=list)


def messages_from(value: object) -> list[BaseMessage]:
    """The messages in any form a caller may send. Raises ValueError that names the forms."""
    items = _items(value)
    if not items:
        raise ValueError(f"There is no message in the input. Send {FORMS}.")
    return [_message(item, place) for place, item in enumerate(items)]


def _items(value: object) -> list[object]:
    if isinstance(value, str | BaseMessage):
        return [value]
    if isinstance(value, Mapping):
        if "messages" not in value:
            return [value]
        inner = value["messages"]
        return _items(inner) if isinstance(inner, list | tuple) else [inner]
    if isinstance(value, list | tuple):
        return [value] if _is_pair(value) else list(value)
    raise ValueError(f"The input is of type {type(value).__name__}. Send {FORMS}.")


def _is_pair(value: list[object] | tuple[object, ...]) -> bool:
    """Whether a list of two texts is one message: role and content."""
    return len(value) == 2 and all(isinstance(item, str) for item in value) and value[0] in ROLES


def _message(item: object, place: int) -> BaseMessage:
    try:
        message = _read(item)
    except (ValidationError, ValueError, TypeError, KeyError, NotImplementedError) as error:
        raise ValueError(f"Message {place}: {_why(error)}. Send {FORMS}.") from error
    if not isinstance(message, ACCEPTED):
        raise ValueError(f"Message {place} has the role {message.type!r}. Send {FORMS}.")  # noqa: TRY004 - pydantic wants ValueError
    if isinstance(message, HumanMessage) and _is_blank(message):
        raise ValueError(f"Message {place} is empty.")
    return message


def _read(item: object) -> BaseMessage:
    if isinstance(item, Mapping) and "type" in item and "role" not in item:
        # LangChain's own form: read whole, where the conversion below would lose some fields.
        message: BaseMessage = ONE_MESSAGE.validate_python(item)
    else:
        # Refuses what is no message itself, with errors that the caller expects.
        (message,) = convert_to_messages([item])  # type: ignore[list-item]
    return message_chunk_to_message(message) if isinstance(message, BaseMessageChunk) else message


def _why(error: Exception) -> str:
    """The first line of the reason, without LangChain's and pydantic's advice."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": ")
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    return str(error).partition("\n")[0].partition(" Use one of")[0].rstrip(".")


def _is_blank(message: BaseMessage) -> bool:
    content = message.content
    return not (content.strip() if isinstance(content, str) else content)
