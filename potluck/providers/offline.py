"""The offline model: does basics through the tools at hand, and says that no LLM is connected."""

import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import ToolCall, tool_call, tool_call_chunk
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from potluck.providers.catalog import OFFLINE
from potluck.providers.offline_answer import NOT_CONNECTED
from potluck.providers.offline_move import Call, Schemas, next_move

_WORD = re.compile(r"\S{1,40}\s*|\s+")


class OfflineModel(BaseChatModel):
    """A deterministic chat model that needs nothing: same messages and tools, same answer.

    It understands arithmetic, dates and files in everyday English and basic Japanese, calls the
    bound tools for them one at a time, and answers from what they gave. `why` says, in each answer,
    why no LLM answers. Unless it `may_change` things it calls only tools that look.
    """

    why: str = NOT_CONNECTED
    may_change: bool = True

    @property
    def _llm_type(self) -> str:
        return "potluck-offline"

    def _get_ls_params(
        self, stop: list[str] | None = None, **_: Any
    ) -> LangSmithParams:  # Any: BaseChatModel's own signature
        return LangSmithParams(
            ls_provider=OFFLINE, ls_model_name=OFFLINE, ls_model_type="chat", ls_stop=stop or []
        )

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],  # Any: JSON schemas
        *,
        tool_choice: str | None = None,
        **kwargs: Any,  # Any: BaseChatModel's own signature
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Put tools at hand; with the choice `none` they are not used."""
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 # it stops by itself
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 # the base class reports
        **kwargs: Any,  # Any: BaseChatModel's own signature
    ) -> ChatResult:
        message = self._reply(messages, kwargs)
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 # the base class reports
        **kwargs: Any,  # Any: BaseChatModel's own signature
    ) -> ChatResult:
        return self._generate(messages, stop, **kwargs)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 # it stops by itself
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 # the base class reports
        **kwargs: Any,  # Any: BaseChatModel's own signature
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in _chunks(self._reply(messages, kwargs)):
            yield ChatGenerationChunk(message=chunk)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 # the base class reports
        **kwargs: Any,  # Any: BaseChatModel's own signature
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages, stop, **kwargs):
            yield chunk

    def _reply(
        self, messages: list[BaseMessage], options: dict[str, Any]
    ) -> AIMessage:  # Any: as given to bind
        tools = options.get("tools") or []
        schemas = {} if options.get("tool_choice") == "none" else _schemas(tools)
        move = next_move(messages, schemas, self.why, may_change=self.may_change)
        calls = [_as_tool_call(move, messages)] if isinstance(move, Call) else []
        reply = AIMessage(
            content="" if isinstance(move, Call) else move,
            tool_calls=calls,
            response_metadata={
                "model_name": OFFLINE,
                "finish_reason": "tool_calls" if calls else "stop",
            },
        )
        sent = count_tokens_approximately(messages, tools=tools or None)
        reply.usage_metadata = _usage(sent, count_tokens_approximately([reply]))
        return reply


def _schemas(tools: Sequence[Any]) -> Schemas:  # Any: OpenAI's form of tools, as given to bind
    functions = [convert_to_openai_tool(tool)["function"] for tool in tools]
    return {function["name"]: function.get("parameters") or {} for function in functions}


def _as_tool_call(call: Call, messages: Sequence[BaseMessage]) -> ToolCall:
    """The call under an id that follows from all that was said, so no two calls share it."""
    said = "\0".join(f"{message.type}\0{message.id}\0{message.text}" for message in messages)
    made = f"{said}\0{call.tool}\0{len(messages)}".encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(made).hexdigest()[:24]
    return tool_call(name=call.tool, args=dict(call.args), id=f"call_{digest}")


def _usage(sent: int, answered: int) -> UsageMetadata:
    return UsageMetadata(input_tokens=sent, output_tokens=answered, total_tokens=sent + answered)


def _chunks(reply: AIMessage) -> Iterator[AIMessageChunk]:
    """The reply word by word, or its call in one piece; the last chunk has the accounts."""
    words = _WORD.findall(str(reply.content))
    for word in words:
        yield AIMessageChunk(content=word)
    yield AIMessageChunk(
        content="",
        tool_call_chunks=[
            tool_call_chunk(name=c["name"], args=json.dumps(c["args"]), id=c["id"], index=index)
            for index, c in enumerate(reply.tool_calls)
        ],
        response_metadata=reply.response_metadata,
        usage_metadata=reply.usage_metadata,
        chunk_position="last",
    )
