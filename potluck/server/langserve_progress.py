"""Model and tool runs of the server told to LangChain callbacks, as if they ran here."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForLLMRun,
    AsyncCallbackManagerForToolRun,
)
from langchain_core.messages import AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.messages.utils import message_chunk_to_message
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, LLMResult
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import get_async_callback_manager_for_config

from potluck.events import (
    AUDIENCE_KEY,
    PictureEvent,
    SourceEvent,
    ToolCallEvent,
    ToolResultEvent,
)
from potluck.server.turn import Happened, Part, Piece

CHUNK_FIELDS = frozenset(AIMessageChunk.model_fields) - {"type"}


class Progress:
    """Opens a callback run for each model message and tool call, and closes it when it ends."""

    def __init__(self, callbacks: AsyncCallbackManager, asked: Sequence[BaseMessage]) -> None:
        self._callbacks = callbacks
        self._asked = list(asked)
        self._models: dict[str, tuple[AsyncCallbackManagerForLLMRun, AIMessageChunk]] = {}
        self._tools: dict[str, AsyncCallbackManagerForToolRun] = {}

    @classmethod
    def of(cls, config: RunnableConfig, asked: Sequence[BaseMessage]) -> Self:
        """Progress for the callbacks of a running Runnable."""
        return cls(get_async_callback_manager_for_config(config), asked)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close what is still open: ended if all went well, failed if not."""
        if error is None:
            await self._end_models()
            return
        for model, _ in self._models.values():
            await model.on_llm_error(error)
        for tool in self._tools.values():
            await tool.on_tool_error(error)

    async def take(self, part: Part) -> None:
        """Tell the callbacks what this part means."""
        if isinstance(part, Piece):
            await self._model_wrote(part)
        elif isinstance(part, Happened) and part.event["type"] == "tool_call":
            await self._end_models()
            await self._tool_started(part.event)
        elif isinstance(part, Happened) and part.event["type"] == "tool_result":
            await self._tool_ended(part.event)
        elif isinstance(part, Happened) and part.event["type"] in ("source", "picture"):
            await self._found(part.event)

    async def _model_wrote(self, piece: Piece) -> None:
        if piece.message.get("type") != "AIMessageChunk":
            return
        chunk = AIMessageChunk(**{k: v for k, v in piece.message.items() if k in CHUNK_FIELDS})
        known = self._models.get(piece.id)
        if known is None:
            run = await self._model_started(piece)
            whole = chunk
        else:
            run, so_far = known
            whole = so_far + chunk
        self._models[piece.id] = (run, whole)
        await run.on_llm_new_token(piece.text, chunk=ChatGenerationChunk(message=chunk))

    async def _model_started(self, piece: Piece) -> AsyncCallbackManagerForLLMRun:
        audience = "user" if piece.for_user else "agent"
        callbacks = self._callbacks.copy()
        callbacks.add_metadata({AUDIENCE_KEY: audience, "langgraph_node": piece.node})
        (run,) = await callbacks.on_chat_model_start(
            {"name": piece.node}, [self._asked], name=piece.node
        )
        return run

    async def _end_models(self) -> None:
        while self._models:
            _, (run, whole) = self._models.popitem()
            message = message_chunk_to_message(whole)
            await run.on_llm_end(LLMResult(generations=[[ChatGeneration(message=message)]]))

    async def _tool_started(self, event: ToolCallEvent) -> None:
        args = dict(event["args"])
        run = await self._callbacks.on_tool_start(
            {"name": event["name"]}, str(args), name=event["name"], inputs=args
        )
        self._tools[event["id"]] = run

    async def _tool_ended(self, event: ToolResultEvent) -> None:
        run = self._tools.pop(event["id"], None)
        if run is None:
            return
        status = "success" if event["ok"] else "error"
        await run.on_tool_end(
            ToolMessage(event["text"], tool_call_id=event["id"], name=event["name"], status=status)
        )

    async def _found(self, event: SourceEvent | PictureEvent) -> None:
        """A custom event of the run that these callbacks belong to."""
        await self._callbacks.on_custom_event(
            event["type"], dict(event), run_id=self._callbacks.parent_run_id
        )
