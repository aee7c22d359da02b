"""What answers taught is in force from the next call on, and forgotten when it should be."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pytest

from potluck.quota.budgets import Budget, Budgets, Rules, Stated, is_limited
from potluck.quota.learned import Learned
from potluck.quota.limits import Limits
from potluck.quota.windows import Deployment, Period, StatedLimit, Unit, Use, Window

START = datetime(2026, 11, 21, 10, 2, tzinfo=UTC)
GROQ = Deployment("groq", "gpt-oss", "k1")


@dataclass
class Clock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **span: float) -> None:
        self.now += timedelta(**span)


@dataclass
class Scene:
    """One provider's budget, what was learned of it, and a count of its use."""

    learned: Learned
    clock: Clock
    budgets: Budgets
    deployment: Deployment = GROQ

    def limits(self, *own: Limits, account: Limits | None = None, **rest: object) -> None:
        stated = Stated(own[0] if own else Limits(), **rest)  # type: ignore[arg-type] # passed on
        rules = Rules(
            self.deployment.provider,
            account=Stated(account or Limits()),
            models={self.deployment.model: stated},
        )
        self.budgets.replace([rules])

    @property
    def budget(self) -> Budget:
        return self.budgets.find(self.deployment)

    def windows(self) -> tuple[Window, ...]:
        return self.learned.apply(
            self.budget.deployment,
            self.budget.windows,
            checked_on=self.budget.checked_on,
            capped_by_user=self.budget.set_by_user,
        )

    def window(self, unit: Unit, period: Period) -> Window | None:
        found = [one for one in self.windows() if (one.unit, one.period) == (unit, period)]
        return next((one for one in found if is_limited(one)), None)

    def limit(self, unit: Unit, period: Period) -> float | None:
        found = self.window(unit, period)
        return found.limit if found is not None else None

    def told(
        self, *stated: StatedLimit, used: float | dict[Unit, float] = 0
    ) -> list[tuple[Unit, Period, float]]:
        uses: Sequence[Use] = [
            Use(one, used.get(one.unit, 0) if isinstance(used, dict) else used)
            for one in self.windows()
        ]
        news = self.learned.note(self.budget.deployment, stated, uses=uses)
        return [(window.unit, window.period, at_least) for window, at_least in news]


@pytest.fixture
def scene() -> Scene:
    clock = Clock()
    made = Scene(Learned(clock=clock), clock, Budgets())
    made.limits(Limits(requests_per_day=1000, tokens_per_minute=8000))
    return made


def header(
    unit: Unit,
    period: Period,
    limit: float | None,
    left: float | None = None,
    *,
    wide: bool = False,
) -> StatedLimit:
    return StatedLimit(unit, period, "header x", limit, left, from_header=True, account_wide=wide)


def refusal(period: Period = "minute", unit: Unit = "requests") -> StatedLimit:
    return StatedLimit(unit, period, "refusal without figures")


def test_a_limit_holds_from_the_next_call_on(scene: Scene) -> None:
    assert scene.limit("requests", "day") == 1000
    scene.told(header("requests", "day", 50, 49))
    found = scene.window("requests", "day")
    assert found is not None
    assert (found.limit, found.stated) == (50, 50)
    assert found.source == "header x of 2026-11-21 10:02 UTC"


def test_while_nothing_changes_the_answer_is_the_same_object(scene: Scene) -> None:
    scene.told(header("requests", "day", 50, 49))
    before = scene.windows()
    scene.told(header("requests", "day", 50, 48), header("tokens", "minute", 8000, 1))
    assert scene.windows() is before


def test_a_window_that_the_catalog_does_not_have_is_added(scene: Scene) -> None:
    scene.told(header("requests", "hour", 150, 149))
    assert scene.limit("requests", "hour") == 150
    other = Deployment("groq", "another", "k1")
    extra = scene.learned.apply(other, (), checked_on=None, capped_by_user=frozenset())
    assert extra == ()


def test_what_is_account_wide_holds_for_all_models_of_the_account_only(scene: Scene) -> None:
    scene.told(header("requests", "month", 1000, 999, wide=True))

    def extra(deployment: Deployment) -> list[float]:
        found = scene.learned.apply(deployment, (), checked_on=None, capped_by_user=frozenset())
        return [window.limit for window in found]

    assert extra(Deployment("groq", "another", "k1")) == [1000]
    assert extra(Deployment("groq", "gpt-oss", "k2")) == []
    assert extra(Deployment("grok", "gpt-oss", "k1")) == []


def test_two_keys_of_one_provider_are_told_different_limits(scene: Scene) -> None:
    other = Deployment(GROQ.provider, GROQ.model, "another")
    scene.learned.note(GROQ, [header("requests", "minute", 30)], uses=[])
    scene.learned.note(other, [header("requests", "minute", 60)], uses=[])
    for deployment, limit in ((GROQ, 30), (other, 60)):
        found = scene.learned.apply(deployment, (), checked_on=None, capped_by_user=frozenset())
        assert [(window.limit, window.id.partition("/")[0]) for window in found] == [
            (limit, deployment.account)
        ]


def test_a_limit_goes_to_the_accounts_window_when_only_that_is_kept(scene: Scene) -> None:
    scene.limits(account=Limits(tokens_per_minute=30_000))
    scene.told(header("tokens", "minute", 60_000, 59_000))
    found = [w for w in scene.windows() if (w.unit, w.period) == ("tokens", "minute")]
    assert [(w.limit, w.id) for w in found] == [(60_000, "groq:k1/*:tokens/minute")]


def test_a_limit_that_nobody_knew_is_learned(scene: Scene) -> None:
    scene.limits()
    assert scene.limit("requests", "minute") is None
    scene.told(header("requests", "minute", 30, 29))
    assert scene.limit("requests", "minute") == 30


def test_the_users_word_is_never_raised(scene: Scene) -> None:
    scene.limits(Limits(requests_per_day=10), by_user=frozenset({"requests_per_day"}))
    scene.told(header("requests", "day", 1000, 999))
    assert scene.limit("requests", "day") == 10
    scene.told(header("requests", "day", 5, 4))
    assert scene.limit("requests", "day") == 5


def test_a_catalog_that_is_newer_makes_forget(scene: Scene) -> None:
    scene.told(header("requests", "day", 50, 49))
    scene.limits(Limits(requests_per_day=2000), checked_on=date(2026, 11, 21))
    assert scene.limit("requests", "day") == 50
    scene.clock.advance(days=1)
    assert scene.limit("requests", "day") == 50
    scene.limits(Limits(requests_per_day=2000), checked_on=date(2026, 11, 22))
    assert scene.limit("requests", "day") == 2000
    assert scene.learned.lessons() == []


def test_a_catalog_from_the_future_does_not_make_forget_what_is_told_today(scene: Scene) -> None:
    scene.limits(Limits(requests_per_day=2000), checked_on=date(2027, 1, 1))
    scene.told(header("requests", "day", 50, 49))
    assert scene.limit("requests", "day") == 50


def test_use_that_we_do_not_know_of_is_reported(scene: Scene) -> None:
    told = header("requests", "day", 1000, 200), header("tokens", "minute", 8000, 7000)
    assert scene.told(*told, used={"requests": 100, "tokens": 1500}) == [("requests", "day", 800)]


def test_what_is_left_counts_against_the_limit_that_is_known(scene: Scene) -> None:
    assert scene.told(header("tokens", "minute", None, 0)) == [("tokens", "minute", 8000)]
    assert scene.told(header("tokens", "month", None, 0)) == []


def test_use_of_a_new_window_is_reported_with_it(scene: Scene) -> None:
    assert scene.told(header("credits", "day", 10_000, 0, wide=True)) == [
        ("credits", "day", 10_000)
    ]
    assert scene.limit("credits", "day") == 10_000


def test_one_refusal_without_figures_teaches_a_limit_that_nobody_knew(scene: Scene) -> None:
    scene.limits()
    scene.told(refusal(), used=6)
    assert scene.limit("requests", "minute") == 5
    scene.clock.advance(minutes=11)
    assert scene.limit("requests", "minute") is None


def test_a_known_limit_is_lowered_by_the_second_such_refusal_within_the_hour(scene: Scene) -> None:
    scene.limits(Limits(requests_per_minute=60))
    scene.told(refusal(), used=6)
    assert scene.limit("requests", "minute") == 60
    scene.clock.advance(hours=2)
    scene.told(refusal(), used=6)
    assert scene.limit("requests", "minute") == 60
    scene.clock.advance(minutes=2)
    scene.told(refusal(), used=6)
    assert scene.limit("requests", "minute") == 5


def test_tokens_are_guessed_by_the_calls_that_were_granted(scene: Scene) -> None:
    scene.limits()
    scene.told(refusal(unit="tokens"), used={"requests": 4, "tokens": 8000})
    assert scene.limit("tokens", "minute") == 6000


def test_a_refusal_of_what_we_do_not_count_teaches_nothing(scene: Scene) -> None:
    before = scene.windows()
    scene.told(refusal("month"), used=50)
    assert scene.windows() is before


def test_other_models_windows_stay_the_same_object_when_one_learns(scene: Scene) -> None:
    other = Deployment("groq", "another", "k1")
    windows = scene.budgets.find(other).windows

    def answer() -> tuple[Window, ...]:
        return scene.learned.apply(other, windows, checked_on=None, capped_by_user=frozenset())

    before = answer()
    scene.told(header("requests", "day", 50, 49))
    assert answer() is before


async def test_without_a_database_it_learns_all_the_same() -> None:
    learned = await Learned.open(None, clock=Clock())
    learned.note(GROQ, [header("requests", "day", 50, 49)], uses=[])
    assert [lesson.limit for lesson in learned.lessons()] == [50]
    await learned.aclose()


def refilled(used: float, *, refills: bool | None = True) -> StatedLimit:
    left = 8000 - used
    return StatedLimit(
        "tokens", "minute", "header x", 8000, left, from_header=True, refills=refills
    )


def reset_of(scene: Scene) -> str:
    found = scene.window("tokens", "minute")
    assert found is not None
    return found.reset


@pytest.mark.parametrize("known", [True, False])
def test_what_flows_back_again_and_again_is_known_to_refill(scene: Scene, known: bool) -> None:
    scene.limits(Limits(tokens_per_minute=8000) if known else Limits())
    scene.told(refilled(400))
    scene.told(refilled(400))
    scene.told(refilled(700))
    assert reset_of(scene) == "rolling"
    # Counted anew, from the larger of what it says and what is counted: calls are under way
    assert scene.told(refilled(1000), used=1500) == [("tokens", "minute", 1500)]
    assert reset_of(scene) == "refill"
    scene.told(refilled(1000, refills=None))
    assert reset_of(scene) == "refill"


def test_a_reset_that_is_no_refills_ends_it(scene: Scene) -> None:
    for used in (400, 700, 1000):
        scene.told(refilled(used))
    scene.told(refilled(1100, refills=False))
    assert reset_of(scene) == "rolling"
    # By chance, now and then
    for used in (400, 700):
        scene.told(refilled(used))
    scene.told(refilled(1100, refills=False))
    scene.told(refilled(1500))
    assert reset_of(scene) == "rolling"
