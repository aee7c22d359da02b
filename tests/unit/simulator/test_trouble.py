import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from potluck.simulator.reply import Fault, FaultKind, Reply
from potluck.simulator.request import Message, ModelRequest, ToolCall
from potluck.simulator.script import Script, When
from potluck.simulator.trouble import Schedule, Spread, Trouble

ASKED = ModelRequest(provider="groq", model="m", messages=(Message("user", "Hello"),))
OVERLOAD = Fault(FaultKind.OVERLOAD)


def after(*troubles: Trouble, elapsed_s: float = 0.0) -> Reply:
    return Script(troubles=troubles, default=lambda _: Reply("Hi")).reply_to(
        ASKED, elapsed_s=elapsed_s
    )


@pytest.mark.parametrize(
    ("schedule", "at_s", "ends_in_s"),
    [
        (Schedule(), 5, None),
        (Schedule(after_s=10), 5, 0),
        (Schedule(after_s=10), 10, None),
        (Schedule(until_s=10), 4, 6),
        (Schedule(until_s=10), 10, 0),
        (Schedule(every_s=60, lasting_s=10), 63, 7),
        (Schedule(every_s=60, lasting_s=10), 15, 0),
        (Schedule(after_s=5, until_s=66, every_s=60, lasting_s=10), 65, 1),
    ],
)
def test_schedule_tells_when_it_ends(
    schedule: Schedule, at_s: float, ends_in_s: float | None
) -> None:
    assert schedule.ends_in(at_s) == ends_in_s


def test_strikes_only_while_it_is_on_and_only_whom_it_fits() -> None:
    outage = Trouble(when=When(provider="groq"), schedule=Schedule(until_s=10), fault=OVERLOAD)
    assert after(outage, elapsed_s=9).fault is not None
    assert after(outage, elapsed_s=10).fault is None
    elsewhere = Trouble(when=When(provider="together"), fault=OVERLOAD)
    assert after(elsewhere) == Reply("Hi")


def test_tells_the_end_of_the_outage_as_the_wait() -> None:
    outage = Trouble(when=When(), schedule=Schedule(until_s=100), fault=OVERLOAD)
    struck = after(outage, elapsed_s=40).fault
    assert struck is not None
    assert struck.retry_after_s == 60


def test_strikes_about_as_often_as_it_says_and_alike_with_the_same_seed() -> None:
    def strikes(seed: int) -> list[bool]:
        trouble = Trouble(when=When(), chance=0.2, fault=OVERLOAD)
        script = Script(troubles=[trouble], seed=seed)
        return [script.reply_to(ASKED).fault is not None for _ in range(1000)]

    assert 150 < sum(strikes(1)) < 250
    assert strikes(1) == strikes(1)
    assert strikes(1) != strikes(2)


def test_troubles_add_up() -> None:
    slow = Trouble(when=When(), first_byte=2.0)
    struck = after(slow, slow, Trouble(when=When(), cut_after=(3, 5), cut="end"))
    assert struck.text == "Hi"
    assert struck.delay.first_byte_s == 4.0
    assert struck.cut_after in {3, 4, 5}
    assert struck.cut == "end"


def test_spoils_answers_and_tool_calls() -> None:
    assert after(Trouble(when=When(), empty=True)).text == ""
    script = Script(troubles=[Trouble(when=When(), bad_tool_json=True)])
    script.on(Reply(tool_calls=(ToolCall("f", {"a": 1}),)))
    assert script.reply_to(ASKED).tool_calls[0].malformed


def test_times_limits_the_strikes() -> None:
    trouble = Trouble(when=When(), fault=OVERLOAD, times=2)
    script = Script(troubles=[trouble])
    struck = [script.reply_to(ASKED).fault is not None for _ in range(4)]
    assert struck == [True, True, False, False]


@given(st.floats(0.01, 10), st.floats(1.5, 5))
@settings(max_examples=20)
def test_durations_spread_around_their_median(median_s: float, factor: float) -> None:
    spread, chance = Spread(median_s, median_s * factor), random.Random(0)  # noqa: S311 # luck in a game
    drawn = sorted(spread.draw(chance) for _ in range(301))
    assert median_s / factor <= drawn[150] <= median_s * factor
    assert drawn[0] > 0


def test_a_spread_must_make_sense() -> None:
    with pytest.raises(ValueError, match="median_s <= p95_s"):
        Spread(2, 1)
