"""A labelled set of requests: what is told of them without a call, and how often it is right.

The held-out part was chosen by hash, and is not looked at when the rules are changed.
"""

import hashlib
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from nodes.request import Request, may_need_plan, need_of
from nodes.task_type import task_type_of

LABELLED = Path(__file__).parents[2] / "data" / "requests" / "labelled.yaml"


@dataclass(frozen=True)
class Labelled:
    type: str
    way: str
    text: str

    @property
    def is_held_out(self) -> bool:
        return int(hashlib.sha256(self.text.encode()).hexdigest(), 16) % 3 == 0

    @property
    def is_japanese(self) -> bool:
        return any("\u3040" <= c <= "\u30ff" or "\u4e00" <= c <= "\u9fff" for c in self.text)

    @property
    def need(self) -> str:
        return need_of(Request(self.text), task_type_of(self.text))

    @property
    def plan(self) -> bool:
        kind = task_type_of(self.text)
        request = Request(self.text)
        return may_need_plan(request, kind, need_of(request, kind))


def read() -> Iterator[Labelled]:
    for group in YAML(typ="safe").load(LABELLED):
        for text in group["texts"]:
            yield Labelled(group["type"], group["way"], text)


SET = tuple(read())
HELD_OUT = tuple(one for one in SET if one.is_held_out)
BUILDING = tuple(one for one in SET if not one.is_held_out)
PARTS = pytest.mark.parametrize("part", [BUILDING, HELD_OUT], ids=["building", "held out"])
PLAIN = ("simple_task", "general")


def right(part: tuple[Labelled, ...]) -> float:
    return sum(task_type_of(one.text) == one.type for one in part) / len(part)


def test_the_set_is_large_and_in_both_languages() -> None:
    assert len(SET) >= 250
    assert len({one.text for one in SET}) == len(SET)
    assert 0.45 <= sum(one.is_japanese for one in SET) / len(SET) <= 0.55
    assert len(HELD_OUT) >= 75


@PARTS
def test_the_task_type_is_told_right(part: tuple[Labelled, ...]) -> None:
    assert right(part) >= (0.92 if part is HELD_OUT else 0.98)


@pytest.mark.parametrize("in_japanese", [False, True], ids=["English", "Japanese"])
def test_no_language_is_worse_than_the_aim(in_japanese: bool) -> None:
    assert right(tuple(one for one in HELD_OUT if one.is_japanese is in_japanese)) >= 0.9


@PARTS
def test_small_talk_and_nothing_else_goes_without_tools(part: tuple[Labelled, ...]) -> None:
    wrong = [one.text for one in part if (one.need == "talk") != (one.way == "chat")]
    assert wrong == []


@PARTS
def test_what_needs_a_tool_is_offered_it_at_once(part: tuple[Labelled, ...]) -> None:
    """All others would cost a call more, by `use_tools`."""
    needing = [one for one in part if one.way in ("act", "plan")]
    assert sum(one.need == "tools" for one in needing) / len(needing) >= 0.96


@PARTS
def test_a_plan_can_be_made_wherever_one_is_called_for(part: tuple[Labelled, ...]) -> None:
    assert [one.text for one in part if one.way == "plan" and not one.plan] == []


@PARTS
def test_talk_never_and_a_plain_question_hardly_ever_can_reach_the_planner(
    part: tuple[Labelled, ...],
) -> None:
    plain = [one for one in part if one.way == "plain" and one.type in PLAIN]
    assert not any(one.plan for one in part if one.way == "chat")
    assert sum(one.plan for one in plain) <= len(plain) // 15


@PARTS
def test_plain_questions_go_without_the_weight_of_all_tools(part: tuple[Labelled, ...]) -> None:
    plain = [one for one in part if one.way == "plain" and one.type in PLAIN]
    assert sum(one.need == "knowledge" for one in plain) / len(plain) >= 0.85


def test_it_takes_less_than_a_millisecond() -> None:
    times_s = []
    for one in SET:
        began = time.perf_counter()
        _ = one.plan
        times_s.append(time.perf_counter() - began)
    assert statistics.median(times_s) < 0.001


@pytest.mark.parametrize(
    "text",
    ["a " * 200_000, "first " * 50_000, "read, " * 30_000, "を読んで" * 30_000, "hi " * 90_000,
     "if " * 50_000, "`" * 50_000, "select from " * 20_000, "まず次に" * 20_000, "x" * 500_000],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_no_text_takes_long(text: str) -> None:
    began = time.perf_counter()
    _ = Labelled("", "", text).plan
    assert time.perf_counter() - began < 0.25
