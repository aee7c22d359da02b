"""Telling when words for the user begin, and when they are whole."""

import functools
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackManager
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, GenerationChunk
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config
from langgraph.runtime import Runtime

from graph.state import FOR_CLIENT, Context
from nodes.clock import Node, Update
from nodes.progress import tell
from potluck.events import AnswerBegunEvent, AnswerEndedEvent
from potluck.providers.answers import MODELS_KEY


class Said(AsyncCallbackHandler):
    """The messages for the user that one node has begun; hears each of them being written."""

    # Before whoever streams the words, so that nobody reads them earlier.
    run_inline = True
    ignore_chat_model = True
    ignore_chain = True
    ignore_agent = True
    ignore_retriever = True
    ignore_custom_event = True

    def __init__(self) -> None:
        self._begun: list[str] = []

    async def on_llm_new_token(
        self,
        token: str | list[str | dict[str, Any]],  # noqa: ARG002 - LangChain's signature
        *,
        chunk: GenerationChunk | ChatGenerationChunk | None = None,
        **kwargs: Any,  # noqa: ARG002 - Any: LangChain's signature
    ) -> None:
        """The model goes on writing."""
        if isinstance(chunk, ChatGenerationChunk) and chunk.text and chunk.message.id:
            self._begin(chunk.message.id)

    def end(self, update: Mapping[str, object]) -> None:
        """Tell the end of all that was begun, and of the answer if the update brings it."""
        added = update.get("messages")
        messages = [m for m in added if isinstance(m, AIMessage)] if isinstance(added, list) else []
        final = messages[-1] if messages and _ends_run(messages[-1]) else None
        if final is not None:
            # The words of the agent itself get an id no later than those of a model.
            final.id = final.id or str(uuid.uuid4())
            self._begin(final.id)
        writers = {message.id: _writer(message) for message in messages}
        for message_id in self._begun:
            tell(
                AnswerEndedEvent(
                    type="answer_ended",
                    id=message_id,
                    is_final=final is not None and message_id == final.id,
                    model=writers.get(message_id, ""),
                )
            )

    def _begin(self, message_id: str) -> None:
        if message_id not in self._begun:
            self._begun.append(message_id)
            tell(AnswerBegunEvent(type="answer_begun", id=message_id))


_said: ContextVar[Said | None] = ContextVar("potluck_said", default=None)


def answering[Given](node: Node[Given]) -> Node[Given]:
    """The node, whose words for the user are told as they begin and end."""

    @functools.wraps(node)
    async def told(state: Given, runtime: Runtime[Context]) -> Update:
        with _listen() as said:
            update = await node(state, runtime)
        said.end(update)
        return update

    return told


def heard(config: RunnableConfig) -> RunnableConfig:
    """The configuration of a call for the user, whose words the node that makes it hears."""
    said = _said.get()
    if said is None:
        return config
    around = get_config().get("callbacks")
    if not isinstance(around, BaseCallbackManager):
        return {**config, "callbacks": [said, *(around or [])]}
    callbacks = around.copy()
    callbacks.handlers.insert(0, said)
    callbacks.inheritable_handlers.insert(0, said)
    return {**config, "callbacks": callbacks}


@contextmanager
def _listen() -> Iterator[Said]:
    said = Said()
    token = _said.set(said)
    try:
        yield said
    finally:
        _said.reset(token)


def _ends_run(message: AIMessage) -> bool:
    """Whether the message calls none of our tools."""
    return not message.tool_calls or bool(message.response_metadata.get(FOR_CLIENT))


def _writer(message: BaseMessage) -> str:
    """Who wrote the end of it; the offline model has but one name."""
    models = message.response_metadata.get(MODELS_KEY)
    if isinstance(models, list) and models:
        return str(models[-1])
    return str(message.response_metadata.get("model_provider") or "")
