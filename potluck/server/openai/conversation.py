"""Bringing a thread in line with the request: its history is the one that counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import httpx
from langchain_core.messages import BaseMessage, HumanMessage
from langgraph_sdk.errors import NotFoundError

from potluck.server.approval_words import decide
from potluck.server.approvals import Resume, approvals_in, interrupts_in
from potluck.server.openai import request as wire
from potluck.server.openai.caller import Chat
from potluck.server.openai.catching_up import Shown, digest
from potluck.server.openai.transcript import (
    CONTINUE,
    to_langchain,
    visible_in_request,
    visible_in_thread,
)
from potluck.server.turn import RunError, Wire

REMOVE_ALL: Wire = {"type": "remove", "id": "__remove_all__", "content": ""}


class Threads(Protocol):
    """What is needed of the LangGraph API's threads (`LangGraphClient.threads`)."""

    async def create(
        self, *, metadata: Any = None, thread_id: str | None = None, if_exists: Any = None
    ) -> Any:
        """Make a thread, or hand over the one that is there."""

    async def get(self, thread_id: str) -> Any:
        """A thread, with its metadata. Raises NotFoundError when there is none."""

    async def get_state(self, thread_id: str) -> Any:
        """The state of a thread. Raises NotFoundError when there is none."""


@dataclass(frozen=True, slots=True)
class Opening:
    """How a reply begins: what the run is given, and what the client has not seen yet.

    Without messages nothing is asked: what is under way or unseen is all that is wanted.
    """

    messages: Sequence[Wire]
    unseen: str = ""
    is_busy: bool = False
    """A run that the client waits for is under way or parked on the thread."""
    is_apart: bool = False
    """Client and thread do not say the same, and what was shown is to be kept."""
    decisions: Resume = field(default_factory=dict)
    """The last message was the answer to what waited for approval: the run goes on with these."""


def turn_of(messages: Sequence[wire.Message]) -> list[wire.Message]:
    """The conversation of a request, without its instructions."""
    return [message for message in messages if not isinstance(message, wire.SystemMessage)]


async def opening_for(
    threads: Threads, chat: Chat | None, messages: Sequence[wire.Message]
) -> Opening:
    """What to send so that the run sees the request's conversation; makes the chat's thread.

    That is the last message when the thread holds the rest already; else the whole, which takes
    the place of what the thread holds. Raises RunError when the server cannot be reached.
    """
    sent = _as_json(_ending_with_request(to_langchain(messages, vision=False)))
    if chat is None:
        return Opening(sent)
    try:
        state = await _known(threads, chat, continued=len(messages) > 1)
        known = _messages(state)
        if not known:
            return Opening(sent)
        if _is_in_line(messages, known):
            return Opening(sent[-1:])
        caught_up = await _caught_up(threads, chat, messages, state)
    except httpx.HTTPError as error:
        raise RunError(f"The thread could not be read: {error!r}.", status=503) from error
    return caught_up or Opening([REMOVE_ALL, *sent])


def _is_in_line(messages: Sequence[wire.Message], known: Sequence[Wire]) -> bool:
    """Whether the thread holds all but the request's last message, and nothing else."""
    # A turn cut before its first step shows messages that are not yet in any checkpoint.
    is_whole = known[-1].get("type") == "ai"
    return (
        is_whole
        and isinstance(messages[-1], wire.UserMessage)
        and visible_in_request(messages[:-1]) == visible_in_thread(known)
    )


async def _caught_up(
    threads: Threads, chat: Chat, messages: Sequence[wire.Message], state: Wire
) -> Opening | None:
    """The opening for a client that has seen a notice in place of the thread's last answer."""
    thread = await threads.get(chat.thread_id)
    shown = Shown.read(thread["metadata"])
    if shown is None or not isinstance(messages[-1], wire.UserMessage):
        return None
    unseen = shown.unseen(_messages(state))
    if digest(messages[:-1]) == shown.answered:
        # Of a run that is at work, the state still shows what it has got answers to.
        waiting = approvals_in(interrupts_in(state)) if thread["status"] == "interrupted" else ()
        if waiting:
            said = wire.text_in(messages[-1].content)
            return Opening([], is_apart=True, decisions=decide(said, waiting))
        sent = _as_json(to_langchain(messages[-1:], vision=False))
        return Opening(sent, unseen, is_busy=thread["status"] == "busy", is_apart=True)
    is_waited_for = thread["status"] in ("busy", "interrupted")
    if digest(messages) == shown.asked and (unseen or is_waited_for):
        return Opening([], unseen, is_busy=is_waited_for, is_apart=True)
    return None


async def _known(threads: Threads, chat: Chat, *, continued: bool) -> Mapping[str, Any]:
    """The state of the chat's thread, which is made if need be: mostly in one round trip."""
    # Any: a thread's values are whatever graphs and people have put there
    if continued:
        try:
            return cast("Mapping[str, Any]", await threads.get_state(chat.thread_id))
        except NotFoundError:
            pass
    thread = await threads.create(
        thread_id=chat.thread_id, metadata=dict(chat.metadata), if_exists="do_nothing"
    )
    if thread["created_at"] == thread["updated_at"]:
        return {}
    return cast("Mapping[str, Any]", await threads.get_state(chat.thread_id))


def _messages(state: Mapping[str, Any]) -> list[Wire]:
    values = state.get("values")
    return list(values.get("messages") or []) if isinstance(values, Mapping) else []


def _ending_with_request(messages: list[BaseMessage]) -> list[BaseMessage]:
    """Ending with something to answer: a client may ask to go on with the last answer."""
    return [*messages, HumanMessage(CONTINUE)] if messages[-1].type == "ai" else messages


def _as_json(messages: Sequence[BaseMessage]) -> list[Wire]:
    return [
        {"type": message.type, **message.model_dump(mode="json", exclude_defaults=True)}
        for message in messages
    ]
