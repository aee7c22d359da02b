"""Servers killed one after another under load: how soon others take over, what is lost or doubled.

Each run appends one line to a file of its own with a tool, then answers. The scripted model does
what a good one would: told that a call was cut off, it looks whether the line is there.
"""

import asyncio
import random
import re
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import httpx

from benchmarks.replicas_stage import Cluster, Replica
from nodes.deeds import CUT_OFF
from potluck.simulator.reply import Delay, Reply
from potluck.simulator.request import ModelRequest
from potluck.simulator.script import Script

CLIENTS = 12
LINE = "done"
CALL_TIMEOUT_S = 30.0
SETTLED_TIMEOUT_S = 120.0
POLL_S = 0.1
# Between the last server's coming back and the next kill
CALM_S = (0.2, 1.2)
# Before the names of those whose request was cut: the database tells whether they were taken
UNSURE = "?"
_NAME = re.compile(r"note-[0-9a-f]+")
_HELD = """
SELECT run_id FROM runs WHERE status = 'running' AND claimed_by LIKE %(server)s
"""
_MOVED = """
SELECT run_id FROM runs
WHERE run_id = ANY(%(runs)s) AND (status NOT IN ('pending', 'running')
    OR status = 'running' AND claimed_by NOT LIKE %(server)s)
"""


@dataclass(slots=True)
class Outcome:
    """What came of all kills: times in seconds, runs by their names."""

    kills: int = 0
    taken_over_s: list[float] = field(default_factory=list)
    back_s: list[float] = field(default_factory=list)
    runs: int = 0
    cut_requests: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)


def script() -> Script:
    """The model of these runs."""
    made = Script()
    made.on(_append)
    return made


def _append(request: ModelRequest) -> Reply | None:
    found = _NAME.search(request.last_user_text)
    if found is None:
        return None
    path = f"{found[0]}.txt"
    slow = Delay(first_byte_s=random.uniform(0.1, 0.6))
    write = Reply.call("write_file", path=path, text=f"{LINE}\n", append=True)
    if not request.tool_results:
        return write
    last = str(request.tool_results[-1].text)
    if CUT_OFF in last:
        return Reply.call("list_files")
    if len(request.tool_results) > 1 and CUT_OFF in str(request.tool_results[-2].text):
        return Reply(text="It was done.", delay=slow) if path in last else write
    return Reply(text="It is done.", delay=slow)


async def kill_again_and_again(cluster: Cluster, kills: int, *, limit_s: float) -> Outcome:
    """Kill servers under load; at the end every run must have come to its end, once.

    Fewer than `kills` when that takes longer than `limit_s`.
    """
    outcome = Outcome()
    ends_s = time.monotonic() + limit_s
    stopped = asyncio.Event()
    asked: dict[str, str] = {}
    async with httpx.AsyncClient(base_url=cluster.url, timeout=CALL_TIMEOUT_S) as http:
        clients = [
            asyncio.create_task(_client(http, stopped, asked, outcome)) for _ in range(CLIENTS)
        ]
        while outcome.kills < kills and time.monotonic() < ends_s:
            await asyncio.sleep(random.uniform(*CALM_S))
            await _kill_one(cluster, outcome)
        stopped.set()
        await asyncio.gather(*clients)
    await _settled(cluster)
    await _judge(cluster, asked, outcome)
    return outcome


async def _client(
    http: httpx.AsyncClient, stopped: asyncio.Event, asked: dict[str, str], outcome: Outcome
) -> None:
    while not stopped.is_set():
        thread_id, name = str(uuid4()), f"note-{uuid4().hex}"
        body = {
            "assistant_id": "agent",
            "input": {"messages": [{"role": "user", "content": f"Append to {name}"}]},
        }
        try:
            created = await http.post(f"/threads/{thread_id}/runs", json=body)
        except httpx.HTTPError:
            outcome.cut_requests += 1
            asked[thread_id] = f"{UNSURE}{name}"
            continue
        if created.status_code >= 500:
            outcome.cut_requests += 1
            asked[thread_id] = f"{UNSURE}{name}"
            continue
        asked[thread_id] = name
        await _ended(http, f"/threads/{thread_id}/runs/{created.json()['run_id']}", stopped)


async def _ended(http: httpx.AsyncClient, path: str, stopped: asyncio.Event) -> None:
    while not stopped.is_set():
        try:
            run = await http.get(path)
            if run.status_code == 200 and run.json()["status"] not in ("pending", "running"):
                return
        except httpx.HTTPError:
            # Asked at the server that was killed: ask again
            pass
        await asyncio.sleep(POLL_S * 2)


async def _kill_one(cluster: Cluster, outcome: Outcome) -> None:
    """Kill a server that is at work; wait until its runs are taken over and it is back."""
    victim, held = await _busy_one(cluster)
    victim.signal(signal.SIGKILL)
    killed_s = time.monotonic()
    await asyncio.to_thread(victim.wait)
    outcome.kills += 1
    back = asyncio.create_task(asyncio.to_thread(victim.start))
    await _taken_over(cluster, held, outcome, killed_s)
    await back
    outcome.back_s.append(time.monotonic() - killed_s)


async def _busy_one(cluster: Cluster) -> tuple[Replica, "_Held"]:
    while True:
        candidates = cluster.running
        random.shuffle(candidates)
        for one in candidates:
            assert one.process is not None
            server = f"%-{one.process.pid}-%"
            rows = await asyncio.to_thread(cluster.read, _HELD, {"server": server})
            if rows:
                return one, _Held(server, [str(run) for (run,) in rows])
        await asyncio.sleep(POLL_S)


@dataclass(frozen=True, slots=True)
class _Held:
    """The runs that a server was at work on."""

    server: str
    runs: Sequence[str]


async def _taken_over(cluster: Cluster, held: _Held, outcome: Outcome, killed_s: float) -> None:
    waiting = set(held.runs)
    # Those that had ended before the kill took effect were not taken over
    waiting -= await _moved(cluster, held.server, waiting)
    while waiting:
        if time.monotonic() - killed_s > SETTLED_TIMEOUT_S:
            return
        moved = await _moved(cluster, held.server, waiting)
        outcome.taken_over_s += [time.monotonic() - killed_s] * len(moved)
        waiting -= moved
        await asyncio.sleep(POLL_S)


async def _moved(cluster: Cluster, server: str, runs: set[str]) -> set[str]:
    values = {"runs": list(runs), "server": server}
    return {str(run) for (run,) in await asyncio.to_thread(cluster.read, _MOVED, values)}


async def _settled(cluster: Cluster) -> None:
    """Wait until no run is at work any more."""
    query = "SELECT count(*) FROM runs WHERE status IN ('pending', 'running')"
    deadline = time.monotonic() + SETTLED_TIMEOUT_S
    while time.monotonic() < deadline:
        if (await asyncio.to_thread(cluster.read, query))[0][0] == 0:
            return
        await asyncio.sleep(POLL_S)


async def _judge(cluster: Cluster, asked: dict[str, str], outcome: Outcome) -> None:
    """Hold every run against what it was to do: one line, one question, one answer at the end."""
    rows = await asyncio.to_thread(cluster.read, "SELECT thread_id, status FROM runs")
    status = {str(thread_id): str(status) for thread_id, status in rows}
    async with httpx.AsyncClient(base_url=cluster.url, timeout=CALL_TIMEOUT_S) as http:
        for thread_id, noted in asked.items():
            if noted.startswith(UNSURE) and thread_id not in status:
                continue
            outcome.runs += 1
            name = noted.removeprefix(UNSURE)
            files = list(cluster.workspaces.glob(f"*/{name}.txt"))
            lines = [line for file in files for line in file.read_text().splitlines()]
            said = await _kinds(http, thread_id)
            if status.get(thread_id) != "success" or not lines or said[-1:] != ["ai"]:
                outcome.lost.append(name)
            if len(lines) > 1 or said.count("human") > 1:
                outcome.doubled.append(name)


async def _kinds(http: httpx.AsyncClient, thread_id: str) -> list[str]:
    state = (await http.get(f"/threads/{thread_id}/state")).json()
    return [str(message["type"]) for message in (state.get("values") or {}).get("messages", [])]
