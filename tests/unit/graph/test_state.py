"""How updates of nodes that run side by side come together in the state."""

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage

from graph.state import NOTHING_USED, Usage, add_usage, merge_work

counts = st.integers(min_value=0, max_value=10_000)
usages = st.builds(
    lambda a, b, c, d: Usage(calls=a, input_tokens=b, output_tokens=c, tool_calls=d),
    counts, counts, counts, counts,
)  # fmt: skip


@given(usages, usages, usages)
def test_usage_adds_up_in_any_order(a: Usage, b: Usage, c: Usage) -> None:
    assert add_usage(add_usage(a, b), c) == add_usage(add_usage(a, c), b)


@given(usages, usages)
def test_a_restart_forgets_the_earlier_run(old: Usage, new: Usage) -> None:
    assert add_usage(old, {**new, "restart": True}) == add_usage(NOTHING_USED, new)


def test_each_step_appends_to_its_own_transcript() -> None:
    work = merge_work({"1": [HumanMessage("a", id="1")]}, {"2": [HumanMessage("b", id="2")]})
    work = merge_work(work, {"1": [AIMessage("c", id="3")]})
    assert {key: [m.text for m in value] for key, value in work.items()} == {
        "1": ["a", "c"],
        "2": ["b"],
    }


def test_none_drops_one_transcript_or_all() -> None:
    work = {"1": [HumanMessage("a", id="1")], "2": [HumanMessage("b", id="2")]}
    assert set(merge_work(work, {"1": None})) == {"2"}
    assert merge_work(work, None) == {}
