"""How a run has ended, as a reader of its stream is told who has missed it."""

from typing import Any

from aegra_api.core.orm import Run, _get_session_maker
from aegra_api.utils import extract_event_sequence, generate_event_id
from sqlalchemy.exc import SQLAlchemyError

ENDED = frozenset({"success", "error", "interrupted"})

StreamEvent = tuple[str, Any]
"""An event's id, and what it holds: whatever the graph streams."""


async def end_of(run_id: str, last_id: str | None) -> list[StreamEvent]:
    """The last events of a run that has ended; nothing where it cannot be known."""
    try:
        async with _get_session_maker()() as session:
            run = await session.get(Run, run_id)
    except (SQLAlchemyError, OSError):
        return []
    if run is None or run.status not in ENDED:
        return []
    # One number is left out: who counts them sees that something was missed
    number = (extract_event_sequence(last_id) if last_id else 0) + 2
    told: list[tuple[str, object]] = [("end", {"status": run.status})]
    if run.status == "error":
        message = run.error_message or "execution failed"
        told = [("error", {"error": "RunError", "message": message}), *told]
    elif run.output:
        told = [("values", run.output), *told]
    return [(generate_event_id(run_id, number + at), one) for at, one in enumerate(told)]
