"""The agent's answer to a request, through the LangGraph API of this server."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
from langgraph_sdk.client import LangGraphClient

from potluck.cache.responses import CacheMode
from potluck.quota.parking import ParkedRuns
from potluck.server.answer import Answer
from potluck.server.openai.approval_notice import question
from potluck.server.openai.caller import Chat
from potluck.server.openai.catching_up import Shown
from potluck.server.openai.conversation import Opening, opening_for, turn_of
from potluck.server.openai.deltas import Accepted, Delta, Finished, Said, Thought
from potluck.server.openai.errors import ApiError
from potluck.server.openai.progress import line_of
from potluck.server.openai.request import ChatRequest
from potluck.server.openai.transcript import instructions_in
from potluck.server.parked_threads import give_up
from potluck.server.parked_turn import pick_up, run_through
from potluck.server.thread_queue import ThreadQueue
from potluck.server.turn import (
    Asked,
    Begun,
    Happened,
    Parked,
    Part,
    RunError,
    Turn,
    Values,
    Wire,
)

BETWEEN_ANSWERS = "\n\n---\n\n"


@dataclass(frozen=True, slots=True)
class Way:
    """How one request reaches the agent, and how long its caller is kept waiting for quota."""

    client: LangGraphClient
    queue: ThreadQueue
    parking: ParkedRuns
    wait_limit_s: float
    cache: CacheMode = "use"
    tenant: str = ""


async def agent_reply(
    request: ChatRequest, way: Way, *, chat: Chat | None, ref: str | None
) -> AsyncGenerator[Delta]:
    """Run a turn of the agent, on the chat's thread if there is one; `ref` is asked first.

    Raises ApiError, RunError or ThreadBusyError. Whoever stops iterating cancels the run, a parked
    one too.
    """
    messages = turn_of(request.messages)
    if not messages:
        raise ApiError(
            "Invalid `messages`: at least one user message is needed.",
            param="messages",
            code="invalid_value",
        )
    thread_id = chat.thread_id if chat else None
    async with way.queue.turn(thread_id):
        opening = await opening_for(way.client.threads, chat, messages)
        turn = Turn(
            messages=opening.messages,
            thread_id=thread_id,
            context=_context(request, ref, way),
            thread_exists=chat is not None,
            decisions=opening.decisions,
        )
        reply = _Reply(way, turn, opening)
        try:
            async with aclosing(reply.deltas()) as deltas:
                async for delta in deltas:
                    yield delta
        finally:
            if reply.is_waiting and thread_id is not None:
                await give_up(way.parking, way.client, thread_id)
        if chat is not None and (opening.is_apart or reply.has_notice):
            await _keep_shown(way, chat, Shown.of(messages, reply.text, reply.thread))
        yield reply.finished


def _context(request: ChatRequest, ref: str | None, way: Way) -> Wire:
    instructions = instructions_in(request.messages)
    return {
        **({"model": ref} if ref else {}),
        **({"instructions": instructions} if instructions else {}),
        **({"cache": way.cache} if way.cache != "use" else {}),
        **({"tenant": way.tenant} if way.tenant else {}),
    }


async def _keep_shown(way: Way, chat: Chat, shown: Shown) -> None:
    try:
        await way.client.threads.update(chat.thread_id, metadata=shown.metadata)
    except httpx.HTTPError as error:
        raise RunError(f"The thread could not be marked: {error!r}.", status=503) from error


class _Reply:
    """One reply as deltas, and what it has come to."""

    def __init__(self, way: Way, turn: Turn, opening: Opening) -> None:
        self._way = way
        self._turn = turn
        self._opening = opening
        self._usage: Wire = {}
        self.text = ""
        self.thread: Sequence[Wire] = ()
        self.is_waiting = False
        self.has_notice = False
        self._is_asking = False

    async def deltas(self) -> AsyncGenerator[Delta]:
        """The reply but for its end: first what the client has not seen yet, then the answer."""
        opening, limit_s = self._opening, self._way.wait_limit_s
        if opening.unseen and not opening.is_busy:
            yield self._said(opening.unseen)
        if opening.is_busy and self._turn.thread_id is not None:
            present = pick_up(self._way.client, self._turn.thread_id, wait_limit_s=limit_s)
            async with aclosing(self._answer(present, Answer())) as deltas:
                async for delta in deltas:
                    yield delta
        # What is asked about now cannot have been answered by the message that came with it.
        if (opening.messages or opening.decisions) and not self._is_asking:
            if self.text:
                yield self._said(BETWEEN_ANSWERS)
            parts = run_through(self._way.client, self._turn, wait_limit_s=limit_s)
            answer = Answer(is_resumed=bool(opening.decisions))
            async with aclosing(self._answer(parts, answer)) as deltas:
                async for delta in deltas:
                    yield delta

    @property
    def finished(self) -> Finished:
        """Its end."""
        used = self._usage
        return Finished("stop", used.get("input_tokens", 0), used.get("output_tokens", 0))

    async def _answer(self, parts: AsyncGenerator[Part], answer: Answer) -> AsyncGenerator[Delta]:
        last: Part | None = None
        async with aclosing(parts):
            async for part in parts:
                last = part
                self._follow(part)
                delta = self._delta(part, answer)
                if delta is not None:
                    yield delta
        self.is_waiting = False
        if not isinstance(last, Parked) and (rest := answer.rest()):
            yield self._said(rest)
        self._is_asking = isinstance(last, Asked)
        if isinstance(last, Parked):
            yield self._noticed(notice(last, datetime.now(UTC)))
        elif isinstance(last, Asked):
            yield self._noticed(question(last.approvals))

    def _follow(self, part: Part) -> None:
        if isinstance(part, Values):
            self._usage = part.state.get("usage") or self._usage
            self.thread = part.messages or self.thread
        self.is_waiting = isinstance(part, Parked)

    def _delta(self, part: Part, answer: Answer) -> Delta | None:
        text = answer.take(part)
        if text:
            return self._said(text)
        if isinstance(part, Begun):
            return Accepted()
        if isinstance(part, Happened):
            line = line_of(part.event)
            return Thought(line) if line else None
        return None

    def _noticed(self, text: str) -> Said:
        """Words that stand in no thread."""
        self.has_notice = True
        return self._said(f"\n\n{text}" if self.text else text)

    def _said(self, text: str) -> Said:
        self.text += text
        return Said(text)


def notice(parked: Parked, now: datetime) -> str:
    """What the client reads in place of an answer that comes later."""
    minutes = max(1, round((parked.resume_at - now).total_seconds() / 60))
    hours, minutes = divmod(minutes, 60)
    span = f"{hours} h {minutes} min" if hours else f"{minutes} min"
    return (
        f"{parked.reason} The work goes on by itself in {span} ({parked.resume_at:%Y-%m-%d %H:%M} "
        "UTC), and the answer stays in this chat: send any message then to read it."
    )
