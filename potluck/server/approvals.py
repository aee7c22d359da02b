"""Tool calls that wait for a person: found among a run's interrupts, and how they are answered."""

import asyncio
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from langgraph_sdk.client import LangGraphClient

from potluck.server.thread_queue import ThreadBusyError

# Any: interrupts and states are JSON of the LangGraph API
Json = Mapping[str, Any]
Resume = Mapping[str, object]
"""What a run goes on with: each interrupt's answer by its id."""

# Controls, what turns the direction of text, halves of characters, unassigned ones, odd line ends
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
SETTLE_TIMEOUT_S = 10.0
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Approval:
    """A tool call that waits for a person's decision; `id` is that of its interrupt."""

    id: str
    name: str
    args: Mapping[str, object]
    description: str
    """Why a person is asked."""


def approvals_in(interrupts: Iterable[Json]) -> tuple[Approval, ...]:
    """The calls that wait among these interrupts; those of another kind are left alone."""
    found = (_approval(interrupt) for interrupt in interrupts)
    return tuple({one.id: one for one in found if one is not None}.values())


def _approval(interrupt: Json) -> Approval | None:
    value = interrupt.get("value")
    requests = value.get("action_requests") if isinstance(value, Mapping) else None
    if not isinstance(requests, Sequence) or len(requests) != 1:
        return None
    (request,) = requests
    return Approval(
        id=str(interrupt.get("id", "")),
        name=str(request.get("name", "")),
        args=dict(request.get("args") or {}),
        description=str(request.get("description") or ""),
    )


def interrupts_in(state: Json) -> list[Json]:
    """All interrupts of a thread's state, in the order of its tasks."""
    tasks = [one for task in state.get("tasks") or () for one in task.get("interrupts") or ()]
    return [*tasks, *(state.get("interrupts") or ())]


async def pending_approvals(client: LangGraphClient, thread_id: str) -> tuple[Approval, ...]:
    """What waits for a person on a thread, in the order in which the agent wants to do it.

    Waits for a run that is at work there: until it ends, the state still shows what it goes on
    from. Raises ThreadBusyError when that takes too long, and httpx.HTTPError.
    """
    for _ in range(round(SETTLE_TIMEOUT_S / POLL_S)):
        status = (await client.threads.get(thread_id))["status"]
        if status != "busy":
            break
        await asyncio.sleep(POLL_S)
    else:
        raise ThreadBusyError("A run is at work on this thread.", fix="Wait until it has ended.")
    if status != "interrupted":
        return ()
    return approvals_in(interrupts_in(cast("Json", await client.threads.get_state(thread_id))))


def shown(args: Mapping[str, object]) -> str:
    """A call's arguments for people, whole: one a line, longer texts indented below their name.

    Characters that nobody would see, or that would change how others look, are written out.
    """
    return "\n".join(_line(name, value) for name, value in args.items())


def _line(name: str, value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = "".join(one if _is_plain(one) else one.encode("unicode_escape").decode() for one in text)
    if "\n" not in text:
        return f"{name}: {text}"
    return "\n".join([f"{name}:", *(f"    {line}" for line in text.split("\n"))])


def _is_plain(character: str) -> bool:
    return character in "\n\t" or unicodedata.category(character) not in _UNSEEN


def approved() -> object:
    """The answer that lets a call run as it is."""
    return {"decisions": [{"type": "approve"}]}


def edited(name: str, args: Mapping[str, object]) -> object:
    """The answer that has this call run instead."""
    action = {"name": name, "args": dict(args)}
    return {"decisions": [{"type": "edit", "edited_action": action}]}


def rejected(message: str = "") -> object:
    """The answer that lets nothing run; `message` is for the model."""
    said = {"message": message} if message else {}
    return {"decisions": [{"type": "reject", **said}]}
