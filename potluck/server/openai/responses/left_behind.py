"""Work in the background whose process is gone: what its run of the agent has come to."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import NotFoundError
from langgraph_sdk.schema import RunCreateMetadata

from potluck.quota.parking import ParkedRuns
from potluck.server.abandoned import ACTIVE, settle
from potluck.server.approvals import approvals_in, interrupts_in
from potluck.server.openai.approval_notice import question
from potluck.server.openai.deltas import Finished, Said
from potluck.server.openai.responses.envelope import usage_body
from potluck.server.openai.responses.kept import Kept
from potluck.server.openai.responses.output import Output
from potluck.server.openai.responses.writers import Json
from potluck.server.parked_threads import give_up
from potluck.server.turn import Wire, parked_in, text_of

STOPPED = "The server stopped while it worked on this response. Ask again."


async def stop_run(client: LangGraphClient, parking: ParkedRuns, thread_id: str) -> None:
    """End whatever is at work or parked on a thread. Raises httpx.HTTPError."""
    try:
        runs = await client.runs.list(thread_id, limit=1)
    except NotFoundError:
        return
    if runs and runs[0]["status"] in ACTIVE:
        run_id = runs[0]["run_id"]
        await client.runs.cancel(thread_id, run_id)
        await settle(
            client, RunCreateMetadata(run_id=run_id, thread_id=thread_id), keep_thread=True
        )
    await give_up(parking, client, thread_id)


async def as_it_stands(kept: Kept, client: LangGraphClient, thread_id: str | None) -> Json:
    """The response that nobody works on any more, by what its thread holds.

    In progress as long as a run is at work or parked there. Raises httpx.HTTPError.
    """
    if thread_id is None:
        return _failed(kept)
    try:
        thread = await client.threads.get(thread_id)
        state = cast("Mapping[str, Any]", await client.threads.get_state(thread_id))
    except NotFoundError:
        return _failed(kept)
    interrupts = interrupts_in(state) if thread["status"] == "interrupted" else []
    waiting = approvals_in(interrupts)
    if thread["status"] == "busy" or (parked_in(interrupts) and not waiting):
        return dict(kept.body)
    values: Wire = state.get("values") or {}
    text = question(waiting) if waiting else _answer(kept, values.get("messages") or [])
    if thread["status"] == "error" or not text:
        return _failed(kept)
    return _completed(kept, text, values.get("usage") or {})


def _answer(kept: Kept, messages: Sequence[Wire]) -> str:
    """The last words on the thread, if they answer what this response was asked."""
    asked = _last_asked(kept)
    for message in reversed(messages):
        if message.get("type") == "human":
            return ""
        if message.get("type") == "ai" and text_of(message).strip():
            answered = next((m for m in reversed(messages) if m.get("type") == "human"), {})
            return text_of(message) if _same(text_of(answered), asked) else ""
    return ""


def _last_asked(kept: Kept) -> str:
    users = [item for item in kept.input if item.get("role") == "user"]
    if not users:
        return ""
    return "\n".join(str(part.get("text") or "") for part in users[-1]["content"])


def _same(one: str, other: str) -> bool:
    return not other.strip() or one.split() == other.split()


def _completed(kept: Kept, text: str, used: Wire) -> Json:
    output = Output()
    output.take(Said(text))
    output.close("completed")
    finished = Finished("stop", used.get("input_tokens", 0), used.get("output_tokens", 0))
    return {
        **kept.body,
        "status": "completed",
        "completed_at": int(datetime.now(UTC).timestamp()),
        "output": output.done,
        "usage": usage_body(finished),
    }


def _failed(kept: Kept) -> Json:
    error = {"code": "server_error", "message": STOPPED}
    return {**kept.body, "status": "failed", "error": error}
