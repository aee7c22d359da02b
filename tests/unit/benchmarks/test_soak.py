"""How the soak judges: whether something grows, and whose fault an error is."""

from collections import Counter
from typing import Any, cast

import pytest

from benchmarks.soak import AFTERMATH_S, Faults, Result, _tokens
from benchmarks.soak_growth import Growth, Sample, slope
from benchmarks.soak_script import answer, answer_to, order
from nodes.deeds import CUT_OFF
from potluck.simulator.request import Message, ModelRequest, Tool, ToolCall


def asked(text: str, *done: tuple[str, str]) -> ModelRequest:
    messages = [Message("user", text)]
    for tool, result in done:
        messages += [Message("assistant", tool_calls=(ToolCall(tool),)), Message("tool", result)]
    tools = tuple(Tool(name) for name in ("write_file", "read_file", "shell"))
    return ModelRequest(provider="box", model="box", messages=tuple(messages), tools=tools)


class TestSlope:
    def test_of_a_line_is_its_own(self) -> None:
        assert slope([(x, 3.0 * x + 7) for x in range(50)]) == pytest.approx(3)

    def test_is_not_moved_by_a_few_outliers(self) -> None:
        points = [(float(x), 5.0) for x in range(50)]
        points[10] = (10.0, 900.0)
        points[49] = (49.0, 900.0)
        assert slope(points) == 0

    def test_of_too_little_is_none(self) -> None:
        assert slope([(1.0, 1.0)]) == 0


class TestGrowth:
    def test_is_told_without_the_warm_up(self) -> None:
        growth = Growth(lambda: None)
        for at in range(400):
            memory = 100.0 + min(at, 90) * 2
            growth.samples.append(Sample(float(at), memory, 50 + at // 100))
        assert growth.memory_mb_per_hour == 0
        assert growth.files_per_hour == pytest.approx(36, rel=0.2)
        assert len(growth.course()) == 10


class TestFaults:
    def test_excuse_what_happens_while_they_last_and_shortly_after(self) -> None:
        faults = Faults(cast("Any", None), cast("Any", None))
        faults.times = [(100.0, 110.0)]
        assert faults.excuses(105, 106)
        assert faults.excuses(90, 101)
        assert faults.excuses(111, 112)
        assert not faults.excuses(80, 99)
        assert not faults.excuses(110 + AFTERMATH_S + 1, 200)
        faults.times.append((300.0, float("inf")))
        assert faults.excuses(310, 9000)


class TestResult:
    def test_tells_what_is_lost_from_what_is_doubled(self) -> None:
        result = Result()
        for found in (1, 0, 2, 3):
            result.count("line", "n0-1", found)
        assert (result.lost, result.doubled) == (1, 2)
        assert len(result.details) == 3


class TestScript:
    def test_notes_once_then_answers(self) -> None:
        text = order("note", "n0-1")
        reply = answer(asked(text))
        assert [(call.name, call.args["text"]) for call in reply.tool_calls] == [
            ("write_file", "n0-1\n")
        ]
        assert answer(asked(text, ("write_file", "Made"))).text == answer_to("note", "n0-1")

    def test_looks_before_it_notes_again_what_was_cut_off(self) -> None:
        text, cut = order("note", "n0-1"), ("write_file", CUT_OFF)
        assert [call.name for call in answer(asked(text, cut)).tool_calls] == ["read_file"]
        there, missing = ("read_file", "1  n0-0\n2  n0-1"), ("read_file", "1  n0-10")
        assert answer(asked(text, cut, there)).text == answer_to("note", "n0-1")
        assert [call.name for call in answer(asked(text, cut, missing)).tool_calls] == [
            "write_file"
        ]

    def test_tokens_are_found_in_questions_and_answers(self) -> None:
        messages = [
            {"type": "human", "content": order("note", "n0-1")},
            {"type": "ai", "content": ""},
            {"type": "ai", "content": answer_to("note", "n0-1")},
            {"type": "human", "content": order("fill", "f0-1")},
        ]
        assert Counter(_tokens(messages, "human", " note ")) == {"n0-1": 1}
        assert Counter(_tokens(messages, "ai", "note ")) == {"n0-1": 1}
