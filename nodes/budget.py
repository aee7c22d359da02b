"""How much one run may spend, and what is left of it."""

from dataclasses import dataclass
from typing import Self

from graph.state import NOTHING_USED, Context, Elapsed, Left, State, Usage

# Five steps of a plan with four rounds each, and triage, planner, reflector with a second try.
DEFAULT_MAX_CALLS = 25
HIGHEST_MAX_CALLS = 200
DEFAULT_MAX_TOKENS = 500_000
DEFAULT_MAX_SECONDS = 1_800.0
DEFAULT_MAX_TOOL_CALLS = 100
# What a run must have left for a plan to make sense: the plan, a step, the answer
CALLS_FOR_A_PLAN = 3
NEAR_END_CALLS = 4
NEAR_END_SHARE = 0.15
# A graph that has no steps left fails: four take a step of a plan to its answer
LAST_GRAPH_STEPS = 8


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may spend; what makes no sense in its context counts as the default."""

    calls: int = DEFAULT_MAX_CALLS
    tokens: int = DEFAULT_MAX_TOKENS
    seconds: float = DEFAULT_MAX_SECONDS
    tool_calls: int = DEFAULT_MAX_TOOL_CALLS

    @classmethod
    def of(cls, context: Context | None) -> Self:
        """The budget that the caller set."""
        given = context or Context()
        return cls(
            min(_whole(given, "max_calls", DEFAULT_MAX_CALLS), HIGHEST_MAX_CALLS),
            _whole(given, "max_tokens", DEFAULT_MAX_TOKENS),
            _seconds(given),
            _whole(given, "max_tool_calls", DEFAULT_MAX_TOOL_CALLS, least=0),
        )

    def left(self, usage: Usage, elapsed_s: float = 0.0) -> Left:
        """What is left of it after this use; less than nothing when it was overdrawn."""
        return Left(
            calls=self.calls - usage["calls"],
            tokens=self.tokens - usage["input_tokens"] - usage["output_tokens"],
            seconds=round(self.seconds - elapsed_s, 1),
            tool_calls=self.tool_calls - usage["tool_calls"],
        )


def left_of(state: State, context: Context | None) -> Left:
    """What the run may still spend, with what the graph's own limit of steps allows."""
    elapsed: Elapsed | None = state.get("elapsed")
    left = Budget.of(context).left(
        state.get("usage") or NOTHING_USED, elapsed["seconds"] if elapsed else 0.0
    )
    if state.get("remaining_steps", LAST_GRAPH_STEPS) < LAST_GRAPH_STEPS:
        left["calls"] = min(left["calls"], 1)
    return left


def is_over(left: Left, usage: Usage) -> bool:
    """Whether the next call must be the last one, if there is one at all."""
    mean_tokens = (usage["input_tokens"] + usage["output_tokens"]) // max(usage["calls"], 1)
    return left["calls"] <= 1 or left["seconds"] <= 0 or left["tokens"] <= mean_tokens


def told_near_end(left: Left, context: Context | None) -> str:
    """What a model is told of the budget; nothing while there is enough of it."""
    budget = Budget.of(context)
    parts = [
        f"{left['calls'] - 1} more calls of a model"
        if budget.calls > NEAR_END_CALLS and left["calls"] <= NEAR_END_CALLS
        else "",
        f"about {left['tokens']:,} tokens"
        if left["tokens"] < budget.tokens * NEAR_END_SHARE
        else "",
        f"{left['seconds']:.0f} seconds"
        if left["seconds"] < budget.seconds * NEAR_END_SHARE
        else "",
        f"{left['tool_calls']} tool calls"
        if left["tool_calls"] < budget.tool_calls * NEAR_END_SHARE
        else "",
    ]
    told = ", ".join(part for part in parts if part)
    return f"This run has left: {told}. Do what matters most, and answer in time." if told else ""


def _whole(context: Context, name: str, default: int, *, least: int = 1) -> int:
    given = {**context}.get(name)
    if not isinstance(given, int) or isinstance(given, bool) or given < least:
        return default
    return given


def _seconds(context: Context) -> float:
    given = {**context}.get("max_seconds")
    if not isinstance(given, int | float) or isinstance(given, bool) or given <= 0:
        return DEFAULT_MAX_SECONDS
    return float(given)
