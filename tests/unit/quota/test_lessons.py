"""Whose word on a limit is believed, against whose, and for how long."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potluck.quota.budgets import COUNTED, NO_LIMIT
from potluck.quota.lessons import Lesson, Place, Refusal, grown, guess, revise
from potluck.quota.windows import Period, StatedLimit, Use, Window

NOW = datetime(2026, 11, 21, 10, 2, tzinfo=UTC)
PLACE = Place("groq:k/m:requests/day", "groq:k", "m")


def header(limit: float, remaining: float | None = 1, period: Period = "day") -> StatedLimit:
    return StatedLimit("requests", period, "header x", limit, remaining, from_header=True)


def text(limit: float, period: Period = "day") -> StatedLimit:
    return StatedLimit("requests", period, "error text", limit)


def learn(*told: StatedLimit, at: datetime = NOW) -> Lesson:
    lesson: Lesson | None = None
    for stated in told:
        lesson = revise(lesson, stated, PLACE, at) or lesson
    assert lesson is not None
    return lesson


def window(limit: float, source: str = "catalog") -> Window:
    stated = None if source == COUNTED else limit
    return Window(PLACE.id, "requests", "day", limit, stated=stated, source=source)


def limit_after(lesson: Lesson, catalog: float, *, capped: bool = False) -> float:
    applied = lesson.applied(window(catalog), capped=capped)
    assert applied.stated == applied.limit
    return applied.limit


@pytest.mark.parametrize("stated", [header(50), header(50, None), text(50)])
def test_anyone_lowers_a_limit(stated: StatedLimit) -> None:
    assert limit_after(learn(stated), 1000) == 50
    assert limit_after(learn(stated), 1000, capped=True) == 50


def test_a_header_raises_a_limit() -> None:
    assert limit_after(learn(header(1000)), 50) == 1000


def test_a_header_does_not_raise_the_users_own_word() -> None:
    assert limit_after(learn(header(1000)), 50, capped=True) == 50


def test_a_header_that_does_not_say_what_is_left_raises_nothing() -> None:
    assert limit_after(learn(header(1000, None)), 50) == 50


def test_a_text_raises_nothing() -> None:
    assert limit_after(learn(text(1000)), 50) == 50
    assert learn(header(50), text(1000)).limit == 50


@pytest.mark.parametrize(("limit", "expected"), [(50_000, 50_000), (50_001, 50)])
def test_a_header_raises_a_thousandfold_at_most(limit: float, expected: float) -> None:
    assert limit_after(learn(header(limit)), 50) == expected


def test_the_latest_header_counts() -> None:
    assert learn(header(1000), header(50), header(200)).limit == 200


def test_a_text_lowers_what_a_header_told() -> None:
    assert learn(header(1000), text(50)).limit == 50


def test_a_refusals_figure_holds_for_a_while_against_headers_that_promise_more() -> None:
    refused = learn(text(10, "minute"))
    soon, later = NOW + timedelta(minutes=59), NOW + timedelta(minutes=61)
    assert revise(refused, header(20_000, period="minute"), PLACE, soon) is None
    raised = revise(refused, header(20_000, period="minute"), PLACE, later)
    assert raised is not None
    assert raised.limit == 20_000


def test_it_says_where_it_is_from_since_when() -> None:
    lesson = learn(text(50))
    again = revise(lesson, text(50), PLACE, NOW + timedelta(days=2))
    assert again is not None
    assert lesson.applied(window(90), capped=False).source == "error text of 2026-11-21 10:02 UTC"
    assert again.told == lesson.told
    assert again.confirmed_at == NOW + timedelta(days=2)


def test_the_catalogs_window_stays_as_it_is_when_the_lesson_says_the_same() -> None:
    known = window(1000)
    assert learn(header(1000)).applied(known, capped=False) is known


def test_a_text_that_nothing_confirms_is_tried_again_after_a_week() -> None:
    lesson = learn(text(50))
    assert lesson.holds(NOW + timedelta(days=7))
    assert not lesson.holds(NOW + timedelta(days=9))
    assert learn(text(50), header(50)).expires_at is None


@pytest.mark.parametrize("limit", [float("nan"), float("inf"), 0.0, -1.0])
def test_absurd_limits_teach_nothing(limit: float) -> None:
    assert revise(None, header(limit), PLACE, NOW) is None


@given(
    told=st.lists(
        st.builds(
            lambda limit, left, is_header: (
                header(limit, min(limit, left)) if is_header else text(limit)
            ),
            st.floats(1, 1e12),
            st.floats(0, 1e12),
            st.booleans(),
        ),
        min_size=1,
        max_size=8,
    ),
    catalog=st.floats(1, 1e9),
)
def test_whatever_is_told_no_limit_is_more_than_a_header_says_and_a_thousandfold(
    told: list[StatedLimit], catalog: float
) -> None:
    lesson = learn(*told)
    promised = [one.limit for one in told if one.from_header and one.limit is not None]
    assert limit_after(lesson, catalog) <= max(catalog, *promised, 0.0)
    assert limit_after(lesson, catalog) <= catalog * 1000
    assert limit_after(lesson, catalog, capped=True) <= catalog
    last = told[-1].limit
    assert last is not None
    assert lesson.limit <= max(last, min(promised, default=last))


@pytest.mark.parametrize(
    ("period", "resets_at", "reset"),
    [
        ("minute", None, "rolling"),
        ("month", None, "UTC"),
        ("day", datetime(2026, 11, 22, tzinfo=UTC), "UTC"),
        ("day", datetime(2026, 11, 22, 8, tzinfo=UTC), "America/Los_Angeles"),
        ("day", datetime(2026, 11, 21, 17, 3, tzinfo=UTC), "rolling"),
    ],
)
def test_a_window_that_the_catalog_does_not_have_ends_as_its_reset_shows(
    period: Period, resets_at: datetime | None, reset: str
) -> None:
    stated = StatedLimit("requests", period, "header x", 20, 5, resets_at, from_header=True)
    made = learn(stated).window()
    assert (made.reset, made.limit, made.stated, made.id) == (reset, 20, 20, PLACE.id)


def refused(
    used: float,
    *,
    limit: float = NO_LIMIT,
    calls: float | None = None,
    period: Period = "minute",
    resets_at: datetime | None = None,
) -> Refusal:
    source = COUNTED if limit == NO_LIMIT else "catalog"
    stated = None if limit == NO_LIMIT else limit
    counted = Window(PLACE.id, "requests", period, limit, stated=stated, source=source)
    return Refusal(Use(counted, used, resets_at=resets_at), used if calls is None else calls)


def guessed(
    refusal: Refusal, known: Lesson | None = None, at: datetime = NOW, **told: datetime
) -> Lesson | None:
    stated = StatedLimit("requests", refusal.use.window.period, "refusal", **told)
    return guess(known, stated, refusal, PLACE, at)


def test_a_guess_is_what_was_granted_before_the_refusal() -> None:
    lesson = guessed(refused(6))
    assert lesson is not None
    assert (lesson.limit, lesson.origin) == (5, "guess")
    assert "guess from a refusal after 5 requests" in lesson.told


def test_a_guess_of_tokens_leaves_out_one_calls_share() -> None:
    lesson = guessed(refused(8000, calls=4))
    assert lesson is not None
    assert lesson.limit == 6000


@pytest.mark.parametrize("used", [0, 1])
def test_a_refusal_of_the_first_call_teaches_no_limit(used: float) -> None:
    assert guessed(refused(used)) is None


def test_a_guess_does_not_raise() -> None:
    assert guessed(refused(31, limit=30)) is None


def test_a_guess_does_not_stand_against_a_word_of_the_provider() -> None:
    assert guessed(refused(6, limit=60), learn(header(60, period="minute"))) is None


def test_a_word_of_the_provider_ends_a_guess() -> None:
    lesson = guessed(refused(6))
    assert lesson is not None
    told = revise(lesson, text(60, "minute"), PLACE, NOW)
    assert told is not None
    assert (told.limit, told.origin) == (60, "text")


def test_a_guess_of_a_minute_lasts_ten_and_when_it_proves_right_an_hour() -> None:
    first = guessed(refused(6))
    assert first is not None
    assert first.expires_at == NOW + timedelta(minutes=10)
    later = NOW + timedelta(minutes=11)
    again = guessed(refused(7), first, later)
    assert again is not None
    assert (again.limit, again.expires_at) == (6, later + timedelta(hours=1))


def test_calls_that_are_refused_side_by_side_lower_the_guess_one_by_one() -> None:
    first = guessed(refused(6))
    second = guessed(refused(5), first)
    third = guessed(refused(9), second)
    assert second is not None
    assert third is not None
    assert (second.limit, third.limit) == (4, 4)


@pytest.mark.parametrize(
    ("told", "known", "expected"),
    [
        ({"resets_at": NOW + timedelta(hours=3)}, None, NOW + timedelta(hours=3)),
        ({}, NOW + timedelta(hours=9), NOW + timedelta(hours=9)),
        ({}, None, NOW + timedelta(days=1)),
        ({"resets_at": NOW - timedelta(hours=3)}, None, NOW + timedelta(days=1)),
    ],
)
def test_a_guess_of_a_day_lasts_until_its_reset(
    told: dict[str, datetime], known: datetime | None, expected: datetime
) -> None:
    lesson = guessed(refused(6, period="day", resets_at=known), **told)
    assert lesson is not None
    assert lesson.expires_at == expected


class TestCallsAtOnce:
    """How many calls a provider takes at once, when it refuses one and does not say."""

    def refused(self, under_way: float, known: Lesson | None = None, at: datetime = NOW) -> Lesson:
        counted = Window(PLACE.id, "concurrent", "call", NO_LIMIT, source=COUNTED)
        stated = StatedLimit("concurrent", "call", "refusal")
        made = guess(known, stated, Refusal(Use(counted, under_way), 0.0), PLACE, at)
        assert made is not None
        return made

    @pytest.mark.parametrize(("under_way", "limit"), [(1, 1), (2, 1), (5, 4)])
    def test_it_takes_as_many_as_were_under_way_but_always_one(
        self, under_way: float, limit: float
    ) -> None:
        assert self.refused(under_way).limit == limit

    def test_each_of_several_refusals_lowers_the_guess(self) -> None:
        first = self.refused(5)
        assert self.refused(3, first).limit == 2
        assert self.refused(3, first).expires_at == first.expires_at

    def test_the_guess_grows_slowly_while_nothing_speaks_against_it(self) -> None:
        lesson: Lesson | None = self.refused(2)
        limits = []
        while lesson is not None:
            limits.append(lesson.limit)
            assert lesson.expires_at is not None
            assert not lesson.holds(lesson.expires_at)
            lesson = grown(lesson, lesson.expires_at)
        assert limits == [1, 2, 3, 5, 8, 12, 18, 27, 41, 62]

    def test_a_guess_that_has_grown_too_large_is_kept_for_twice_as_long(self) -> None:
        first = self.refused(2)
        assert first.expires_at is not None
        larger = grown(first, first.expires_at)
        assert larger is not None
        later = first.expires_at + timedelta(minutes=1)
        again = self.refused(2, larger, later)
        assert again.limit == 1
        assert again.expires_at is not None
        assert again.expires_at - later == 2 * (first.expires_at - NOW)

    def test_no_other_guess_grows(self) -> None:
        lesson = guessed(refused(6))
        assert lesson is not None
        assert grown(lesson, NOW + timedelta(days=1)) is None
