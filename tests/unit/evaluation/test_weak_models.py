"""The weak and the contrary model: they slip, the same way each time, and come round."""

from collections import Counter

from potluck.evaluation.contrary import ContraryModel
from potluck.evaluation.luck import Luck
from potluck.evaluation.strong import StrongModel
from potluck.evaluation.weak import CALL_SLIPS, WeakModel
from potluck.simulator.reply import Reply
from potluck.simulator.request import ToolCall
from tests.unit.evaluation.talks import CALCULATOR, PLAN_TOOL, TASKS, Talk, named

TASK = named("tool-product")
PLAN = named("plan-report")
RIGHT = StrongModel(TASKS)(Talk(TASK.request, CALCULATOR).request())


def said(seeds: range) -> list[Reply]:
    request = Talk(TASK.request, CALCULATOR).request()
    return [WeakModel(TASKS, Luck(seed))(request) for seed in seeds]


def kind_of(reply: Reply) -> str:
    if reply == RIGHT:
        return "right"
    if not reply.tool_calls:
        return reply.text[:11] or "empty"
    return "broken" if reply.tool_calls[0].malformed else "misnamed"


def test_the_same_seed_slips_in_the_same_way() -> None:
    assert said(range(30)) == said(range(30))


def test_slips_are_of_every_kind_and_as_frequent_as_stated() -> None:
    kinds = Counter(map(kind_of, said(range(2_000))))
    right = 1 - sum(CALL_SLIPS.values()) + CALL_SLIPS["again"]  # there is no last call to repeat
    assert abs(kinds["right"] / 2_000 - right) < 0.03
    assert set(kinds) == {
        "right", "empty", "broken", "misnamed", "<tool_call>", "I will now ", "All of it i",
    }  # fmt: skip


def test_luck_is_new_when_a_moment_comes_again() -> None:
    request = Talk(TASK.request, CALCULATOR).request()
    model = WeakModel(TASKS, Luck(3))
    assert len({kind_of(model(request)) for _ in range(60)}) > 2


def repeated(result: str) -> list[Reply]:
    call = ToolCall("calculator", {"expression": "1"})
    talk = Talk(TASK.request, CALCULATOR)
    for text in ("1 = 1", result):
        talk.ran(call, results=[text])
    return [WeakModel(TASKS, Luck(seed))(talk.request()) for seed in range(200)]


def test_who_repeats_itself_goes_on_until_it_is_told() -> None:
    def stuck(replies: list[Reply]) -> int:
        wanted = {"expression": "1"}
        return sum(bool(r.tool_calls) and r.tool_calls[0].args == wanted for r in replies)

    assert stuck(repeated("1 = 1")) > 120
    assert stuck(repeated("You made this very call before, with the same result.")) < 30


def plans(seeds: range) -> list[Reply]:
    request = Talk(PLAN.request, PLAN_TOOL).request(tool_choice="submit_plan")
    return [ContraryModel(TASKS, Luck(seed))(request) for seed in seeds]


def test_the_contrary_model_spoils_plans_in_every_way() -> None:
    replies = plans(range(100))
    lengths = {len(r.tool_calls[0].args["steps"]) for r in replies if r.tool_calls}  # type: ignore[arg-type] # a list
    assert lengths == {4, 8, 20}
    assert any(not reply.tool_calls for reply in replies)
    steps = [r.tool_calls[0].args["steps"] for r in replies if r.tool_calls]
    assert any(99 in step["needs"] for one in steps for step in one)  # type: ignore[attr-defined, union-attr] # objects


def test_the_contrary_model_is_right_when_it_is_asked_again() -> None:
    request = Talk(TASK.request, CALCULATOR).request()
    for seed in range(20):
        model = ContraryModel(TASKS, Luck(seed))
        model(request)
        assert model(request) == RIGHT


def test_the_contrary_model_calls_tools_after_its_answer() -> None:
    replies = [
        ContraryModel(TASKS, Luck(seed))(
            Talk(TASK.request, CALCULATOR).ran(*RIGHT.tool_calls, results=["= 452077487"]).request()
        )
        for seed in range(20)
    ]
    assert any(reply.text and reply.tool_calls for reply in replies)
