"""Metering use by key and model: who is let in, who is refused, and the headers that tell it."""

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from potluck.simulator.faults import Counts, filled, go_duration
from potluck.simulator.profile import LimitSpec, Profile, WindowName, WindowSpec
from potluck.simulator.reply import FaultKind, Usage
from potluck.simulator.request import ModelRequest
from potluck.simulator.windows import Window, window_of

Windows = Mapping[WindowName, Window]


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a request is not let in, and for how long."""

    kind: FaultKind
    counts: Counts
    wait_s: float


@dataclass(slots=True)
class Admission:
    """One request let in or denied at `at_s`; `amounts` is what it took from each window."""

    limits: LimitSpec
    windows: Windows
    amounts: dict[WindowName, float]
    at_s: float
    denial: Denial | None = None
    account: "_Account | None" = None

    def headers(
        self, now: datetime, *, spent: FaultKind | None = None, wait_s: float = 0.0
    ) -> dict[str, str]:
        """The rate-limit headers; `spent` shows that window as used up for so long."""
        if not self.limits.headers:
            return {}
        values: dict[str, object] = {}
        for name, window in self.windows.items():
            left = math.floor(max(0.0, window.limit - window.used(now.timestamp())))
            reset_s = window.reset_s(now.timestamp())
            if spent is not None and name == spent.value:
                left, reset_s = 0, wait_s
            values |= _values(name, window.limit, left, reset_s, now)
        told = {name: str(filled(text, values)) for name, text in self.limits.headers.items()}
        return {name: text for name, text in told.items() if "{" not in text}

    def settle(self, usage: Usage | None, now: datetime) -> None:
        """Count what was really used; None gives everything back."""
        if self.denial is not None:
            return
        for name, window in self.windows.items():
            actual = 0.0 if usage is None else self._actual(name, usage)
            more = actual - self.amounts[name]
            if more >= 0:
                window.take(now.timestamp(), more)
            else:
                window.give_back(now.timestamp(), -more, taken_s=self.at_s)
            self.amounts[name] = actual
        if self.account is not None:
            self.account.under_way -= 1

    def _actual(self, name: WindowName, usage: Usage) -> float:
        if _unit(name, self.limits.windows[name]) == "requests":
            return 1.0
        if self.limits.reserve_output is not None:
            return self.amounts[name]
        return usage.input_tokens if self.limits.input_only else usage.total_tokens


@dataclass(slots=True)
class _Account:
    under_way: int = 0
    windows: dict[str, dict[WindowName, Window]] = field(default_factory=dict)


class Meter:
    """Keeps the windows of every key. Unless it enforces, each request finds them fresh."""

    def __init__(self, *, enforce: bool) -> None:
        self.enforce = enforce
        self._accounts: dict[tuple[str, str | None], _Account] = {}
        self._lock = threading.Lock()

    def admit(self, profile: Profile, request: ModelRequest, now: datetime) -> Admission:
        """Take what the request needs from all of its windows, or from none and say why."""
        limits = profile.limits
        amounts = _amounts(limits, request)
        if not self.enforce:
            admission = Admission(limits, _fresh(limits, request.model), amounts, now.timestamp())
            _take(admission, now)
            return admission
        with self._lock:
            account = self._accounts.setdefault((request.provider, request.key), _Account())
            scope = request.model if limits.scope == "model" else ""
            windows = account.windows.setdefault(scope, _fresh(limits, request.model))
            admission = Admission(limits, windows, amounts, now.timestamp(), account=account)
            admission.denial = _denial(admission, request.model, now)
            if admission.denial is None:
                account.under_way += 1
                _take(admission, now)
            return admission

    def reset(self) -> None:
        """Forget all use."""
        with self._lock:
            self._accounts.clear()


def _take(admission: Admission, now: datetime) -> None:
    for name, window in admission.windows.items():
        window.take(now.timestamp(), admission.amounts[name])


def _denial(admission: Admission, model: str, now: datetime) -> Denial | None:
    limits, account = admission.limits, admission.account
    if 0 in limits.models.get(model, {}).values():
        return Denial(FaultKind.NOT_FREE, Counts(limit=0, used=0, requested=1), 38.0)
    under_way = account.under_way if account is not None else 0
    if limits.concurrent is not None and under_way >= limits.concurrent:
        counts = Counts(limit=limits.concurrent, used=under_way, requested=1)
        return Denial(FaultKind.CONCURRENCY, counts, 1.0)
    denials = [
        _full(limits, name, window, admission.amounts[name], now)
        for name, window in admission.windows.items()
    ]
    return max((one for one in denials if one), key=lambda one: one.wait_s, default=None)


def _full(
    limits: LimitSpec, name: WindowName, window: Window, amount: float, now: datetime
) -> Denial | None:
    used = math.ceil(window.used(now.timestamp()))
    counts = Counts(limit=window.limit, used=used, requested=math.ceil(amount))
    if amount > window.limit and name == limits.too_large_window:
        return Denial(FaultKind.TOO_LARGE, counts, math.inf)
    wait_s = window.wait_s(now.timestamp(), amount)
    if wait_s <= 0 and amount <= window.limit:
        return None
    return Denial(FaultKind(name), counts, wait_s)


def _fresh(limits: LimitSpec, model: str) -> dict[WindowName, Window]:
    stated = limits.models.get(model, {})
    found: dict[WindowName, Window] = {}
    for name, spec in limits.windows.items():
        limit = stated.get(name, spec.limit)
        if limit > 0:
            found[name] = window_of(spec, limit)
    return found


def _amounts(limits: LimitSpec, request: ModelRequest) -> dict[WindowName, float]:
    tokens = float(request.input_tokens)
    if limits.reserve_output is not None:
        tokens += request.max_output or limits.reserve_output
    return {
        name: tokens if _unit(name, spec) == "tokens" else 1.0
        for name, spec in limits.windows.items()
    }


def _unit(name: WindowName, spec: WindowSpec) -> str:
    return spec.unit or ("tokens" if name.endswith("tokens") else "requests")


def _values(name: str, limit: int, left: int, reset_s: float, now: datetime) -> dict[str, object]:
    return {
        f"{name}_limit": limit,
        f"{name}_per_second": round(limit / 60, 2),
        f"{name}_remaining": left,
        f"{name}_reset_s": math.ceil(reset_s),
        f"{name}_reset_exact_s": round(reset_s, 3),
        f"{name}_reset_go": go_duration(reset_s),
        f"{name}_back_epoch_s": math.ceil(now.timestamp() + reset_s),
    }
