"""What becomes of a step when its model has spoken: done, to be tried again, or failed."""

from collections.abc import Sequence

from langchain_core.messages import AIMessage, AnyMessage, ToolMessage

from graph.state import Kept, Step
from nodes.checks import Surroundings, fault_in, who_answered

MAX_ATTEMPTS = 2
OUT_OF_BUDGET = "The budget of the run was used up before this step was done."


def settle(step: Step, transcript: Sequence[AnyMessage], around: Surroundings) -> Step:
    """The step as it stands now.

    Its answer is its result. One that breaks the step's promise is tried for once more; after that
    it stands with what is wrong with it as `feedback`, or the step has failed where there is none.
    What an earlier try brought is not given up for anything worse.
    """
    last = transcript[-1] if transcript else None
    if step["status"] != "doing" or not isinstance(last, AIMessage) or last.tool_calls:
        return step
    text = str(last.text).strip()
    fault = fault_in(step, text, transcript, around)
    made = Step(**{**step, "attempts": step["attempts"] + 1, "result": text, "feedback": ""})
    if fault is None:
        return Step(**{**made, "status": "done"})
    made["feedback"] = fault.reason
    made["avoid"] = who_answered(transcript)
    rejected = step.get("rejected", [])
    if made["attempts"] < MAX_ATTEMPTS and text not in rejected:
        again = Step(**{**made, "status": "todo", "result": "", "rejected": [*rejected, text]})
        if not fault.is_void:
            again["kept"] = Kept(result=text, fault=fault.reason)
        return again
    kept = step.get("kept")
    if fault.is_void or (kept is not None and not kept["fault"]):
        if kept is not None:
            made["feedback"] = step["feedback"] or fault.reason
        return without_more(made, text or fault.reason)
    return Step(**{**made, "status": "done"})


def cut_short(step: Step, transcript: Sequence[AnyMessage]) -> Step:
    """The step without a further call: what there is so far is all there is."""
    words = [str(m.text).strip() for m in transcript if isinstance(m, AIMessage)]
    last = next((text for text in reversed(words) if text), "")
    tools = [str(m.text).strip() for m in transcript if isinstance(m, ToolMessage)]
    found = "\n".join(part for part in (last, *tools[-2:]) if part)[:2_000]
    result = f"{OUT_OF_BUDGET} So far:\n{found}" if found else OUT_OF_BUDGET
    return without_more(step, result)


def without_more(step: Step, why: str) -> Step:
    """The step when nothing better is to come: done with what an earlier try brought, or failed."""
    kept = step.get("kept")
    if kept is None:
        return Step(**{**step, "status": "failed", "result": why})
    doubt = step["feedback"] or kept["fault"] or why
    return Step(**{**step, "status": "done", "result": kept["result"], "feedback": doubt})


def waits_for_model(transcript: Sequence[AnyMessage]) -> bool:
    """Whether the next move is the model's: no call is left to be made for it."""
    last = transcript[-1] if transcript else None
    return not (isinstance(last, AIMessage) and last.tool_calls)


def has_tool_results(transcript: Sequence[AnyMessage]) -> bool:
    """Whether a tool has brought something that need not be fetched again."""
    return any(isinstance(m, ToolMessage) and m.status == "success" for m in transcript)
