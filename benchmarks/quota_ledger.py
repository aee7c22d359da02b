"""How quick the quota ledger is: reservations per second and their latency, by callers.

A call's claim has six windows, as on a free tier: requests and tokens a minute, requests and
tokens a day, a refilling minute, calls under way. Callers share four accounts, as an agent with
several providers does. `with settle` is a call's whole cost: reserve, and settle afterwards.
"""

import argparse
import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from psycopg import AsyncConnection

from benchmarks.report import Figure, report
from potluck.database import database_url
from potluck.pool import Pool, migrate, pool_to
from potluck.quota.ledger import Claim, Held
from potluck.quota.postgres_ledger import PostgresLedger
from potluck.quota.windows import Amounts, Window
from potluck.settings import Settings

CALLERS = (1, 8, 64)
ACCOUNTS = 4
AIM_MS = 2
ESTIMATE = Amounts(input_tokens=900, output_tokens=300)
ACTUAL = Amounts(input_tokens=870, output_tokens=210)
_DEADLINE_S = 30.0


@dataclass(frozen=True, slots=True)
class _Timing:
    """Seconds that calls took, sorted; `over_s` is how long all of it lasted."""

    reserved_s: list[float]
    settled_s: list[float]
    over_s: float

    @property
    def per_second(self) -> float:
        return len(self.reserved_s) / self.over_s


async def measure(*, quick: bool) -> list[Figure]:
    """The figures, on the embedded PostgreSQL and on a separate one over TCP."""
    seconds = 0.5 if quick else 5.0
    home = _make_home()
    try:
        with database_url(Settings(potluck_home=home, database_url=None)) as url:
            figures = await _measure_on(url, "embedded PostgreSQL", seconds)
            async with _separate_postgres(home) as (separate_url, name):
                figures += await _measure_on(separate_url, name, seconds)
    finally:
        await asyncio.to_thread(shutil.rmtree, home)
    return figures


async def _measure_on(url: str, place: str, seconds: float) -> list[Figure]:
    await migrate(url)
    figures = []
    async with pool_to(url) as pool:
        await _play(pool, callers=8, seconds=0.5)
        for callers in CALLERS:
            name = f"ledger, {place}, {callers} caller{'s' if callers > 1 else ''}"
            alone = await _play(pool, callers=callers, seconds=seconds, settle=False)
            both = await _play(pool, callers=callers, seconds=seconds)
            aim = f"<= {AIM_MS}" if callers == 1 else ""
            figures += [
                Figure(f"{name}: reservations", alone.per_second, "per s"),
                Figure(f"{name}: reserve p50", _share(alone.reserved_s, 0.5), "ms", aim),
                Figure(f"{name}: reserve p99", _share(alone.reserved_s, 0.99), "ms"),
                Figure(f"{name}: calls, with settle", both.per_second, "per s"),
                Figure(f"{name}: with settle p50", _share(both.settled_s, 0.5), "ms", aim),
                Figure(f"{name}: with settle p99", _share(both.settled_s, 0.99), "ms"),
            ]
    return figures


async def _play(pool: Pool, *, callers: int, seconds: float, settle: bool = True) -> _Timing:
    ledger = PostgresLedger(pool, timeout_s=_DEADLINE_S)
    reserved_s: list[float] = []
    settled_s: list[float] = []
    open_calls: list[Held] = []
    begun = time.perf_counter()

    async def call_on(claim: Claim) -> None:
        while (at := time.perf_counter()) < begun + seconds:
            held = await ledger.reserve(claim)
            reserved_s.append(time.perf_counter() - at)
            if settle:
                await ledger.settle(held, ACTUAL)
                settled_s.append(time.perf_counter() - at)
            else:
                open_calls.append(held)

    await asyncio.gather(*(call_on(_claim(number % ACCOUNTS)) for number in range(callers)))
    timing = _Timing(sorted(reserved_s), sorted(settled_s), time.perf_counter() - begun)
    # No server has so many calls open at its end: they would have to be given back in one go.
    for held in open_calls:
        await ledger.settle(held, ACTUAL)
    await ledger.aclose()
    return timing


def _claim(account: int) -> Claim:
    """Windows that never get full: it is admission that is measured, not refusal."""
    name = f"provider-{account}:key"
    return Claim(
        name,
        (
            Window(f"{name} requests/minute", "requests", "minute", 1e9),
            Window(f"{name} tokens/minute", "tokens", "minute", 1e12),
            Window(f"{name} requests/day", "requests", "day", 1e9),
            Window(f"{name} tokens/day", "tokens", "day", 1e12, "America/Los_Angeles"),
            Window(f"{name} refill", "requests", "minute", 1e9, "refill"),
            Window(f"{name} calls", "concurrent", "call", 1e9),
        ),
        ESTIMATE,
    )


def _share(sorted_s: list[float], share: float) -> float:
    return sorted_s[min(len(sorted_s) - 1, int(len(sorted_s) * share))] * 1000


@asynccontextmanager
async def _separate_postgres(embedded_home: Path) -> AsyncIterator[tuple[str, str]]:
    """A server of its own over TCP: the system's programs, else those of the embedded one."""
    embedded = _postmaster(embedded_home)
    programs = _folder_of(shutil.which("initdb") or embedded.exe())
    # PostgreSQL does not run as root; the embedded one's user will do.
    user = embedded.username() if os.geteuid() == 0 else None
    home, port = _make_home(), _free_port()
    data = home / "data"
    if user is not None:
        shutil.chown(home, user)
    options = f"-p {port} -h 127.0.0.1 -k {home}"
    start = ["-D", str(data), "-l", str(home / "log"), "-w", "-o", options, "start"]
    make = ["-D", str(data), "-U", "postgres", "-A", "trust"]
    try:
        await _run([str(programs / "initdb"), *make], user)
        await _run([str(programs / "pg_ctl"), *start], user)
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        async with await AsyncConnection.connect(url) as connection:
            version = connection.info.server_version // 10_000
        yield url, f"separate PostgreSQL {version} over TCP"
        await _run([str(programs / "pg_ctl"), "-D", str(data), "-m", "fast", "stop"], user)
    finally:
        await asyncio.to_thread(shutil.rmtree, home)


def _folder_of(program: str) -> Path:
    return Path(program).resolve().parent


def _postmaster(home: Path) -> psutil.Process:
    return psutil.Process(int((home / "postgres" / "postmaster.pid").read_text().split()[0]))


async def _run(command: list[str], user: str | None) -> None:
    await asyncio.to_thread(
        subprocess.run, command, user=user, check=True, stdout=subprocess.DEVNULL, cwd="/"
    )


def _make_home() -> Path:
    """A folder that PostgreSQL's own user may enter."""
    home = Path(tempfile.mkdtemp(prefix="potluck-bench-"))
    home.chmod(0o755)
    return home


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    report("quota_ledger", asyncio.run(measure(quick=parser.parse_args().quick)), {})
