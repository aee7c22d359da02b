"""What is read at the moment it is asked for: quota, parked runs, sandboxes, the database."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import psycopg
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from potluck.engine import Engine
from potluck.quota.budgets import is_account_wide, is_limited
from potluck.quota.report import ProviderState, is_full
from potluck.quota.windows import Deployment, Use, Window
from potluck.sandbox.pool import Sandboxes
from potluck.sandbox.runner import Runner
from potluck.server.metrics_sandbox import CountedRunner
from potluck.server.pulse import database_is_there
from potluck.server.quota_state import provider_states

TIMEOUT_S = 5.0
_PARKED_TIMEOUT_S = 2.0
_PRIORITIES = ("interactive", "background", "batch")
_OF_WINDOW = ("provider", "model", "account", "window")


async def read(used: Engine) -> list[Metric]:
    """The metrics of this moment. What cannot be read now is left out.

    Raises TimeoutError when it takes too long.
    """
    async with asyncio.timeout(TIMEOUT_S):
        quota = await _quota(used)
        return [
            *quota.families(),
            *_parked(await _parked_by_priority(used)),
            *_sandbox(used.runner),
            _gauge("potluck_database_up", "Whether the database answers.", await _database_up()),
            _dropped(used),
        ]


@dataclass(frozen=True, slots=True)
class _Quota:
    """What is left of each window, and who can be asked."""

    on: dict[str, bool] = field(default_factory=dict)
    available: dict[tuple[str, str, str], bool] = field(default_factory=dict)
    windows: dict[tuple[str, str, str, str], Use] = field(default_factory=dict)

    def take(self, state: ProviderState, uses: dict[Deployment, list[Use]]) -> None:
        """Add a provider, with the windows of its models."""
        self.on[state.id] = state.on
        for account in state.accounts:
            where = account.deployment
            out = account.outage is not None and account.outage.certain
            full = any(is_full(use) for use in uses[where])
            self.available[where.provider, where.model, where.key_id] = not (out or full)
            for use in uses[where]:
                self._take_window(where, use)

    def _take_window(self, where: Deployment, use: Use) -> None:
        if not is_limited(use.window):
            return
        model = "" if is_account_wide(use.window) else where.model
        labels = (where.provider, model, where.key_id, window_name(use.window))
        other = self.windows.get(labels)
        # Of two in one unit and period the tighter one counts
        if other is None or use.left < other.left:
            self.windows[labels] = use

    def families(self) -> Iterator[Metric]:
        """The metrics."""
        on = GaugeMetricFamily(
            "potluck_provider_on", "Whether a provider may be asked.", labels=["provider"]
        )
        for provider, is_on in sorted(self.on.items()):
            on.add_metric([provider], float(is_on))
        available = GaugeMetricFamily(
            "potluck_model_available",
            "Whether nothing is known to keep a model from answering.",
            labels=["provider", "model", "account"],
        )
        for place, is_there in sorted(self.available.items()):
            available.add_metric(place, float(is_there))
        limit = GaugeMetricFamily(
            "potluck_quota_limit",
            "The limit in force of a window; without a model, that of the whole account.",
            labels=_OF_WINDOW,
        )
        left = GaugeMetricFamily(
            "potluck_quota_left", "What is left of a window.", labels=_OF_WINDOW
        )
        for labels, use in sorted(self.windows.items()):
            limit.add_metric(labels, use.window.limit)
            left.add_metric(labels, use.left)
        yield from (on, available, limit, left)


def window_name(window: Window) -> str:
    """The window as limits are called in the configuration, such as `requests_per_day`."""
    if window.period == "call":
        return "concurrent_requests"
    return f"{window.unit}_per_{window.period}"


async def _quota(used: Engine) -> _Quota:
    quota = _Quota()
    for state in provider_states(used):
        uses = {
            account.deployment: await used.limiter.uses(account.deployment)
            for account in state.accounts
        }
        quota.take(state, uses)
    return quota


async def _parked_by_priority(used: Engine) -> Counter[str] | None:
    try:
        async with asyncio.timeout(_PARKED_TIMEOUT_S):
            return Counter(run.priority for run in await used.parking.list())
    except (psycopg.Error, TimeoutError):
        return None


def _parked(counts: Counter[str] | None) -> Iterable[Metric]:
    if counts is None:
        return
    family = GaugeMetricFamily(
        "potluck_parked_runs", "Runs that wait for quota.", labels=["priority"]
    )
    for priority in _PRIORITIES:
        family.add_metric([priority], counts[priority])
    yield family


def _sandbox(runner: Runner) -> Iterable[Metric]:
    inner = runner.inner if isinstance(runner, CountedRunner) else runner
    if not isinstance(inner, Sandboxes):
        return
    standing = inner.standing()
    family = GaugeMetricFamily(
        "potluck_sandbox_sessions", "Python sessions, by what they do.", labels=["state"]
    )
    family.add_metric(["busy"], standing.busy)
    family.add_metric(["idle"], standing.idle)
    yield family
    yield _gauge("potluck_sandbox_sessions_limit", "Most Python sessions at a time.", standing.most)


async def _database_up() -> float:
    return float(await database_is_there())


def _dropped(used: Engine) -> Metric:
    return CounterMetricFamily(
        "potluck_usage_history_dropped",
        "Calls that the usage history lacks, since the database was away for too long.",
        value=used.history.dropped,
    )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)
