"""A model's answer to a request, without the agent: parameters and tools pass through."""

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, cast

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ToolCallChunk,
    UsageMetadata,
)
from langchain_core.messages.ai import add_usage
from langchain_core.messages.tool import tool_call_chunk

from potluck.errors import ChainError
from potluck.providers.chain import Call, Chain
from potluck.server.openai.deltas import Called, Delta, Finished, FinishReason, Said, Thought
from potluck.server.openai.finish import reason_in
from potluck.server.openai.request import ChatRequest, NamedTool
from potluck.server.openai.transcript import to_langchain

SHORTEST_WAIT_S = 1.0


def call_of(request: ChatRequest, ref: str | None) -> Call:
    """What the chain is to do for a request; `ref` is the only model that may answer."""
    return Call(
        tools=tuple(tool.model_dump(exclude_none=True) for tool in request.tools or []),
        tool_choice=_tool_choice(request),
        only=ref,
        params=params_of(request, named=ref is not None),
    )


async def chain_reply(
    request: ChatRequest,
    call: Call,
    *,
    chain: Chain,
    vision: bool = False,
    wait_limit_s: float = 0.0,
) -> AsyncGenerator[Delta]:
    """Ask the chain, and again when quota is back within `wait_limit_s`.

    Raises ChainError or ApiError. Whoever stops iterating cancels the call.
    """
    asked = to_langchain(request.messages, vision=vision)
    left_s = wait_limit_s
    has_begun = False
    while True:
        pieces = _Pieces(one_call=request.parallel_tool_calls is False)
        try:
            async with aclosing(
                _messages(chain, call, asked, stream=bool(request.stream))
            ) as messages:
                async for message in messages:
                    for delta in pieces.take(message):
                        has_begun = True
                        yield delta
            break
        except ChainError as error:
            wait_s = _wait_s(error)
            if has_begun or wait_s is None or wait_s > left_s:
                raise
        left_s -= wait_s
        await asyncio.sleep(wait_s)
    yield pieces.finished()


def _wait_s(error: ChainError) -> float | None:
    """After how many seconds asking again may do; None when it would not."""
    if not error.is_quota or error.back_at is None:
        return None
    return max(SHORTEST_WAIT_S, (error.back_at - datetime.now(UTC)).total_seconds())


async def _messages(
    chain: Chain, call: Call, asked: list[BaseMessage], *, stream: bool
) -> AsyncGenerator[AIMessage]:
    """The answer in chunks, or whole; the links bound the time."""
    runnable = chain.runnable(call)
    if not stream:
        yield await runnable.ainvoke(asked)
        return
    # Closed at once when the reader stops: that is what ends the call.
    async with aclosing(cast("AsyncGenerator[AIMessage]", runnable.astream(asked))) as chunks:
        async for chunk in chunks:
            yield chunk


def _tool_choice(request: ChatRequest) -> str | None:
    choice = request.tool_choice
    if isinstance(choice, NamedTool):
        return choice.function.name
    return "any" if choice == "required" else choice


def params_of(request: ChatRequest, *, named: bool = False) -> dict[str, object]:
    """The parameters for the models; who names one knows how much it can be told to think."""
    form = request.response_format
    params: dict[str, object | None] = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_tokens": request.output_limit,
        "stop": request.stops or None,
        "seed": request.seed,
        "reasoning_effort": request.reasoning_effort if named else None,
        "response_format": form.model_dump(exclude_none=True) if form else None,
    }
    return {key: value for key, value in params.items() if value is not None}


class _Pieces:
    """Takes messages or chunks apart, and keeps what the last delta tells.

    With `one_call` all calls but the first are dropped: not every provider can be told so.
    """

    def __init__(self, *, one_call: bool = False) -> None:
        self._one_call = one_call
        self._usage: UsageMetadata | None = None
        self._reason: FinishReason = "stop"
        self._calls = _Calls()

    def take(self, message: AIMessage) -> list[Delta]:
        """What this message adds."""
        self._usage = add_usage(self._usage, message.usage_metadata)
        self._reason = reason_in(message.response_metadata) or self._reason
        thought, text = _reasoning(message), str(message.text)
        return [
            *([Thought(thought)] if thought else []),
            *([Said(text)] if text else []),
            *self._called(message),
        ]

    def finished(self) -> Finished:
        """The end."""
        used = self._usage or UsageMetadata(input_tokens=0, output_tokens=0, total_tokens=0)
        reason = "tool_calls" if self._calls.count and self._reason == "stop" else self._reason
        return Finished(
            reason,
            used["input_tokens"],
            used["output_tokens"],
            cached_tokens=used.get("input_token_details", {}).get("cache_read") or 0,
            reasoning_tokens=used.get("output_token_details", {}).get("reasoning") or 0,
        )

    def _called(self, message: AIMessage) -> list[Called]:
        called = self._all_called(message)
        return [piece for piece in called if not (self._one_call and piece.index)]

    def _all_called(self, message: AIMessage) -> list[Called]:
        if isinstance(message, AIMessageChunk):
            return [self._piece(chunk) for chunk in message.tool_call_chunks]
        return [
            self._piece(
                tool_call_chunk(
                    name=call["name"],
                    args=json.dumps(call["args"], ensure_ascii=False),
                    id=call["id"],
                )
            )
            for call in message.tool_calls
        ]

    def _piece(self, chunk: ToolCallChunk) -> Called:
        number, begins = self._calls.place(chunk)
        arguments = chunk["args"] or ""
        if not begins:
            return Called(number, arguments)
        made = chunk["id"] or f"call_{secrets.token_hex(12)}"
        return Called(number, arguments, id=made, name=chunk["name"] or "")


class _Calls:
    """Tells which call a piece belongs to: some providers number them, some name them by ids."""

    def __init__(self) -> None:
        self._by_id: dict[str, int] = {}
        self._by_index: dict[int, int] = {}
        self.count = 0

    def place(self, chunk: ToolCallChunk) -> tuple[int, bool]:
        """The number of the call, and whether this piece is its first."""
        known = self._find(chunk)
        number = self.count if known is None else known
        if known is None:
            self.count += 1
        if chunk["id"]:
            self._by_id[chunk["id"]] = number
        if chunk["index"] is not None:
            self._by_index[chunk["index"]] = number
        return number, known is None

    def _find(self, chunk: ToolCallChunk) -> int | None:
        index = chunk["index"]
        if chunk["id"]:
            return self._by_id.get(chunk["id"])
        if index is not None:
            return self._by_index.get(index)
        # A piece without any mark goes on with the last call, unless it names a new one.
        return None if chunk["name"] or not self.count else self.count - 1


def _reasoning(message: AIMessage) -> str:
    """What the model thought aloud, in either of the forms that providers use."""
    told = message.additional_kwargs.get("reasoning_content")
    if isinstance(told, str) and told:
        return told
    if isinstance(message.content, str):
        return ""
    parts = cast("list[str | dict[str, Any]]", message.content)  # Any: the provider's own blocks
    return "".join(
        str(part.get("reasoning") or part.get("thinking") or "")
        for part in parts
        if isinstance(part, dict)
    )
