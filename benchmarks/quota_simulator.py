"""The simulated tiers of the quota benchmark, in a process of their own.

Started with a `Run` as JSON; prints the address; takes a line with the starting time, then prints
what the providers saw whenever a line comes in. Clients are told apart by their keys.
"""

import json
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from benchmarks.quota_cells import Run
from benchmarks.quota_tiers import (
    MINUTE_S,
    TIERS,
    Tier,
    number_in,
    tokens_in,
    tokens_out,
    worst_in_period,
)
from potluck.simulator.clock import Clock
from potluck.simulator.meter import Admission, Meter
from potluck.simulator.profile import LimitSpec, Profile
from potluck.simulator.reply import Delay, Reply, Usage
from potluck.simulator.request import ModelRequest
from potluck.simulator.script import Script
from potluck.simulator.server import SimulatorServer

WORD = "tide "
_TIERS = {tier.provider: tier for tier in TIERS}


@dataclass(slots=True)
class Seen:
    """What one provider saw of one client: when it admitted requests, and refused them for what."""

    admitted_s: list[float] = field(default_factory=list)
    refused_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def as_json(self, run_s: float) -> dict[str, object]:
        """Counts; `worst` is the most refusals by one window within its period."""
        return {
            "admitted": len(self.admitted_s),
            "admitted_in_run": sum(at < run_s for at in self.admitted_s),
            "refused": {kind: len(times) for kind, times in self.refused_s.items()},
            "worst": {
                kind: worst_in_period(times, _period_s(kind))
                for kind, times in self.refused_s.items()
            },
        }


class Referee(Meter):
    """Holds the tiers' limits, counts a prompt's tokens alike on every wire, and takes notes."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(enforce=True)
        self._open_door = Meter(enforce=False)
        self.zero_s = 0.0
        self.seen: dict[str, dict[str, Seen]] = defaultdict(lambda: defaultdict(Seen))
        self._clock = clock

    def admit(self, profile: Profile, request: ModelRequest, now: datetime) -> Admission:
        """Admit or refuse as the tier does; a prompt without a number only warms up."""
        if number_in(request.last_user_text) is None:
            return self._open_door.admit(profile, request, now)
        tier = _TIERS[request.provider]
        counted = replace(request, size_bytes=4 * tokens_in(request.last_user_text))
        limited = replace(profile, limits=limits_of(tier, profile))
        admission = super().admit(limited, counted, now)
        seen = self.seen[request.key or ""][request.provider]
        at_s = self._clock.elapsed_s() - self.zero_s
        if admission.denial is None:
            seen.admitted_s.append(at_s)
        else:
            seen.refused_s[admission.denial.kind.value].append(at_s)
        return admission


def limits_of(tier: Tier, profile: Profile) -> LimitSpec:
    """The provider's own windows with the tier's figures."""
    windows = {
        name: replace(spec, limit=tier.limits[name])
        for name, spec in profile.limits.windows.items()
        if name in tier.limits
    }
    return replace(profile.limits, windows=windows, models={}, concurrent=tier.concurrent)


def answer(request: ModelRequest) -> Reply:
    """The answer, after the tier's time."""
    text = request.last_user_text
    out = tokens_out(number_in(text) or 0)
    return Reply(
        text=WORD * out,
        usage=Usage(tokens_in(text), out),
        delay=Delay(first_byte_s=_TIERS[request.provider].answer_s),
    )


def _period_s(kind: str) -> float:
    return MINUTE_S if kind.startswith("minute") or kind == "concurrency" else float("inf")


def _told(referee: Referee, run: Run) -> Mapping[str, object]:
    return {
        key: {provider: seen.as_json(run.run_s) for provider, seen in by_provider.items()}
        for key, by_provider in referee.seen.items()
    }


def main() -> None:
    """Serve until the input ends."""
    run = Run(**json.loads(sys.argv[1]))
    clock = Clock(speed=run.speed, start=datetime.fromtimestamp(run.now(), UTC))
    referee = Referee(clock)
    server = SimulatorServer(Script(default=answer))
    server.clock, server.meter = clock, referee
    with server:
        print(server.url, flush=True)
        start_at = float(sys.stdin.readline())
        referee.zero_s = clock.elapsed_s() + (start_at - time.time()) * run.speed
        for _ in sys.stdin:
            print(json.dumps(_told(referee, run)), flush=True)


if __name__ == "__main__":
    main()
