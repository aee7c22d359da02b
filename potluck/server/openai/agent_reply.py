"""The agent's answer to a request, through the LangGraph API of this server."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from langgraph_sdk.client import LangGraphClient

from potluck.server.openai.caller import Chat
from potluck.server.openai.conversation import input_for, turn_of
from potluck.server.openai.deltas import Accepted, Delta, Finished, Said, Thought
from potluck.server.openai.errors import ApiError
from potluck.server.openai.progress import line_of
from potluck.server.openai.request import ChatRequest
from potluck.server.openai.transcript import instructions_in
from potluck.server.thread_queue import ThreadQueue
from potluck.server.turn import Answer, Begun, Happened, Part, Turn, Values, Wire, run_turn


async def agent_reply(
    request: ChatRequest,
    *,
    client: LangGraphClient,
    queue: ThreadQueue,
    chat: Chat | None,
    ref: str | None,
) -> AsyncGenerator[Delta]:
    """Run a turn of the agent, on the chat's thread if there is one; `ref` is asked first.

    Raises ApiError, RunError or ThreadBusyError. Whoever stops iterating cancels the run.
    """
    messages = turn_of(request.messages)
    if not messages:
        raise ApiError(
            "Invalid `messages`: at least one user message is needed.",
            param="messages",
            code="invalid_value",
        )
    thread_id = chat.thread_id if chat else None
    async with queue.turn(thread_id):
        turn = Turn(
            messages=await input_for(client.threads, chat, messages),
            thread_id=thread_id,
            context=_context(request, ref),
            thread_exists=chat is not None,
        )
        async with aclosing(_deltas(client, turn)) as deltas:
            async for delta in deltas:
                yield delta


def _context(request: ChatRequest, ref: str | None) -> Wire:
    instructions = instructions_in(request.messages)
    return {
        **({"model": ref} if ref else {}),
        **({"instructions": instructions} if instructions else {}),
    }


async def _deltas(client: LangGraphClient, turn: Turn) -> AsyncGenerator[Delta]:
    answer = Answer()
    usage: Wire = {}
    async with aclosing(run_turn(client, turn)) as parts:
        async for part in parts:
            if isinstance(part, Values):
                usage = part.state.get("usage") or usage
            delta = _delta(part, answer)
            if delta is not None:
                yield delta
    if rest := answer.rest():
        yield Said(rest)
    yield Finished("stop", usage.get("input_tokens", 0), usage.get("output_tokens", 0))


def _delta(part: Part, answer: Answer) -> Delta | None:
    text = answer.take(part)
    if text:
        return Said(text)
    if isinstance(part, Begun):
        return Accepted()
    if isinstance(part, Happened):
        line = line_of(part.event)
        return Thought(line) if line else None
    return None
