"""A model that goes round in circles is told so, and no other is."""

from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolCall, ToolMessage

from nodes.loops import (
    ALTERNATING,
    FAILING,
    LOOP_KEY,
    REPEATED,
    is_stuck,
    objection_to,
    rounds_in,
)

Told = tuple[str, dict[str, Any], str]


def call(name: str, number: int, **args: Any) -> ToolCall:
    return ToolCall(name=name, args=args, id=f"c{number}", type="tool_call")


def transcript(*told: Told, failed: bool = False) -> list[AnyMessage]:
    messages: list[AnyMessage] = [HumanMessage("do it")]
    for number, (name, args, result) in enumerate(told):
        made = call(name, number, **args)
        messages += [
            AIMessage("", tool_calls=[made]),
            ToolMessage(
                result,
                tool_call_id=made["id"],
                name=name,
                status="error" if failed else "success",
            ),
        ]
    return messages


def next_call(messages: list[AnyMessage], name: str, **args: Any) -> str:
    made = call(name, 99, **args)
    return objection_to(made, [*messages, AIMessage("", tool_calls=[made])])


A: Told = ("read_file", {"path": "a.txt"}, "one")
B: Told = ("read_file", {"path": "b.txt"}, "two")


def test_the_same_call_may_be_made_three_times() -> None:
    assert next_call(transcript(A, A), "read_file", path="a.txt") == ""
    assert next_call(transcript(A, A, A), "read_file", path="a.txt") == REPEATED


def test_white_space_and_order_of_arguments_make_no_other_call() -> None:
    spaced = [
        ("search", {"q": "x  y", "n": 1}, "-"),
        ("search", {"n": 1, "q": " x y"}, "-"),
        ("search", {"q": "x\ny ", "n": 1}, "-"),
    ]
    assert next_call(transcript(*spaced), "search", n=1, q="x y") == REPEATED


def test_a_call_whose_result_changes_goes_on() -> None:
    waiting = [("read_file", {"path": "log"}, f"line {n}") for n in range(6)]
    assert next_call(transcript(*waiting), "read_file", path="log") == ""


def test_two_calls_in_turn_are_broken() -> None:
    assert next_call(transcript(A, B, A), "read_file", path="b.txt") == ""
    assert next_call(transcript(A, B, A, B), "read_file", path="a.txt") == ALTERNATING
    assert next_call(transcript(A, B, A, B), "read_file", path="c.txt") == ""


def test_a_tool_that_only_fails_is_not_called_for_ever() -> None:
    failing = [("fetch", {"url": f"u{n}"}, "404") for n in range(4)]
    assert next_call(transcript(*failing[:3], failed=True), "fetch", url="u9") == ""
    assert next_call(transcript(*failing, failed=True), "fetch", url="u9") == FAILING.format(
        times=4
    )
    assert next_call(transcript(*failing, failed=True), "search", q="u9") == ""


def test_what_was_done_before_the_user_spoke_does_not_count() -> None:
    assert next_call([*transcript(A, A, A), HumanMessage("again")], "read_file", path="a.txt") == ""


def test_calls_side_by_side_are_counted_too() -> None:
    calls = [call("read_file", n, path="a.txt") for n in range(4)]
    messages: list[AnyMessage] = [HumanMessage("x"), AIMessage("", tool_calls=calls)]
    assert [objection_to(one, messages) for one in calls] == ["", "", "", REPEATED]


def test_a_model_that_was_refused_twice_is_stuck() -> None:
    messages = transcript(A, A)
    assert not is_stuck(messages)
    for message in messages:
        if isinstance(message, ToolMessage):
            message.response_metadata[LOOP_KEY] = True
    assert is_stuck(messages)


def test_rounds_are_counted_since_the_model_was_spoken_to() -> None:
    assert rounds_in(transcript(A, B)) == 2
    assert rounds_in([*transcript(A, B), HumanMessage("again")]) == 0
