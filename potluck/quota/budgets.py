"""What each deployment may use: its windows, and the part of them that policy lets be used."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from potluck.quota.limits import REFILL, ROLLING, Limits, Resets, measure_of
from potluck.quota.windows import Deployment, Period, Priority, Unit, Window

# Large enough for anything, and still a number to every database and JSON reader
NO_LIMIT = 1e15
BY_CATALOG = "catalog"
BY_USER = "limits.yaml"
COUNTED = "no limit known"
# How late a provider may count a call that we counted when we sent it: its clock is not ours, and
# the way there takes time. Without it, the first call after a minute can come a moment too early.
GUARD_S = 1.0

_ALWAYS_COUNTED: tuple[tuple[Unit, Period], ...] = (
    ("requests", "minute"),
    ("tokens", "minute"),
    ("requests", "day"),
    ("tokens", "day"),
    ("concurrent", "call"),
)


@dataclass(frozen=True, slots=True)
class Stated:
    """The limits of a model or an account; `by_user` names those that limits.yaml set."""

    limits: Limits = field(default_factory=Limits)
    by_user: frozenset[str] = frozenset()
    checked_on: date | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """A provider's limits, how its periods end, and what policy makes of them.

    `stop_at` is the share of each limit that is used at most; `reserve_for_interactive` the share
    of each day that is kept for interactive calls.
    """

    provider: str
    account: Stated = field(default_factory=Stated)
    models: Mapping[str, Stated] = field(default_factory=dict)
    resets: Resets = field(default_factory=Resets)
    stop_at: float = 1.0
    reserve_for_interactive: float = 0.0
    keys_share_limits: bool = False


@dataclass(frozen=True, slots=True)
class Budget:
    """A deployment's windows with their whole limits, before anything was learned.

    `deployment` is the one under whose name use is kept: keys that share their limits are one.
    `set_by_user` holds the ids of the windows whose limit is the user's own word.
    """

    deployment: Deployment
    windows: tuple[Window, ...]
    checked_on: date | None = None
    set_by_user: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        by_user = (window.id for window in self.windows if window.source == BY_USER)
        object.__setattr__(self, "set_by_user", frozenset(by_user))


class Budgets:
    """The budgets of all deployments; `replace` swaps the rules while calls go on.

    `version` is another number for other rules.
    """

    def __init__(self, rules: Iterable[Rules] = ()) -> None:
        self.version = 0
        self.replace(rules)

    def replace(self, rules: Iterable[Rules]) -> None:
        """From now on these rules hold."""
        self.version += 1
        self._rules = {rule.provider: rule for rule in rules}
        self._budgets: dict[Deployment, Budget] = {}
        self._in_force: dict[
            tuple[Deployment, Priority], tuple[Sequence[Window], tuple[Window, ...]]
        ] = {}

    def find(self, deployment: Deployment) -> Budget:
        """The deployment's budget."""
        found = self._budgets.get(deployment)
        if found is None:
            rules = self._rules.get(deployment.provider) or Rules(deployment.provider)
            found = self._budgets[deployment] = _budget(rules, deployment)
        return found

    def enforce(
        self, deployment: Deployment, windows: Sequence[Window], priority: Priority
    ) -> tuple[Window, ...]:
        """The windows with the limits that hold for a call of this priority."""
        key = (deployment, priority)
        known = self._in_force.get(key)
        if known is not None and known[0] is windows:
            return known[1]
        rules = self._rules.get(deployment.provider) or Rules(deployment.provider)
        enforced = tuple(_lower(window, rules, priority) for window in windows)
        self._in_force[key] = (windows, enforced)
        return enforced


def window_id(account: str, model: str | None, unit: Unit, period: Period) -> str:
    """The id of a window; `model` None: of the whole account."""
    return f"{account}/{'*' if model is None else model}:{unit}/{period}"


def is_limited(window: Window) -> bool:
    """Whether a limit is known; else use is only counted."""
    return window.limit < NO_LIMIT


def is_account_wide(window: Window) -> bool:
    """Whether all models of the account share it."""
    return window.id.endswith(f"/*:{window.unit}/{window.period}")


def _budget(rules: Rules, deployment: Deployment) -> Budget:
    kept = replace(deployment, key_id="") if rules.keys_share_limits else deployment
    own = rules.models.get(deployment.model, Stated())
    shared = {measure_of(name): value for name, value in rules.account.limits.stated()}
    windows = [
        *_windows(rules.account, kept, None, rules.resets),
        *(
            window
            for window in _windows(own, kept, kept.model, rules.resets)
            # A limit that its account keeps for it anyway needs no window of its own
            if window.limit < shared.get((window.unit, window.period), NO_LIMIT)
        ),
    ]
    windows.extend(_counted(windows, kept, rules.resets))
    days = [day for day in (own.checked_on, rules.account.checked_on) if day is not None]
    return Budget(kept, tuple(windows), max(days, default=None))


def _windows(
    stated: Stated, deployment: Deployment, model: str | None, resets: Resets
) -> Iterator[Window]:
    for name, limit in stated.limits.stated():
        unit, period = measure_of(name)
        yield Window(
            id=window_id(deployment.account, model, unit, period),
            unit=unit,
            period=period,
            limit=limit,
            reset=resets.of(period),
            stated=limit,
            source=BY_USER if name in stated.by_user else BY_CATALOG,
        )


def _counted(windows: Sequence[Window], deployment: Deployment, resets: Resets) -> Iterator[Window]:
    """What is counted without a known limit, so that a refusal teaches one."""
    known = {(window.unit, window.period) for window in windows}
    for unit, period in _ALWAYS_COUNTED:
        told = {(unit, period)} | ({("input_tokens", period)} if unit == "tokens" else set())
        if not told & known:
            name = window_id(deployment.account, deployment.model, unit, period)
            yield Window(name, unit, period, NO_LIMIT, resets.of(period), source=COUNTED)


def _lower(window: Window, rules: Rules, priority: Priority) -> Window:
    late = (window.period, window.reset) == ("minute", ROLLING)
    # Also where no limit is known yet: what is counted now counts when one is learned
    guarded = replace(window, guard_s=GUARD_S) if late else window
    if not is_limited(window) or window.unit == "concurrent":
        return guarded
    whole = window.limit
    flows = limit = whole * rules.stop_at
    if priority != "interactive" and window.period == "day":
        limit *= 1 - rules.reserve_for_interactive
    if window.unit == "requests":
        # Half a request is none: one call a day is still one call a day
        limit = max(1.0, float(int(limit + 1e-9)))
    if (window.period, window.reset) == ("minute", REFILL):
        # What has flowed back by our clock may not have by the provider's
        limit = max(min(limit, 1.0), min(limit, whole - flows / 60 * GUARD_S))
    stated = window.stated if window.stated is not None else whole
    # As fast for every priority: the level is one
    flowing = flows if window.reset == REFILL else None
    return replace(guarded, limit=limit, stated=stated, flows=flowing)
