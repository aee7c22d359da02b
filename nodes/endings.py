"""When a model must answer with what it has, and what it is told then."""

from collections.abc import Sequence

from langchain_core.messages import AnyMessage

from graph.state import Ending, Left, Usage
from nodes.budget import is_over
from nodes.loops import is_stuck, rounds_in

# Rounds of tools that one step may take
MAX_ROUNDS = 8

USED_UP = "It was not run: the tool calls of this run are used up. Answer with what you have."

_BEST_ANSWER = """\
Do not ask for more tools: give the best answer that the facts above allow, and say plainly what is
missing."""

ENDING_PROMPTS: dict[Ending, str] = {
    "": "",
    "budget": f"The budget of this run is used up. {_BEST_ANSWER}",
    "rounds": f"This step has taken long enough. {_BEST_ANSWER}",
    "loop": f"Your calls go round in circles and bring nothing new. {_BEST_ANSWER}",
}


def ending_of(
    step_id: int | None,
    transcript: Sequence[AnyMessage],
    *,
    left: Left,
    usage: Usage,
    working: int,
) -> Ending:
    """Why the model must answer now, if it must; `working` steps share what is left."""
    if is_over(left, usage) or left["tool_calls"] <= 0:
        return "budget"
    if step_id is not None and left["calls"] - 1 < 2 * working:
        return "budget"
    if is_stuck(transcript):
        return "loop"
    if step_id is not None and rounds_in(transcript) >= MAX_ROUNDS:
        return "rounds"
    return ""
