"""A conversation fitted to a model by rule."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from nodes.fitting import CLEARED, fitted, is_recap
from nodes.sizes import tokens_in, tokens_of
from nodes.turns import files_in, turns_of


def called(number: int, result: str, **args: object) -> list[BaseMessage]:
    call = {"name": "read_file", "args": args or {"path": f"f{number}.txt"}, "id": f"c{number}"}
    return [
        AIMessage("", tool_calls=[call], id=f"a{number}"),
        ToolMessage(result, tool_call_id=f"c{number}", name="read_file", id=f"t{number}"),
    ]


def turn(number: int, chars: int = 100) -> list[BaseMessage]:
    return [
        HumanMessage(f"question {number} " + "q" * chars, id=f"h{number}"),
        AIMessage(f"answer {number} " + "w" * chars, id=f"m{number}"),
    ]


def place(message: ToolMessage) -> str:
    return f"tool_results/{message.tool_call_id}.txt"


def calls_and_results(messages: list[BaseMessage]) -> tuple[list[str], list[str]]:
    calls = [str(c["id"]) for m in messages if isinstance(m, AIMessage) for c in m.tool_calls]
    results = [m.tool_call_id for m in messages if isinstance(m, ToolMessage)]
    return calls, results


def test_what_fits_stays_as_it_is() -> None:
    messages = [SystemMessage("be kind"), *turn(1), *called(1, "x" * 2_000)]
    assert fitted(messages, 5_000, place) == messages


def test_old_results_are_cleared_first_oldest_first_with_a_note_of_the_place() -> None:
    old = [HumanMessage("a"), *called(1, "x" * 4_000), *called(2, "y" * 4_000), AIMessage("done")]
    messages = [*old, *turn(3), HumanMessage("b"), *called(4, "z" * 4_000)]

    made = fitted(messages, 2_600, place)

    assert tokens_in(made) <= 2_600
    assert made[2].text == CLEARED.format(
        chars=4_000, where="; all of it is in tool_results/c1.txt, read it with read_file"
    )
    assert [m.id for m in made] == [m.id for m in messages]
    assert made[4].text == "y" * 4_000
    assert made[-1].text == "z" * 4_000


def test_a_result_that_no_answer_was_built_on_yet_is_not_cleared() -> None:
    messages = [HumanMessage("read both"), *called(1, "x" * 8_000), *called(2, "y" * 2_000)]
    made = fitted(messages, 900, place)
    assert made[2].text.startswith("[cleared")
    assert made[4].text == "y" * 2_000


def test_the_oldest_turns_make_place_for_the_newest_which_stay_verbatim() -> None:
    messages = [SystemMessage("the rules"), *(m for n in range(60) for m in turn(n))]
    messages += [HumanMessage("and now?", id="last")]

    made = fitted(messages, 1_000, place)

    assert tokens_in(made) <= 1_000
    assert made[0] == messages[0]
    assert is_recap(made[1])
    assert made[2:] == messages[-len(made) + 2 :]
    assert len(made) > 20


def test_the_digest_keeps_the_users_words_and_the_names_of_files() -> None:
    early = [
        HumanMessage("My budget is 500 euro, and keep notes in plan/budget.csv", id="h"),
        AIMessage("Noted, I also wrote summary.md."),
        *turn(1, 2_000),
    ]
    made = fitted([*early, *turn(2, 1_500), HumanMessage("go on")], 1_200, place)
    digest = next(m.text for m in made if is_recap(m))
    assert "My budget is 500 euro" in digest
    assert "plan/budget.csv" in digest
    assert "summary.md" in digest


def test_a_long_tool_loop_is_fitted_within_one_turn() -> None:
    messages = [HumanMessage("do it all", id="ask")]
    for number in range(12):
        messages += called(number, "r" * 3_000, path=f"f{number}.py", text="c" * 3_000)
    made = fitted(messages, 3_000, place)
    assert tokens_in(made) <= 3_000
    assert made[0] == messages[0]
    assert calls_and_results(made)[0] == [f"c{n}" for n in range(12)]


def test_the_users_last_words_are_never_cut() -> None:
    huge = HumanMessage("paste " * 5_000)
    assert fitted([*turn(1), huge], 500, place)[-1] == huge


def test_japanese_counts_a_token_a_sign() -> None:
    assert 95 <= tokens_of(HumanMessage("東" * 100)) <= 115
    assert tokens_of(HumanMessage("a" * 100)) < 40


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3_000)), min_size=1, max_size=25),
    st.integers(300, 6_000),
)
def test_calls_and_results_always_go_together(shape: list[tuple[int, int]], room: int) -> None:
    messages: list[BaseMessage] = []
    for number, (calls, chars) in enumerate(shape):
        messages.append(HumanMessage(f"q{number}"))
        for extra in range(calls):
            messages += called(number * 10 + extra, "r" * chars)
        messages.append(AIMessage("a" * chars))
    messages.append(HumanMessage("last", id="last"))

    made = fitted(messages, room, place)

    calls, results = calls_and_results(made)
    assert calls == results
    assert made[-1].id == "last"
    if room >= 600:
        assert tokens_in(made) <= max(room, 600) * 1.1


def test_turns_begin_where_a_person_speaks() -> None:
    messages = [AIMessage("hi"), *turn(1), HumanMessage("a"), HumanMessage("b"), AIMessage("c")]
    assert [len(one) for one in turns_of(messages)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("look at src/app.py and README.md.", ["src/app.py", "README.md"]),
        ("e.g. this, i.e. that, 3.5 and example.com", []),
        ("データ.csvではなくdata.csvを見て", ["data.csv"]),
    ],
)
def test_files_are_found_by_their_names(text: str, files: list[str]) -> None:
    assert files_in([HumanMessage(text)]) == files
