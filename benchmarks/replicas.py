"""Several servers on one database: what each one more brings, and what a kill costs.

Throughput goes through the balancer to 3, 2 and 1 servers, with a model that takes no time, so that
what is measured is ours. Then servers are killed one after another under load; the runs of each are
waited for together. What a user would have without us is Aegra's own take-over, after its lease of
30 s; it is not measured here.
"""

import argparse
import asyncio
import contextlib
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import psutil

from benchmarks.bridge_load import Load, Seen
from benchmarks.bridge_processes import Clients, clients, simulator
from benchmarks.replicas_kills import Outcome, kill_again_and_again, script
from benchmarks.replicas_services import missing_programs
from benchmarks.replicas_stage import Cluster, cluster
from benchmarks.report import Figure, compare, report
from potluck.simulator.server import SimulatorServer

REPLICAS = 3
AT_ONCE = 24


@dataclass(frozen=True, slots=True)
class Amount:
    """How much is measured."""

    turns: int
    kills: int
    kills_limit_s: float


QUICK = Amount(turns=120, kills=5, kills_limit_s=60.0)
FULL = Amount(turns=1_200, kills=50, kills_limit_s=900.0)


@dataclass(frozen=True, slots=True)
class Throughput:
    """One load: what the clients saw, and where the machine's processor time went."""

    seen: Seen
    processor_s: dict[str, float]

    @property
    def per_second(self) -> float:
        """Turns answered in a second."""
        return len(self.seen.took_ms) / self.seen.lasted_s

    def took_ms(self, percent: int) -> float:
        """A percentile of the turns' times."""
        return statistics.quantiles(self.seen.took_ms, n=100, method="inclusive")[percent - 1]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer turns, 5 kills instead of 50")
    amount = QUICK if parser.parse_args().quick else FULL
    missing = missing_programs()
    if missing:
        raise SystemExit(f"This benchmark needs {' and '.join(missing)}.")
    by_count = _throughput(amount)
    outcome = _kills(amount)
    _show(by_count)
    report("replicas", [*_throughput_figures(by_count), *_kill_figures(outcome, amount)], {})


def _throughput(amount: Amount) -> dict[int, Throughput]:
    found: dict[int, Throughput] = {}
    with simulator() as upstream, clients() as players, cluster(upstream, REPLICAS) as made:
        for count in range(REPLICAS, 0, -1):
            found[count] = _measure(made, players, amount)
            made.running[-1].kill()
    return found


def _measure(made: Cluster, players: Clients, amount: Amount) -> Throughput:
    url = f"{made.url}/v1/chat/completions"
    warm_up = Load(url, "potluck", AT_ONCE, AT_ONCE * 2, name="warm up")
    players.play(warm_up)
    with _Processors(made) as used:
        count = amount.turns * len(made.running) // REPLICAS
        seen = players.play(Load(url, "potluck", AT_ONCE, count, name=f"{len(made.running)}"))
    if seen.failures:
        raise SystemExit(f"{len(seen.failures)} turns failed, such as: {seen.failures[0]}")
    return Throughput(seen, used.spent_s)


class _Processors:
    """The processor time that each kind of process has used inside the block."""

    def __init__(self, made: Cluster) -> None:
        self._made = made
        self.spent_s: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._before = self._now()
        return self

    def __exit__(self, *_: object) -> None:
        now = self._now()
        self.spent_s = {name: now[name] - before for name, before in self._before.items()}

    def _now(self) -> dict[str, float]:
        servers = sum(_cpu_s(one.process.pid) for one in self._made.running if one.process)
        found = {"servers": servers, "PostgreSQL": 0.0, "Redis": 0.0, "balancer": 0.0, "other": 0.0}
        kinds = {"postgres": "PostgreSQL", "redis-server": "Redis", "haproxy": "balancer"}
        own = psutil.Process()
        for process in own.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.pid in {one.process.pid for one in self._made.running if one.process}:
                    continue
                kind = kinds.get(process.name(), "other")
                found[kind] += _cpu_s(process.pid)
        return found


def _cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _kills(amount: Amount) -> Outcome:
    with SimulatorServer(script()) as upstream, cluster(upstream.url, REPLICAS) as made:
        return asyncio.run(kill_again_and_again(made, amount.kills, limit_s=amount.kills_limit_s))


def _show(by_count: dict[int, Throughput]) -> None:
    counts = sorted(by_count)
    rows: dict[str, Sequence[object]] = {
        "turns a second": [by_count[one].per_second for one in counts],
        "p50, ms": [by_count[one].took_ms(50) for one in counts],
        "p95, ms": [by_count[one].took_ms(95) for one in counts],
    }
    for kind in by_count[1].processor_s:
        rows[f"processors: {kind}"] = [
            by_count[one].processor_s[kind] / by_count[one].seen.lasted_s for one in counts
        ]
    compare(
        f"{AT_ONCE} clients at once", [f"{one} server{'s' * (one > 1)}" for one in counts], rows
    )


def _throughput_figures(by_count: dict[int, Throughput]) -> Iterator[Figure]:
    for count in sorted(by_count):
        one = by_count[count]
        yield Figure(f"turns, {count} servers", one.per_second, "1/s")
        yield Figure(f"turn, {count} servers, p50", one.took_ms(50), "ms")
        yield Figure(f"turn, {count} servers, p95", one.took_ms(95), "ms")
        busy = sum(one.processor_s.values()) / one.seen.lasted_s / (psutil.cpu_count() or 1)
        yield Figure(f"machine's processors busy, {count} servers", busy * 100, "%")


def _kill_figures(outcome: Outcome, amount: Amount) -> Iterator[Figure]:
    yield Figure("kills", outcome.kills, "", f">= {amount.kills}")
    yield Figure("runs under way or asked meanwhile", outcome.runs, "")
    yield Figure("runs taken over", len(outcome.taken_over_s), "")
    yield Figure("runs lost", len(outcome.lost), "", "<= 0")
    yield Figure("runs doubled", len(outcome.doubled), "", "<= 0")
    if outcome.taken_over_s:
        yield Figure("takeover, p50", statistics.median(outcome.taken_over_s), "s", "<= 10")
        yield Figure("takeover, longest", max(outcome.taken_over_s), "s", "<= 20")
    yield Figure("killed server ready again, p50", statistics.median(outcome.back_s), "s")
    yield Figure("requests cut by a kill", outcome.cut_requests, "")


if __name__ == "__main__":
    main()
