"""Bringing a thread in line with the request: its history is the one that counts."""

import asyncio
from collections.abc import Sequence
from typing import cast

from potluck.server.approval_words import decide
from potluck.server.approvals import (
    POLL_S,
    SETTLE_TIMEOUT_S,
    Resume,
    approvals_in,
    interrupts_in,
)
from potluck.server.openai import request as wire
from potluck.server.openai.approval_card import (
    CardAnswer,
    card_answer,
    card_id,
    decide_by_card,
)
from potluck.server.openai.caller import Chat
from potluck.server.openai.catching_up import Shown
from potluck.server.openai.forks import (
    ASKED,
    MAX_TRIES,
    REPLY,
    WITH_HISTORY,
    Forks,
    State,
    is_whole,
    marks_in,
    marks_of,
    messages_in,
)
from potluck.server.openai.likeness import digest, is_like, parted, through_user
from potluck.server.openai.opening import Opening, Threads, known_state, sent
from potluck.server.thread_queue import ThreadBusyError
from potluck.server.turn import Wire, run_errors

REMOVE_ALL: Wire = {"type": "remove", "id": "__remove_all__", "content": ""}


def turn_of(messages: Sequence[wire.Message]) -> list[wire.Message]:
    """The conversation of a request, without its instructions."""
    return [message for message in messages if not isinstance(message, wire.SystemMessage)]


async def opening_for(
    threads: Threads, chat: Chat | None, messages: Sequence[wire.Message]
) -> Opening:
    """What to send so that the run sees the request's conversation; makes the chat's thread.

    That is what is new when the thread, or a place in its past, holds the rest already; else as
    much as it does not hold. Raises RunError when the server cannot be reached, ThreadBusyError
    when a card is answered that a run at work has not done with.
    """
    if chat is None:
        return Opening(sent(messages))
    with run_errors():
        state = await known_state(threads, chat, continued=len(messages) > 1)
        if not messages_in(state):
            seen, _ = parted(messages)
            return Opening(sent(messages), marks=marks_of(chat, messages, None if seen else ()))
        return await _Opener(threads, chat, messages, state).opening()


class _Opener:
    """Finds the place of one request in a thread that holds something already."""

    def __init__(
        self, threads: Threads, chat: Chat, messages: Sequence[wire.Message], state: State
    ) -> None:
        self._threads = threads
        self._chat = chat
        self._messages = messages
        self._state = state
        self._thread: Wire | None = None

    async def opening(self) -> Opening:
        answer = card_answer(self._messages)
        if answer is not None:
            opening = await self._decided(answer)
            if opening is not None:
                return opening
            # Too late for that card: what the user asked is asked anew.
            self._messages = through_user(self._messages)
            if not self._messages:
                return Opening([], is_busy=True, is_apart=True)
        if await self._is_newest_only():
            return await self._continued()
        return self._in_line() or await self._caught_up() or await self._forked()

    async def _is_newest_only(self) -> bool:
        """Whether the client leaves the history to us: its message is no edit of the first one."""
        if self._chat.history != "unknown":
            return self._chat.history == "newest"
        if any(isinstance(message, wire.AssistantMessage) for message in self._messages):
            return False
        return not await self._threads.get_history(
            self._chat.thread_id, limit=1, metadata=WITH_HISTORY
        )

    async def _continued(self) -> Opening:
        """What a client means that sends nothing but what is new."""
        caught_up = await self._caught_up(is_newest_only=True)
        if caught_up is not None:
            return caught_up
        before = self._chat.before_id
        point = None
        if before and marks_in(self._state).get(REPLY) != before:
            point = await Forks(self._threads, self._chat, ()).after_reply(before)
        marks = marks_of(self._chat, self._messages)
        return Opening(sent(self._messages), checkpoint_id=point, marks=marks)

    def _in_line(self) -> Opening | None:
        """Going on at the end of the thread, when it holds all that came before and no more."""
        held = messages_in(self._state)
        before, new = parted(self._messages)
        if not is_whole(held) or not is_like(before, held) or not _fits(new, held[-1]):
            return None
        reply_id = marks_in(self._state).get(REPLY)
        if new and self._chat.before_id and reply_id and reply_id != self._chat.before_id:
            return None
        return Opening(sent(new), marks=marks_of(self._chat, self._messages, before))

    async def _caught_up(self, *, is_newest_only: bool = False) -> Opening | None:
        """Going on where the client has seen a notice in place of the thread's last answer."""
        last = await self._last_shown()
        held = messages_in(self._state)
        if last is None or not isinstance(self._messages[-1], wire.UserMessage):
            return None
        unseen, status = last.unseen(held), await self._status()
        is_waited_for = status in ("busy", "interrupted")
        if digest(self._messages) == last.asked and (unseen or is_waited_for):
            return Opening([], unseen, is_busy=is_waited_for, is_apart=True)
        before = self._messages[:-1]
        if not is_newest_only and digest(before) != last.answered:
            return None
        # Of a run that is at work, the state still shows what it has got answers to.
        waiting = approvals_in(interrupts_in(self._state)) if status == "interrupted" else ()
        if waiting:
            decisions = decide(wire.text_in(self._messages[-1].content), waiting)
            return self._resumed(decisions)
        return Opening(
            sent(self._messages[-1:]),
            unseen,
            is_busy=status == "busy",
            is_apart=True,
            marks=marks_of(self._chat, self._messages, None if is_newest_only else before),
        )

    async def _decided(self, answer: CardAnswer) -> Opening | None:
        """Going on with what a card was answered with; None when that card asks no more."""
        last = await self._last_shown()
        if last is not None and last.asked == digest(self._messages):
            return Opening([], is_busy=True, is_apart=True)
        await self._settle()
        waiting = approvals_in(interrupts_in(self._state))
        is_open = await self._status() == "interrupted" and card_id(waiting) == answer.id
        if not is_open or not self._is_of_this_turn(last):
            return None
        return self._resumed(decide_by_card(answer, waiting))

    def _is_of_this_turn(self, last: Shown | None) -> bool:
        """Whether what waits was asked for by the message that the client shows above its card."""
        asked = through_user(self._messages)
        if not asked:
            return self._chat.history != "whole"
        marks, own = marks_in(self._state), digest(asked)
        is_same_reply = bool(self._chat.reply_id) and marks.get(REPLY) == self._chat.reply_id
        return is_same_reply or own in (marks.get(ASKED), last.question if last else None)

    def _resumed(self, decisions: Resume) -> Opening:
        marks = marks_of(self._chat, self._messages)
        return Opening([], is_apart=True, decisions=decisions, marks=marks)

    async def _forked(self) -> Opening:
        """Going on from the place in the past that holds the most of what the client shows."""
        await self._status()
        shown = Shown.read((self._thread or {}).get("metadata"))
        forks = Forks(self._threads, self._chat, shown)
        before, new = parted(self._messages)
        if isinstance(next(iter(new), None), wire.ToolMessage):
            # The calls that they answer go with them.
            before, _ = parted(through_user(before))
        own, *earlier = _ends_of_turns(before)
        return (
            (await self._beyond(forks, before, [own]) if before else None)
            or await self._after_stop(forks)
            or await self._beyond(forks, before, earlier[:MAX_TRIES] if before else [own])
            or await self._anew(forks)
        )

    async def _beyond(
        self, forks: Forks, before: Sequence[wire.Message], counts: Sequence[int]
    ) -> Opening | None:
        """Going on from where the thread held the first so many messages, and no more."""
        for kept in counts:
            before_id = self._chat.before_id if kept == len(before) else ""
            point = await forks.after(self._messages[:kept], before_id=before_id)
            if point is not None:
                seen = before if kept == len(before) else None
                return self._branched(point, self._messages[kept:], seen)
        return None

    async def _after_stop(self, forks: Forks) -> Opening | None:
        """Going on from where a run was stopped, with what it had said and done."""
        *before, last = self._messages
        stopped = await forks.stopped(before) if isinstance(last, wire.UserMessage) else None
        if stopped is None:
            return None
        point, rest = stopped
        said = wire.AssistantMessage(role="assistant", content=rest)
        return self._branched(point, [said, last] if rest.strip() else [last])

    async def _anew(self, forks: Forks) -> Opening:
        """Going on from the thread's beginning; without one, in place of all that it holds."""
        start = await forks.start()
        if start is not None:
            return self._branched(start, self._messages)
        marks = marks_of(self._chat, self._messages)
        return Opening([REMOVE_ALL, *sent(self._messages)], marks=marks)

    def _branched(
        self,
        checkpoint_id: str,
        added: Sequence[wire.Message],
        seen: Sequence[wire.Message] | None = None,
    ) -> Opening:
        marks = marks_of(self._chat, self._messages, seen)
        return Opening(sent(added), checkpoint_id=checkpoint_id, marks=marks)

    async def _last_shown(self) -> Shown | None:
        """What was shown last, if the thread has stayed in that turn."""
        await self._status()
        shown = Shown.read((self._thread or {}).get("metadata"))
        if not shown or not shown[-1].is_of_last_turn(messages_in(self._state)):
            return None
        return shown[-1]

    async def _status(self) -> str:
        if self._thread is None:
            self._thread = cast("Wire", await self._threads.get(self._chat.thread_id))
        return str(self._thread["status"])

    async def _settle(self) -> None:
        """Wait until no run is at work, and look again."""
        if await self._status() != "busy":
            return
        for _ in range(round(SETTLE_TIMEOUT_S / POLL_S)):
            self._thread = None
            if await self._status() != "busy":
                break
            await asyncio.sleep(POLL_S)
        else:
            raise ThreadBusyError(
                "A run is at work on this thread.", fix="Wait until it has ended."
            )
        self._state = cast("State", await self._threads.get_state(self._chat.thread_id))


def _fits(new: Sequence[wire.Message], last: Wire) -> bool:
    """Whether the thread can take what is new: words, or the results of all calls of its end."""
    results = {one.tool_call_id for one in new if isinstance(one, wire.ToolMessage)}
    calls = {str(call.get("id")) for call in last.get("tool_calls") or []}
    return not results or results == calls


def _ends_of_turns(messages: Sequence[wire.Message]) -> list[int]:
    """How many messages of the history each turn ends with, the last one first."""
    ends = [
        place
        for place in range(len(messages) - 1, 0, -1)
        if isinstance(messages[place], wire.UserMessage)
        and isinstance(messages[place - 1], wire.AssistantMessage)
    ]
    return [len(messages), *ends]
