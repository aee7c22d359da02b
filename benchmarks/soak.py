"""Whether Potluck bears a long day: mixed traffic while replicas, PostgreSQL and Redis are killed.

At the end nothing that was promised may be lost or doubled, and no process may have grown.
`--minutes N`; `--quick` is 2.
"""

import argparse
import asyncio
import contextlib
import itertools
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field

from rich.console import Console
from rich.table import Table

from benchmarks.report import Figure, report
from benchmarks.soak_growth import Growth
from benchmarks.soak_script import FILE
from benchmarks.soak_simulator import Provider, provider
from benchmarks.soak_traffic import Account, Clients, Traffic, text_of
from benchmarks.soak_world import Replica, World, world
from tools.workspace import folder_of

MINUTES = 30.0
QUICK_MINUTES = 2.0
REPLICAS = 3
NOTERS, CHATTERS, CUTTERS = 4, 3, 2
PAUSE_S, QUICK_PAUSE_S = 30.0, 8.0
"""Between two faults, in which all has come back."""
AWAY_S = 4.0
AFTERMATH_S = 6.0
"""So long after a fault something may still go wrong for its sake; less than a pause."""
QUOTA_OUT_S = 4.0
TAIL_S = 260.0


@dataclass
class Faults:
    """Breaks one thing after another, and remembers when."""

    world: World
    provider: Provider
    pause_s: float = PAUSE_S
    times: list[tuple[float, float]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    @property
    def counts(self) -> Counter[str]:
        """How often each was broken."""
        return Counter(self.names)

    def excuses(self, since_s: float, until_s: float) -> bool:
        """Whether something was broken in that time, or just before."""
        return any(begun < until_s and since_s < ended + AFTERMATH_S for begun, ended in self.times)

    async def go_on(self, until_s: float) -> None:
        """One fault after another, with pauses, until that time."""
        for name, break_it in itertools.cycle(self._all()):
            if time.monotonic() + self.pause_s + AWAY_S > until_s:
                await asyncio.sleep(max(0.0, until_s - time.monotonic()))
                return
            await asyncio.sleep(self.pause_s)
            place = len(self.times)
            self.times.append((time.monotonic(), float("inf")))
            self.names.append(name)
            await asyncio.to_thread(break_it)
            self.times[place] = (self.times[place][0], time.monotonic())

    def _all(self) -> list[tuple[str, Callable[[], None]]]:
        victims = self.world.replicas[1:] or self.world.replicas
        killed = [("replica", lambda one=one: _restart(one)) for one in victims]
        others: list[tuple[str, Callable[[], None]]] = [
            ("PostgreSQL", self._postgres),
            ("quota", self._quota),
        ]
        if self.world.redis is not None:
            others.insert(1, ("Redis", self._redis))
        mixed = itertools.zip_longest(killed, others)
        return [one for pair in mixed for one in pair if one is not None]

    def _postgres(self) -> None:
        self.world.postgres.kill()
        time.sleep(AWAY_S)
        self.world.postgres.start()

    def _redis(self) -> None:
        assert self.world.redis is not None
        self.world.redis.kill()
        time.sleep(AWAY_S)
        self.world.redis.start()

    def _quota(self) -> None:
        self.provider.run_out(QUOTA_OUT_S)
        time.sleep(QUOTA_OUT_S)


@dataclass
class Result:
    """What the account and the threads say in the end."""

    lost: int = 0
    doubled: int = 0
    details: list[str] = field(default_factory=list)

    def count(self, what: str, token: str, found: int) -> None:
        """Exactly one is right."""
        self.lost += found == 0
        self.doubled += found > 1
        if found != 1:
            self.details.append(f"{what} of {token}: {found} times")


def _restart(replica: Replica) -> None:
    replica.kill()
    time.sleep(AWAY_S)
    replica.start()
    replica.wait()


async def _play(place: World, faults: Faults, account: Account, minutes: float) -> Result:
    clients = Clients([one.url for one in place.replicas])
    traffic = Traffic(clients, account)
    talkers = [
        *(traffic.note(f"n{n}") for n in range(NOTERS)),
        traffic.note("f0", ("note", "fill", "clear")),
        *(traffic.chat(f"c{n}") for n in range(CHATTERS)),
        *(traffic.cut(f"x{n}") for n in range(CUTTERS)),
    ]
    tasks = [asyncio.create_task(one) for one in talkers]
    await faults.go_on(time.monotonic() + minutes * 60)
    traffic.end()
    done, late = await asyncio.wait(tasks, timeout=TAIL_S)
    account.errors += [f"talker: {one.exception()!r}" for one in done if one.exception()]
    account.errors += ["talker: it did not end"] * len(late)
    for one in late:
        one.cancel()
    result = await _checked(place, traffic, account)
    await clients.aclose()
    return result


async def _checked(place: World, traffic: Traffic, account: Account) -> Result:
    result = Result()
    for thread_id, tokens in account.promised.items():
        if not await traffic.until_idle(thread_id):
            account.errors.append(f"thread {thread_id} is still busy")
        messages = await traffic.messages(thread_id)
        asked = Counter(_tokens(messages, "human", " note "))
        answered = Counter(_tokens(messages, "ai", "note "))
        file = folder_of(place.folder, thread_id) / FILE
        lines = Counter(file.read_text().split()) if file.exists() else Counter[str]()
        for token in tokens:
            result.count("question", token, asked[token])
            result.count("answer", token, answered[token])
            result.count("line", token, lines[token])
        # Accepted as its connection broke: nobody was promised it, but it is done once as well
        for token in (set(asked) | set(lines)) - set(tokens):
            result.count("question of nobody", token, asked[token])
            result.count("line of nobody", token, lines[token])
    return result


def _tokens(messages: Iterable[object], kind: str, before: str) -> Iterable[str]:
    for message in messages:
        if isinstance(message, dict) and message.get("type") == kind:
            text = text_of(message)
            if before in text:
                yield text.partition(before)[2].split()[0].rstrip(":")


def _figures(
    minutes: float, account: Account, faults: Faults, result: Result, growth: Growth
) -> list[Figure]:
    long = minutes >= MINUTES
    wait = statistics.quantiles(account.waits_s or [0.0, 0.0], n=100, method="inclusive")
    warm = growth.warm
    return [
        Figure("minutes of traffic", minutes, "min"),
        *(Figure(f"{name} kills or outages", count, "") for name, count in faults.counts.items()),
        *(Figure(f"turns: {kind}", count, "") for kind, count in account.done.items()),
        Figure("lost", result.lost, "", "<= 0"),
        Figure("doubled", result.doubled, "", "<= 0"),
        Figure("errors while nothing was broken", len(account.errors), "", "<= 0"),
        Figure("answers told as whole that were not", len(account.wrong), "", "<= 0"),
        Figure("connections cut by a fault", len(account.excused_errors), ""),
        Figure("a background turn, p50", wait[49], "s"),
        Figure("a background turn, p95", wait[94], "s"),
        Figure("memory after the warm-up", warm[0].memory_mb if warm else 0.0, "MB"),
        Figure("memory, slope", growth.memory_mb_per_hour, "MB/h", "<= 30" if long else ""),
        Figure("open files after the warm-up", warm[0].files if warm else 0, ""),
        Figure("open files, slope", growth.files_per_hour, "1/h", "<= 2" if long else ""),
    ]


def _print_course(growth: Growth) -> None:
    table = Table(title="the replica that was never killed")
    for column in ("at", "memory", "open files"):
        table.add_column(column, justify="right")
    for one in growth.course():
        table.add_row(f"{one.at_s / 60:.1f} min", f"{one.memory_mb:.1f} MB", f"{one.files}")
    Console(width=110).print(table)


def main() -> None:
    """Soak it, and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    minutes = QUICK_MINUTES if given.quick else given.minutes
    with (
        provider() as upstream,
        world(upstream.url, REPLICAS) as place,
    ):
        faults = Faults(place, upstream, QUICK_PAUSE_S if minutes < 10 else PAUSE_S)
        account = Account(faults.excuses)
        with Growth(lambda: place.replicas[0].process) as growth:
            result = asyncio.run(_play(place, faults, account, minutes))
    _print_course(growth)
    for line in (*result.details, *account.wrong, *account.errors)[:40]:
        print(line)
    if result.details or account.wrong or account.errors:
        spans = (
            f"{a - account.began_s:.0f} to {b - account.began_s:.0f} s" for a, b in faults.times
        )
        print("broken:", ", ".join(map(" ".join, zip(faults.names, spans, strict=True))))
    if place.redis is None:
        print("redis-server is not installed: one server, which is killed and started again.")
    peers = {
        "course": [asdict(one) for one in growth.course()],
        "replicas": len(place.replicas),
        "redis": place.redis is not None,
    }
    report("soak", _figures(minutes, account, faults, result, growth), peers)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
