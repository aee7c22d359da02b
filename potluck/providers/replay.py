"""Kept answers: which ones are worth keeping, and how one is given again."""

import copy
import json
import re
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolCall
from langchain_core.messages.tool import tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field, SkipValidation

from potluck.cache.entry import Entry, KeptCall
from potluck.providers import answers
from potluck.providers.async_model import AsyncChatModel
from potluck.providers.catalog import OFFLINE

CACHED_KEY = "cached"
# The answer is given again without its vendor's signatures, so it is in nobody's own form
DIALECT = "cached"

_WORD = re.compile(r"\S{1,40}\s*|\s+")
_WHOLE = frozenset(
    {
        "stop", "end_turn", "eos", "eos_token", "stop_sequence", "complete", "completed",
        "tool_calls", "tool_use", "tool_call", "function_call",
    }
)  # fmt: skip
_PLAIN_BLOCKS = frozenset(
    {
        "text", "reasoning", "thinking", "redacted_thinking",
        "tool_use", "tool_call", "tool_call_chunk", "function_call",
    }
)  # fmt: skip


def is_cached(message: BaseMessage) -> bool:
    """Whether the answer was given again from the cache, at no cost."""
    return bool(message.response_metadata.get(CACHED_KEY))


def entry_of(message: AIMessage) -> Entry | None:
    """What to keep of an answer; None unless it is whole, by one model, and all words and calls."""
    marks = message.response_metadata
    provider, model = str(marks.get("model_provider") or ""), str(marks.get("model_name") or "")
    reason = answers.reason_in(marks)
    writers = marks.get(answers.MODELS_KEY)
    patched = isinstance(writers, list) and len(writers) > 1
    by_llm = bool(provider) and provider != OFFLINE
    if patched or not by_llm or reason not in _WHOLE or not _is_plain(message):
        return None
    used = message.usage_metadata
    return Entry(
        provider=provider,
        model=model,
        finish_reason=reason,
        text=str(message.text),
        reasoning=answers.reasoning_of(message),
        calls=tuple(KeptCall(call["name"], call["args"]) for call in message.tool_calls),
        input_tokens=used["input_tokens"] if used else 0,
        output_tokens=used["output_tokens"] if used else 0,
    )


def _is_plain(message: AIMessage) -> bool:
    """Whether text, reasoning and calls are all that the answer has, and it has one of them."""
    if message.invalid_tool_calls or not answers.is_answer(message):
        return False
    blocks = message.content if isinstance(message.content, list) else []
    return all(isinstance(b, str) or b.get("type", "text") in _PLAIN_BLOCKS for b in blocks)


class Replay(AsyncChatModel):
    """Gives a kept answer, word by word: a new message with new tool calls, without usage."""

    entry: SkipValidation[Entry] = Field(exclude=True)

    @property
    def _llm_type(self) -> str:
        return "potluck-replay"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:  # Any: BaseChatModel's own signature
        return {"model": f"{self.entry.provider}/{self.entry.model}"}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:  # noqa: ARG002 # Any: BaseChatModel's own signature
        return LangSmithParams(
            ls_provider=self.entry.provider, ls_model_name=self.entry.model, ls_model_type="chat"
        )

    async def _agenerate(
        self,
        messages: list[BaseMessage],  # noqa: ARG002 # it is known what they are
        stop: list[str] | None = None,  # noqa: ARG002 # it stopped there the first time
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 # the base class reports
        **kwargs: Any,  # noqa: ARG002 # Any: BaseChatModel's own signature
    ) -> ChatResult:
        message = AIMessage(
            self.entry.text,
            tool_calls=self._calls(),
            additional_kwargs=_reasoning(self.entry.reasoning),
            response_metadata=self._marks(),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _astream(
        self,
        messages: list[BaseMessage],  # noqa: ARG002 # as in _agenerate
        stop: list[str] | None = None,  # noqa: ARG002 # as in _agenerate
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 # the base class reports
        **kwargs: Any,  # noqa: ARG002 # Any: BaseChatModel's own signature
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._chunks():
            yield ChatGenerationChunk(message=chunk)

    def _chunks(self) -> Iterator[AIMessageChunk]:
        """The reasoning, the text, and the calls in one piece; the last chunk has the marks."""
        for word in _WORD.findall(self.entry.reasoning):
            yield AIMessageChunk(content="", additional_kwargs=_reasoning(word))
        for word in _WORD.findall(self.entry.text):
            yield AIMessageChunk(content=word)
        if self.entry.calls:
            chunks = [
                tool_call_chunk(
                    name=call["name"],
                    args=json.dumps(call["args"], ensure_ascii=False),
                    id=call["id"],
                    index=index,
                )
                for index, call in enumerate(self._calls())
            ]
            yield AIMessageChunk(content="", tool_call_chunks=chunks)
        last = AIMessageChunk(content="", chunk_position="last")
        last.response_metadata = self._marks()
        yield last

    def _calls(self) -> list[ToolCall]:
        """The calls with ids of their own: within a thread no two may share one."""
        return [
            tool_call(
                name=call.name,
                # Whoever gets the message may change it
                args=copy.deepcopy(call.args),
                id=f"call_{secrets.token_hex(12)}",
            )
            for call in self.entry.calls
        ]

    def _marks(self) -> dict[str, object]:
        entry = self.entry
        return {
            "finish_reason": entry.finish_reason,
            "model_provider": entry.provider,
            "model_name": entry.model,
            answers.MODELS_KEY: [f"{entry.provider}/{entry.model}"],
            answers.DIALECT_KEY: DIALECT,
            CACHED_KEY: True,
        }


def _reasoning(text: str) -> dict[str, object]:
    return {"reasoning_content": text} if text else {}
