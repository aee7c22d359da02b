"""What `potluck usage` prints."""

import io
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from potluck.quota.report import total
from potluck.quota.report_form import (
    AdviceReport,
    DayReport,
    ModelReport,
    OutageReport,
    ParkedReport,
    ProviderReport,
    QuotaReport,
    WindowReport,
)
from potluck.terminal.usage_rows import figure, rows_of, span
from potluck.terminal.usage_table import dollars, print_usage

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
NO_ADVICE = AdviceReport(
    status="OPTIMAL", window=None, used_share=None, exhausted_at=None, resets_at=None
)


def window(used: float = 0, limit: float | None = 100, **facts: Any) -> WindowReport:
    period = facts.pop("period", "day")
    unit = facts.pop("unit", "requests")
    wide = facts.pop("account_wide", False)
    given = {
        "id": f"{'*' if wide else facts.pop('model', 'm')}:{unit}/{period}",
        "unit": unit,
        "period": period,
        "account_wide": wide,
        "limit": limit,
        "stated": limit,
        "used": used,
        "left": None if limit is None else limit - used,
        "share": None if limit is None else used / limit,
        "reset": "UTC",
        "free_at": None,
        "resets_at": MIDNIGHT,
        "source": "catalog",
    }
    return WindowReport(**given | facts)


def model(*windows: WindowReport, name: str = "m", **facts: Any) -> ModelReport:
    given: dict[str, Any] = {
        "id": name,
        "key_id": "",
        "available": True,
        "back_at": None,
        "windows": windows,
        "advice": NO_ADVICE,
        "outage": None,
    }
    return ModelReport(**given | facts)


def provider(*models: ModelReport, name: str = "groq", on: bool = True) -> ProviderReport:
    return ProviderReport(id=name, on=on, reason="why", paid=False, models=models)


def report(*providers: ProviderReport, **facts: Any) -> QuotaReport:
    given: dict[str, Any] = {"today": total([]), "days": (), "parked": (), "missing": ()}
    return QuotaReport(at=NOON, providers=providers, **given | facts)


def printed(shown: QuotaReport, width: int = 120) -> str:
    out = io.StringIO()
    print_usage(shown, Console(file=out, width=width, highlight=False))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def test_what_is_used_is_shown_and_what_is_idle_is_not() -> None:
    rows = rows_of(
        provider(
            model(
                window(3, 30, period="minute"),
                window(81, 100),
                window(0, 9000, unit="tokens"),
                window(5, None, unit="tokens", period="minute"),
            )
        ),
        NOON,
    )
    assert [(row.window, row.used, row.tone) for row in rows] == [
        ("requests/day", "81/100", "bad"),
        ("requests/minute", "3/30", "good"),
    ]


def test_figures_are_whole_but_for_credits() -> None:
    windows = (window(3.2, 29.5, period="minute"), window(0.25, 1.5, unit="credits"))
    rows = rows_of(provider(model(*windows)), NOON)
    assert [row.used for row in rows] == ["0.25/1.50", "3/29"]


def test_of_an_idle_model_the_longest_window_is_shown() -> None:
    (row,) = rows_of(provider(model(window(period="minute"), window(0, 1000))), NOON)
    assert (row.window, row.used, row.resets) == ("requests/day", "0/1,000", "")


def test_of_an_idle_model_the_window_of_the_advice_comes_before_a_longer_one() -> None:
    advice = NO_ADVICE.model_copy(update={"window": "m:requests/day", "status": "CAN_INCREASE"})
    idle = model(window(0, 200, period="month"), window(0, 6), advice=advice)
    (row,) = rows_of(provider(idle), NOON)
    assert (row.window, row.note) == ("requests/day", "CAN_INCREASE")


def test_an_accounts_window_is_shown_once_for_all_its_models() -> None:
    shared = window(7, 50, account_wide=True)
    rows = rows_of(provider(model(shared, name="a"), model(shared, name="b")), NOON)
    assert [(row.model, row.used) for row in rows] == [("(all models)", "7/50")]


def test_a_model_without_known_limits_tells_its_calls() -> None:
    counted = window(12, None), window(3, None, period="minute")
    (row,) = rows_of(provider(model(*counted)), NOON)
    assert (row.window, row.used, row.share) == ("no limit known", "12 calls", None)


def test_several_keys_of_a_provider_are_told_apart() -> None:
    keys = [model(window(1, 9, id=f"{key}/m"), key_id=key) for key in ("aabbccdd", "eeff0011")]
    assert [row.model for row in rows_of(provider(*keys), NOON)] == ["m [aabb]", "m [eeff]"]
    assert [row.model for row in rows_of(provider(keys[0]), NOON)] == ["m"]


def test_advice_stands_beside_the_window_that_says_so() -> None:
    advice = AdviceReport(
        status="REDUCE_USAGE",
        window="m:tokens/day",
        used_share=0.9,
        exhausted_at=NOON + timedelta(hours=1),
        resets_at=MIDNIGHT,
    )
    rows = rows_of(provider(model(window(5), window(90, unit="tokens"), advice=advice)), NOON)
    assert rows[0].note == ""
    assert rows[1].note.startswith("REDUCE_USAGE, used up Sat ")


@pytest.mark.parametrize(
    ("certain", "until", "note", "tone"),
    [
        (True, NOON + timedelta(minutes=90), "out for 1 h 30 min: model gone", "bad"),
        (True, None, "out: model gone", "bad"),
        (False, NOON + timedelta(seconds=30), "asked last for 30 s: model gone", "fair"),
    ],
)
def test_an_outage_is_told_with_its_end(
    certain: bool, until: datetime | None, note: str, tone: str
) -> None:
    outage = OutageReport(kind="model_gone", reason="x", until=until, certain=certain)
    for windows in ((window(1),), (), (window(1, account_wide=True),)):
        row = rows_of(provider(model(*windows, outage=outage)), NOON)[-1]
        assert (row.model, row.note, row.tone) == ("m", note, tone)


def test_a_wide_terminal_gets_a_table_with_bars() -> None:
    shown = report(provider(model(window(81, 100), window(1, 30, period="minute"))))
    lines = printed(shown).splitlines()
    assert lines[0].split() == ["provider", "model", "window", "used", "resets", "advice"]
    assert lines[1].split() == [
        "groq",
        "m",
        "requests/day",
        "████████░░",
        "81/100",
        "in",
        "12",
        "h",
    ]
    assert lines[2].split() == ["requests/minute", "█░░░░░░░░░", "1/30", "in", "12", "h"]


def test_a_table_that_would_be_cut_off_is_not_made() -> None:
    shown = report(provider(model(window(1), name="m" * 60)))
    whole = len(printed(shown, 200).splitlines()[1])
    assert whole > 100
    for width in range(whole - 3, whole + 8):
        assert "m" * 60 in printed(shown, width)
        assert "1/100" in printed(shown, width)


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_narrow_terminal_loses_nothing(width: int) -> None:
    name = "a-model/with-a-name-that-is-longer-than-the-terminal"
    shown = report(provider(model(window(99, 100), name=name)))
    assert printed(shown, width).splitlines()[:3] == [
        "groq",
        f"  {name}",
        "    █████████░ 99/100 requests/day, resets in 12 h",
    ]


def test_without_a_limit_there_is_no_bar_and_no_room_for_one() -> None:
    shown = report(provider(model(window(3, None))))
    assert printed(shown, 20).splitlines()[2].startswith("    3 calls no limit known")


def test_only_what_is_used_up_has_a_full_bar() -> None:
    for used, bar in [(0, "░" * 10), (1, "█" + "░" * 9), (99.9, "█" * 9 + "░"), (100, "█" * 10)]:
        assert bar in printed(report(provider(model(window(used)))), 80)
    assert "█" * 10 in printed(report(provider(model(window(130)))), 80)


def test_providers_that_are_off_share_a_line() -> None:
    off = [provider(name=name, on=False) for name in ("mistral", "cohere")]
    text = printed(report(provider(model(window(1))), *off))
    assert "off: mistral, cohere (`potluck check` says why)" in text


def test_with_nobody_on_the_way_in_is_told() -> None:
    text = printed(report(provider(on=False)))
    assert text.startswith("No LLM is connected")
    assert "off:" not in text


def test_a_parked_run_tells_when_and_why() -> None:
    parked = ParkedReport(
        thread_id="thread-1",
        run_id="run",
        resume_at=NOON + timedelta(hours=2, minutes=3),
        since=NOON,
        reason="all are out",
        waiting_for=(),
        priority="interactive",
        times=1,
    )
    text = printed(report(parked=(parked,)), 40)
    assert "in 2 h 3 min: all are out" in text
    assert "  thread-1  at Sat " in text
    assert "--resume ID" in text
    later = parked.model_copy(update={"resume_at": NOON + timedelta(days=9)})
    assert re.search(r"at 30 Nov \d\d:\d\d, in 9 d:", printed(report(parked=(later,)), 40))


def test_todays_use_is_told_in_one_line() -> None:
    totals = total([]).model_copy(
        update={
            "sent": 41,
            "answered": 38,
            "failed": 3,
            "refused": 2,
            "input_tokens": 120_345,
            "output_tokens": 5_210,
            "cached": 4,
            "cached_tokens": 900,
            "batches": 2,
            "batched_steps": 6,
            "saved_usd": 0.0412,
            "unpriced": 1,
        }
    )
    assert printed(report(today=totals)).splitlines()[-1] == (
        "today (UTC): 41 calls; 3 failed; 2 held back by our own limits; 120,345 tokens in, "
        "5,210 out; 4 from the cache (900 tokens saved); 6 steps batched in 2 calls; "
        "$0.041 not spent; 1 at no known price"
    )
    assert printed(report()).endswith("today (UTC): 0 calls")
    one = totals.model_copy(
        update={"sent": 1, "batches": 1, "batched_steps": 3, "cached_tokens": 1}
    )
    told = printed(report(today=one))
    assert "1 call;" in told
    assert "(1 token saved); 3 steps batched in 1 call;" in told


def test_several_days_have_a_line_each() -> None:
    days = tuple(
        DayReport(day=date(2026, 11, day), totals=total([]), models=()) for day in (20, 21)
    )
    assert printed(report(days=days)).splitlines()[-2:] == [
        "  2026-11-20  0 calls",
        "  2026-11-21  0 calls",
    ]


def test_what_could_not_be_read_is_named() -> None:
    text = printed(report(today=None, missing=("The usage history cannot be reached.",)))
    assert "The usage history cannot be reached." in text
    assert "today" not in text


def test_a_name_cannot_steer_the_terminal() -> None:
    shown = report(provider(model(window(1), name="bad\x1b[2Jname")))
    assert "\x1b" not in printed(shown) + printed(shown, 40)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "now"), (-5, "now"), (59, "59 s"), (3600, "1 h"), (93_784, "1 d 2 h"), (90, "1 min 30 s")],
)
def test_a_time_to_wait_has_its_two_largest_units(seconds: int, text: str) -> None:
    assert span(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(("value", "text"), [(1000, "1,000"), (0.5, "0.50"), (1234.5, "1,234")])
def test_figures_are_readable(value: float, text: str) -> None:
    assert figure(value) == text


@pytest.mark.parametrize(
    ("amount", "text"), [(12.345, "$12.35"), (0.0412, "$0.041"), (0.00001, "<$0.0001")]
)
def test_small_sums_keep_their_places(amount: float, text: str) -> None:
    assert dollars(amount) == text


def test_nobody_is_left_when_all_that_is_free_is_out() -> None:
    out, there = model(available=False), model()
    paid = ProviderReport(id="openai", on=True, reason="why", paid=True, models=(there,))
    off = ProviderReport(id="groq", on=False, reason="no key", paid=False, models=())
    assert report(provider(out), paid).is_out
    assert not report(provider(out), provider(there)).is_out
    assert not report(off, paid).is_out
    assert not report(off).is_out
