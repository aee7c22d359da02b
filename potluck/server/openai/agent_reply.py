"""The agent's answer to a request, through the LangGraph API of this server."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
from langgraph_sdk.client import LangGraphClient

from potluck.cache.responses import CacheMode
from potluck.errors import PotluckError
from potluck.quota.parking import ParkedRuns
from potluck.server.answer import Answer
from potluck.server.openai.approval_card import ASK_USER, asked_at_once, card_for, takes_cards
from potluck.server.openai.approval_notice import question, wish
from potluck.server.openai.caller import Chat
from potluck.server.openai.catching_up import Shown, note
from potluck.server.openai.conversation import opening_for, turn_of
from potluck.server.openai.deltas import Accepted, Called, Delta, Finished, FinishReason, Said
from potluck.server.openai.errors import ApiError
from potluck.server.openai.finish import end_of
from potluck.server.openai.narration import DONE, Narration
from potluck.server.openai.opening import Opening
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
FAILED = "It failed"
WAITS_FOR_QUOTA = "Waiting for quota"
WAITS_FOR_PERSON = "Waiting for your decision"


@dataclass(frozen=True, slots=True)
class Way:
    """How one request reaches the agent, and how long its caller is kept waiting for quota."""

    client: LangGraphClient
    queue: ThreadQueue
    parking: ParkedRuns
    wait_limit_s: float
    cache: CacheMode = "use"
    wishes: Wire = field(default_factory=dict)
    """How the answer is to be: what else goes into the run's context."""
    is_detached: bool = False
    """The run goes on when its caller leaves."""


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
            checkpoint_id=opening.checkpoint_id,
            marks=opening.marks,
            is_detached=way.is_detached,
        )
        reply = _Reply(way, turn, opening, has_cards=takes_cards(request))
        try:
            async with aclosing(reply.deltas()) as deltas:
                async for delta in deltas:
                    yield delta
        except PotluckError:
            for delta in reply.narration.end(FAILED):
                yield delta
            raise
        finally:
            if reply.is_waiting and thread_id is not None and not way.is_detached:
                await give_up(way.parking, way.client, thread_id)
        if chat is not None and (opening.is_apart or reply.has_notice):
            shown = Shown.of(messages, reply.text, reply.thread, reply.run_id)
            await _keep_shown(way, chat, shown)
        for delta in reply.narration.end(reply.last_status):
            yield delta
        yield reply.finished


def _context(request: ChatRequest, ref: str | None, way: Way) -> Wire:
    instructions = instructions_in(request.messages)
    return {
        **way.wishes,
        **({"model": ref} if ref else {}),
        **({"instructions": instructions} if instructions else {}),
        **({"cache": way.cache} if way.cache != "use" else {}),
    }


async def _keep_shown(way: Way, chat: Chat, shown: Shown) -> None:
    try:
        await note(way.client.threads, chat.thread_id, shown)
    except httpx.HTTPError as error:
        raise RunError(f"The thread could not be marked: {error!r}.", status=503) from error


class _Reply:
    """One reply as deltas, and what it has come to."""

    def __init__(self, way: Way, turn: Turn, opening: Opening, *, has_cards: bool) -> None:
        self._way = way
        self._turn = turn
        self._opening = opening
        self._has_cards = has_cards
        self._usage: Wire = {}
        self.narration = Narration()
        self.last_status = DONE
        self.text = ""
        self.run_id = ""
        self.thread: Sequence[Wire] = ()
        self.is_waiting = False
        self.has_notice = False
        self._is_asking = False
        self._reason: FinishReason = "stop"

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
        return Finished(
            self._reason,
            used.get("input_tokens", 0),
            used.get("output_tokens", 0),
            cached_tokens=used.get("cached_tokens", 0),
            reasoning_tokens=used.get("reasoning_tokens", 0),
        )

    async def _answer(self, parts: AsyncGenerator[Part], answer: Answer) -> AsyncGenerator[Delta]:
        last: Part | None = None
        async with aclosing(parts):
            async for part in parts:
                last = part
                self._follow(part)
                for delta in self._deltas(part, answer):
                    yield delta
        self.is_waiting = False
        if not isinstance(last, Parked) and (rest := answer.rest()):
            yield self._said(rest)
        self.has_notice = self.has_notice or answer.is_anew
        self._is_asking = isinstance(last, Asked)
        if not isinstance(last, Parked | Asked):
            self._reason, calls = end_of(self.thread)
            for call in calls:
                yield call
        if isinstance(last, Parked):
            self.last_status = WAITS_FOR_QUOTA
            yield self._noticed(notice(last, datetime.now(UTC)))
        elif isinstance(last, Asked):
            self.last_status = WAITS_FOR_PERSON
            for delta in self._asking(last):
                yield delta

    def _asking(self, asked: Asked) -> list[Delta]:
        if not self._has_cards:
            return [self._noticed(question(asked.approvals))]
        card = card_for(asked.approvals)
        self._reason = "tool_calls"
        told = self._noticed(wish(asked_at_once(asked.approvals)))
        return [told, Called(0, card.arguments, card.id, ASK_USER)]

    def _follow(self, part: Part) -> None:
        if isinstance(part, Values):
            self._usage = part.state.get("usage") or self._usage
            self.thread = part.messages or self.thread
        if isinstance(part, Begun):
            self.run_id = part.run_id
        self.is_waiting = isinstance(part, Parked)

    def _deltas(self, part: Part, answer: Answer) -> list[Delta]:
        text = answer.take(part)
        if text:
            return [self._said(text)]
        if isinstance(part, Begun):
            return [Accepted()]
        return self.narration.tell(part.event) if isinstance(part, Happened) else []

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
