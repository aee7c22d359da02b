"""What the failover benchmark counts as lost, doubled, wrong and failed."""

import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest

from benchmarks.failover_turns import (
    TURNS_PER_ROUND,
    Answer,
    ToolUse,
    Turn,
    compare,
    play_turn,
    run_rounds,
    summarize,
)

STREAMED, TOOL, PLAIN = Turn(5), Turn(1), Turn(3)


class Scripted:
    """Gives these answers one after the other, or raises them."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = list(answers)
        self.histories: list[list[object]] = []

    def question(self, text: str) -> object:
        return text

    def result(self, call: ToolUse, text: str) -> object:
        return f"{call.id}: {text}"

    async def ask(self, history: Sequence[object], *, streamed: bool) -> Answer:  # noqa: ARG002 # as contenders are asked
        self.histories.append(list(history))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def says(text: str) -> Answer:
    return Answer(text, (), "said")


def calls(**args: object) -> Answer:
    return Answer("", (ToolUse("c1", "calculator", args),), "called")


@pytest.mark.parametrize(
    ("got", "lost", "doubled"),
    [
        ("one two three four", 0, 0),
        ("one\ntwo  three four", 0, 0),
        ("one two four", 1, 0),
        ("one two two three four", 0, 1),
        ("one two one two three four", 0, 2),
        ("onetwo three four", 2, 1),
        ("one two", 2, 0),
        ("", 4, 0),
    ],
)
def test_counts_words_that_are_lost_or_too_many(got: str, lost: int, doubled: int) -> None:
    assert compare("one two three four", got) == (lost, doubled)


def test_there_is_a_turn_of_every_kind_and_no_two_texts_are_the_same() -> None:
    turns = [Turn(number) for number in range(1, 101)]
    assert {turn.kind for turn in turns} == {"streamed", "plain", "tool"}
    assert {turn.streamed for turn in turns if turn.kind == "tool"} == {True, False}
    assert len({turn.text for turn in turns}) == len(turns)


async def test_the_right_text_is_a_right_turn() -> None:
    outcome = await play_turn(Scripted(says(PLAIN.text)), PLAIN)
    assert (outcome.failed, outcome.lost, outcome.doubled, outcome.wrong_call) == ("", 0, 0, False)
    assert not outcome.respaced


async def test_a_lost_line_break_is_no_lost_word() -> None:
    turn = next(t for t in map(Turn, range(100)) if "\n" in t.text and t.kind != "tool")
    outcome = await play_turn(Scripted(says(" ".join(turn.text.split()))), turn)
    assert (outcome.lost, outcome.respaced) == (0, True)


async def test_an_error_is_named() -> None:
    outcome = await play_turn(Scripted(ConnectionError()), STREAMED)
    assert outcome.failed == "ConnectionError"


async def test_a_tool_turn_goes_on_with_the_result() -> None:
    contender = Scripted(calls(expression=TOOL.expression), says(TOOL.text))
    outcome = await play_turn(contender, TOOL)
    assert (outcome.failed, outcome.lost, outcome.wrong_call) == ("", 0, False)
    assert contender.histories[1] == [TOOL.request, "called", f"c1: {TOOL.product}"]


@pytest.mark.parametrize(
    "answer",
    [
        says("It is 42."),
        calls(expression="1+1"),
        Answer("", (ToolUse("c1", "calculator", None),), "malformed"),
        Answer("", (ToolUse("c1", "calculator", {"expression": TOOL.expression}),) * 2, "twice"),
    ],
)
async def test_any_other_call_than_the_known_one_is_wrong(answer: Answer) -> None:
    outcome = await play_turn(Scripted(answer), TOOL)
    assert outcome.wrong_call
    assert not outcome.failed


async def test_every_round_has_a_contender_of_its_own() -> None:
    opened: list[Scripted] = []

    @contextlib.asynccontextmanager
    async def opener() -> AsyncIterator[Scripted]:
        opened.append(Scripted(*[says(PLAIN.text)] * TURNS_PER_ROUND))
        yield opened[-1]

    outcomes = await run_rounds(opener, play_turn, [PLAIN] * (TURNS_PER_ROUND + 1))
    assert len(opened) == 2
    assert summarize(outcomes)["not_right"] == []
    assert summarize(outcomes)["turns"] == TURNS_PER_ROUND + 1
