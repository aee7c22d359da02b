"""Where in a thread's past a request goes on: found by the marks that each run leaves there.

A run's marks are metadata of its checkpoints. Going on from an older checkpoint makes a branch of
the thread; nothing of what was said in the others is lost.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from potluck.server.openai import request as wire
from potluck.server.openai.caller import Chat
from potluck.server.openai.catching_up import Shown
from potluck.server.openai.likeness import clean, digest, is_like, rest_of, through_user
from potluck.server.turn import MARK_PREFIX, Wire, text_of

SEEN = f"{MARK_PREFIX}seen"
"""Of a run that began where its client was: what the client had before the new message."""
ASKED = f"{MARK_PREFIX}asked"
"""The conversation up to what the user said last."""
REPLY = f"{MARK_PREFIX}reply"
"""The client's id of the reply."""

BEFORE = f"{MARK_PREFIX}before"
"""That of the reply which the client says comes before."""
HISTORY = f"{MARK_PREFIX}history"
WITH_HISTORY = {HISTORY: "sent"}
"""Of a run whose client sent what was said before: a lone message from it is an edit."""

MAX_TAKES = 8
MAX_TRIES = 4
FIRST_STEP = -1
State = Mapping[str, Any]  # Any: a thread's values are whatever graphs and people have put there


class History(Protocol):
    """A thread's past (`LangGraphClient.threads`), the newest state first."""

    async def get_history(
        self, thread_id: str, *, limit: int = 10, metadata: Mapping[str, Any] | None = None
    ) -> Any:
        """The states whose checkpoints have this metadata."""


def marks_of(
    chat: Chat, messages: Sequence[wire.Message], seen: Sequence[wire.Message] | None = None
) -> dict[str, str]:
    """The marks of a run for these messages, when it begins where the client has `seen` all."""
    marks = {ASKED: digest(through_user(messages))}
    if seen is not None:
        marks[SEEN] = digest(seen)
    if any(isinstance(message, wire.AssistantMessage) for message in messages):
        marks |= WITH_HISTORY
    if chat.reply_id:
        marks[REPLY] = chat.reply_id
    if chat.before_id:
        marks[BEFORE] = chat.before_id
    return marks


def messages_in(state: State) -> list[Wire]:
    """The conversation in a state of a thread."""
    values = state.get("values")
    return list(values.get("messages") or []) if isinstance(values, Mapping) else []


def marks_in(state: State) -> State:
    """What the checkpoint of a state says of itself."""
    return state.get("metadata") or {}


def is_whole(messages: Sequence[Wire]) -> bool:
    """Whether a thread's conversation ends with an answer, or what was said on the way to one."""
    return bool(messages) and messages[-1].get("type") == "ai"


class Forks:
    """The places in one chat's thread from which a run can go on."""

    def __init__(self, threads: History, chat: Chat, shown: Sequence[Shown]) -> None:
        self._threads = threads
        self._chat = chat
        self._shown = shown

    async def after(self, messages: Sequence[wire.Message], *, before_id: str = "") -> str | None:
        """The checkpoint whose client had this history before it; None when there is none.

        Of several that look the same, the one that follows the reply called `before_id`.
        """
        if before_id:
            found = await self._beside(messages, {BEFORE: before_id}) or await self._ended(
                messages, {REPLY: before_id}
            )
            if found is not None:
                return found
        return await self._beside(messages) or (await self._tip(messages) if messages else None)

    async def stopped(self, messages: Sequence[wire.Message]) -> tuple[str, str] | None:
        """Where a run was stopped whose client shows this history, and what it shows beyond that.

        So that what the run has done until then is not forgotten with what it has not said.
        """
        asked = through_user(messages)
        answers = clean(messages[len(asked) :])
        shown = [one for one in answers if isinstance(one, wire.AssistantMessage)]
        if not asked or len(shown) != len(answers):
            return None
        state = await self._newest({ASKED: digest(asked)})
        held = messages_in(state or {})
        humans = [place for place, one in enumerate(held) if one.get("type") == "human"]
        if state is None or not humans or not is_like(asked, held[: humans[-1] + 1]):
            return None
        said = "".join(text_of(one) for one in held[humans[-1] + 1 :] if one.get("type") == "ai")
        rest = rest_of("\n".join(wire.text_in(one.content) for one in shown), said)
        point = _checkpoint_of(state)
        return None if rest is None or point is None else (point, rest)

    async def after_reply(self, reply_id: str) -> str | None:
        """The last checkpoint of the reply that the client calls so."""
        newest = await self._newest({REPLY: reply_id})
        return None if newest is None else _checkpoint_of(newest)

    async def start(self) -> str | None:
        """The first checkpoint of the thread, in which nothing was said."""
        first = await self._newest({"source": "input", "step": FIRST_STEP})
        return None if first is None or messages_in(first) else _checkpoint_of(first)

    async def _beside(
        self, messages: Sequence[wire.Message], marks: Mapping[str, str] | None = None
    ) -> str | None:
        """Where another run began whose client had the same before it: an edit, another try."""
        wanted = {SEEN: digest(messages), "source": "input", **(marks or {})}
        begun = await self._newest(wanted)
        if begun is None:
            return None
        before = begun.get("parent_checkpoint") or {}
        return before.get("checkpoint_id") or _checkpoint_of(begun)

    async def _tip(self, messages: Sequence[wire.Message]) -> str | None:
        """The end of a branch on which nothing was said since."""
        own = digest(messages)
        runs = [one.run_id for one in reversed(self._shown) if one.answered == own and one.run_id]
        for run_id in runs[:1]:
            state = await self._newest({"run_id": run_id})
            if state is not None:
                return _checkpoint_of(state)
        asked = {ASKED: digest(through_user(messages))}
        found = await self._ended(messages, asked)
        if found is not None:
            return found
        # More than one answer to the same question
        for begun in await self._history({**asked, "source": "input"}, MAX_TAKES):
            found = await self._ended(messages, {"run_id": marks_in(begun).get("run_id")})
            if found is not None:
                return found
        return None

    async def _ended(
        self, messages: Sequence[wire.Message], marks: Mapping[str, object]
    ) -> str | None:
        """The newest checkpoint with these marks, if this is what was said there."""
        state = await self._newest(marks)
        if state is None:
            return None
        held = messages_in(state)
        return _checkpoint_of(state) if is_whole(held) and is_like(messages, held) else None

    async def _newest(self, marks: Mapping[str, object]) -> State | None:
        found = await self._history(marks, 1)
        return found[0] if found else None

    async def _history(self, marks: Mapping[str, object], limit: int) -> list[State]:
        found = await self._threads.get_history(self._chat.thread_id, limit=limit, metadata=marks)
        return cast("list[State]", found)


def _checkpoint_of(state: State) -> str | None:
    found = (state.get("checkpoint") or {}).get("checkpoint_id")
    return str(found) if found else None
