"""What a model's answer holds: whether it says anything, what it used, who gave it."""

from collections.abc import Mapping, Sequence

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import ChatGeneration

from potluck.quota.windows import Amounts

# The vendor's own mark is kept beside ours: its class reads it when the message comes back to it,
# and Gemini drops its thought signatures from messages that it does not know as its own.
DIALECT_KEY = "model_dialect"
# Everybody who wrote a part of the message, in order, as `provider/model-id`
MODELS_KEY = "models"
_VENDOR_MARKS = ("model_provider", "model_name", "model")
_REASONING_KEYS = ("reasoning_content", "reasoning")
_DEFAULT_OUTPUT_TOKENS = 512


def says_something(message: BaseMessage) -> bool:
    """Whether the message holds text, reasoning or a tool call: anything a reader would miss."""
    if _has_text(message.content):
        return True
    if any(message.additional_kwargs.get(key) for key in _REASONING_KEYS):
        return True
    return calls_tools(message)


def is_answer(message: BaseMessage) -> bool:
    """Whether the whole message answers: has text or calls a tool; reasoning alone does not."""
    return bool(message.text.strip()) or calls_tools(message)


def calls_tools(message: BaseMessage) -> bool:
    """Whether the message holds a tool call, or a part of one."""
    if isinstance(message, AIMessageChunk) and message.tool_call_chunks:
        return True
    return isinstance(message, AIMessage) and bool(message.tool_calls or message.invalid_tool_calls)


def _has_text(content: str | Sequence[str | Mapping[str, object]]) -> bool:
    if isinstance(content, str):
        return bool(content.strip())
    return any(_block_says_something(block) for block in content)


def _block_says_something(block: str | Mapping[str, object]) -> bool:
    if isinstance(block, str):
        return bool(block.strip())
    if "text" in block:
        return bool(str(block["text"]).strip())
    return block.get("type") not in (None, "text")


def estimate(messages: Sequence[BaseMessage], options: Mapping[str, object]) -> Amounts:
    """About what a call will use: what is sent, and a guess at the answer."""
    tools = options.get("tools")
    sent = count_tokens_approximately(messages, tools=tools if isinstance(tools, list) else None)
    stated = options.get("max_tokens")
    return Amounts(sent, stated if isinstance(stated, int) else _DEFAULT_OUTPUT_TOKENS)


def used(message: BaseMessage) -> Amounts:
    """What the provider reported with this message or chunk; no tokens when it told nothing."""
    if not isinstance(message, AIMessage) or not message.usage_metadata:
        return Amounts()
    told = message.usage_metadata
    # Some count thinking in the total alone
    output = max(told["output_tokens"], told["total_tokens"] - told["input_tokens"])
    return Amounts(told["input_tokens"], output)


def finish_reason(generation: ChatGeneration) -> str:
    """Why the model stopped, in lower case; empty while it has not said so."""
    sources = (generation.generation_info or {}, generation.message.response_metadata)
    return next((reason for source in sources if (reason := reason_in(source))), "")


def reason_in(metadata: Mapping[str, object]) -> str:
    """The reason for stopping that a provider's metadata holds, in lower case; or nothing."""
    return str(metadata.get("finish_reason") or metadata.get("done_reason") or "").lower()


def reasoning_of(message: BaseMessage) -> str:
    """What the model thought aloud, in whichever form its vendor's class gives it."""
    for key in _REASONING_KEYS:
        told = message.additional_kwargs.get(key)
        if isinstance(told, str) and told:
            return told
    return thoughts_in(message.content)


def thoughts_in(content: str | Sequence[str | Mapping[str, object]]) -> str:
    """What the blocks of an answer hold of the model's thoughts."""
    if isinstance(content, str):
        return ""
    blocks = [block for block in content if isinstance(block, Mapping)]
    return "".join(str(b.get("reasoning") or b.get("thinking") or "") for b in blocks)


def strip_marks(generation: ChatGeneration) -> None:
    """Remove the vendor's id and names, which repeat in every chunk and would be joined."""
    generation.message.id = None
    for marks in (generation.generation_info or {}, generation.message.response_metadata):
        for key in _VENDOR_MARKS:
            marks.pop(key, None)


def sign(message: BaseMessage, *, provider: str, model: str, dialect: str) -> None:
    """Write into the message who answered, in our names, and whose form it has."""
    message.response_metadata |= {
        "model_provider": provider,
        "model_name": model,
        DIALECT_KEY: dialect,
    }


def restore_marks(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The history as the vendors' classes know it: each answer under its vendor's own mark."""
    return [_restore_mark(message) for message in messages]


def _restore_mark(message: BaseMessage) -> BaseMessage:
    dialect = message.response_metadata.get(DIALECT_KEY)
    if dialect is None:
        return message
    metadata = {**message.response_metadata, "model_provider": dialect}
    return message.model_copy(update={"response_metadata": metadata})
