"""Telling the streams what is happening."""

from langgraph.config import get_stream_writer

from graph.state import Step
from potluck.events import Event, PlanEvent, PlanStepView, StepEvent


def tell(event: Event) -> None:
    """Put one event on the run's `custom` stream."""
    get_stream_writer()(event)


def tell_step(node: str, text: str) -> None:
    """Say which node the run has entered and what it does there."""
    tell(StepEvent(type="step", node=node, text=text))


def tell_plan(steps: list[Step]) -> None:
    """Show the whole plan as it stands now."""
    views = [PlanStepView(id=s["id"], goal=s["goal"], status=s["status"]) for s in steps]
    tell(PlanEvent(type="plan", steps=views))
