"""The tiers of the quota benchmark: real limits, and a maximum that can be reached."""

import heapq
from itertools import pairwise

import pytest

from benchmarks.quota_simulator import limits_of
from benchmarks.quota_tiers import (
    PROMPT_LETTERS,
    TIERS,
    TOKENS_OUT,
    Cell,
    Tier,
    capacity,
    number_in,
    pooled_quota,
    prompt,
    theoretical_maximum,
    tokens_in,
    tokens_out,
    worst_in_period,
)
from potluck.simulator.profile import profile_of
from potluck.simulator.windows import Window, window_of

RUN_S = 180.0
STEP_S = 0.25
# Where the benchmark says that a tier is not what the real one is
CHANGED = {("openrouter", "day_requests")}


@pytest.mark.parametrize("tier", TIERS, ids=lambda tier: tier.provider)
def test_tiers_are_the_real_ones_but_for_what_is_said(tier: Tier) -> None:
    profile = profile_of(tier.provider)
    own = profile.limits
    for name, limit in tier.limits.items():
        if (tier.provider, name) not in CHANGED:
            assert own.models.get(tier.models[0], {}).get(name, own.windows[name].limit) == limit
        is_minute = name.startswith("minute")
        assert not is_minute or own.windows[name].refill == tier.refill
    assert (own.scope == "account") == tier.account_wide
    assert own.input_only == tier.input_only
    assert set(limits_of(tier, profile).windows) == set(tier.limits)


def test_pooled_quota_and_maximum_are_those_of_the_docstring() -> None:
    by_tier = {tier.provider: capacity(tier, RUN_S) for tier in TIERS}
    assert by_tier["groq"] == pytest.approx(8_000 / 434 * 4)
    assert by_tier["google_gemini"] == 45
    assert by_tier["openrouter"] == 60
    assert by_tier["nvidia"] == 45
    assert by_tier["sambanova"] == 20
    assert theoretical_maximum(RUN_S, 10_000) == 243
    assert theoretical_maximum(RUN_S, 100) == 100
    assert pooled_quota(RUN_S) == pytest.approx(8_000 / 434 * 3 + 45 + 60 + 45 + 20)


@pytest.mark.parametrize("shape", ["steady", "bursts"])
@pytest.mark.parametrize("load", [0.5, 1.0, 2.0])
def test_a_router_that_knows_all_comes_close_to_the_maximum(load: float, shape: str) -> None:
    arrivals = Cell(load, shape).arrivals(RUN_S)  # type: ignore[arg-type] # parametrised
    maximum = theoretical_maximum(RUN_S, len(arrivals))
    assert 0.97 * maximum <= _admitted_by_greed(arrivals) <= maximum


def test_demand_comes_evenly_or_at_once() -> None:
    steady = Cell(1, "steady").arrivals(RUN_S)
    gaps = {round(after - before, 6) for before, after in pairwise(steady)}
    assert len(gaps) == 1
    bursts = Cell(1, "bursts").arrivals(RUN_S)
    assert len(bursts) == len(steady) == round(pooled_quota(RUN_S))
    assert sorted(set(bursts)) == [0, 30, 60, 90, 120, 150]


def test_cells_have_names_and_keys_of_their_own() -> None:
    cells = [
        Cell(load, shape, known, again)  # type: ignore[arg-type] # literals below
        for load in (0.5, 1, 2)
        for shape in ("steady", "bursts")
        for known in (True, False)
        for again in (True, False)
    ]
    assert len({cell.name for cell in cells}) == len({cell.key for cell in cells}) == len(cells)
    assert all(" " not in cell.key for cell in cells)


def test_prompts_tell_their_number_and_are_of_one_length() -> None:
    for number in (0, 7, 1234):
        assert number_in(prompt(number)) == number
        assert len(prompt(number)) == PROMPT_LETTERS
    assert number_in("Say hello.") is None


def test_answers_have_the_mean_length_on_average() -> None:
    lengths = [tokens_out(number) for number in range(405)]
    assert min(lengths), max(lengths) == TOKENS_OUT
    assert sum(lengths) / len(lengths) == 100
    assert tokens_in("x" * 36) == 10


def test_worst_period_is_found_wherever_it_lies() -> None:
    assert worst_in_period([], 60) == 0
    assert worst_in_period([0, 30, 59.9, 60, 119], 60) == 3
    assert worst_in_period([100, 0, 50], float("inf")) == 3


class _Server:
    """A tier in virtual time: its real windows, and how many answers are under way."""

    def __init__(self, tier: Tier) -> None:
        self.tier = tier
        limits = limits_of(tier, profile_of(tier.provider))
        self.windows: dict[str, Window] = {
            name: window_of(spec, spec.limit) for name, spec in limits.windows.items()
        }
        self.ends_s: list[float] = []

    def admits(self, now_s: float) -> bool:
        while self.ends_s and self.ends_s[0] <= now_s:
            heapq.heappop(self.ends_s)
        most = self.tier.concurrent
        if most is not None and len(self.ends_s) >= most:
            return False
        amounts = {
            name: self.tier.mean_tokens if name.endswith("tokens") else 1 for name in self.windows
        }
        if any(self.windows[name].wait_s(now_s, amount) > 0 for name, amount in amounts.items()):
            return False
        for name, amount in amounts.items():
            self.windows[name].take(now_s, amount)
        heapq.heappush(self.ends_s, now_s + self.tier.answer_s)
        return True


def _admitted_by_greed(arrivals: list[float]) -> int:
    """Every request goes to the first tier with room, as soon as there is any."""
    servers = [_Server(tier) for tier in TIERS]
    noon, queue, admitted, come = 1_795_262_400.0, 0, 0, 0
    for step in range(int(RUN_S / STEP_S)):
        now_s = step * STEP_S
        while come < len(arrivals) and arrivals[come] <= now_s:
            come += 1
            queue += 1
        while queue and any(server.admits(noon + now_s) for server in servers):
            queue -= 1
            admitted += 1
    return admitted
