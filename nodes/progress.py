"""Telling the streams what is happening."""

from collections.abc import Sequence

from langgraph.config import get_stream_writer

from graph.state import Left, Step
from potluck.errors import ProviderError
from potluck.events import (
    BudgetEvent,
    Event,
    FailoverEvent,
    PlanEvent,
    PlanStepView,
    StepEvent,
    WaitingEvent,
)
from potluck.providers.course import Wait

SHOWN_MODELS = 5


def tell(event: Event) -> None:
    """Put one event on the run's `custom` stream."""
    get_stream_writer()(event)


def tell_step(node: str, text: str, *step_ids: int) -> None:
    """Say which node the run has entered, what it does there, and for which steps of the plan."""
    event = StepEvent(type="step", node=node, text=text)
    if step_ids:
        event["step_ids"] = list(step_ids)
    tell(event)


def tell_left(left: Left) -> None:
    """Say what the run may still spend."""
    tell(BudgetEvent(type="budget", **left))


def tell_plan(steps: list[Step]) -> None:
    """Show the whole plan as it stands now."""
    views = [PlanStepView(id=s["id"], goal=s["goal"], status=s["status"]) for s in steps]
    tell(PlanEvent(type="plan", steps=views))


def tell_failover(error: ProviderError) -> None:
    """Say that a model failed, so that another one is asked."""
    failed = f"{error.provider}/{error.model}"
    tell(FailoverEvent(type="failover", failed=failed, reason=error.fault.message))


def tell_wait(wait: Wait) -> None:
    """Say that a call waits for room."""
    until = wait.until.isoformat(timespec="milliseconds")
    reason = f"No model that could answer has room now: {named(wait.refs)}."
    tell(WaitingEvent(type="waiting", until=until, reason=reason, waiting_for=[*wait.refs]))


def named(refs: Sequence[str]) -> str:
    """The models, as many of them as people read."""
    others = len(refs) - SHOWN_MODELS
    return ", ".join(refs[:SHOWN_MODELS]) + (f" and {others} more" if others > 0 else "")
