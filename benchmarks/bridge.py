"""What the OpenAI door adds to a call, beside LiteLLM's proxy and langgraph-openai-serve.

The upstream is a simulator that answers at once, in a process of its own, as are the clients. Each
question is another one, and every call of Potluck passes its ledger, its cache and its history, as
it does at a real provider; LiteLLM has no limits, no cache and no database. Both run in one process
and want a key. The peers run in environments of their own.
"""

import argparse
import contextlib
from collections.abc import Mapping
from pathlib import Path

import psutil

from benchmarks import peers
from benchmarks.bridge_answers import CASES, try_out
from benchmarks.bridge_contests import Contest, Measured, Size
from benchmarks.bridge_processes import (
    MODEL,
    PEERS_MODEL,
    Server,
    clients,
    folder,
    litellm,
    openai_serve,
    postgres_mb,
    potluck,
    simulator,
)
from benchmarks.report import Figure, compare, report

LITELLM = ("litellm[proxy]==1.106.2",)
OPENAI_SERVE = ("langgraph-openai-serve==0.31.0", "langchain-openai==1.7.3")
QUICK = Size(rounds=1, alone=40, crowd=64, agent=20, streams=50)
FULL = Size(rounds=3, alone=200, crowd=480, agent=100, streams=200)
_ROWS = {
    "added, p50 (ms)": "added_p50_ms",
    "added, p99 (ms)": "added_p99_ms",
    "added to the first word, p50 (ms)": "first_p50_ms",
    "requests a second": "per_s",
    "its processor time for one (ms)": "cpu_ms",
    "failed": "failed",
    "the upstream alone, requests a second": "upstream_per_s",
}


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests")
    parser.add_argument(
        "--peers-dir", type=Path, default=peers.default_folder(),
        help="where the peers are installed (default: %(default)s)",
    )  # fmt: skip
    given = parser.parse_args()
    pythons, left_out = _installed(given.peers_dir)
    busy = psutil.getloadavg()[0] / (psutil.cpu_count() or 1)
    size = QUICK if given.quick else FULL
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(simulator())
        home = stack.enter_context(folder())
        contest = Contest(stack.enter_context(clients()), upstream, size)
        servers = {"potluck": stack.enter_context(potluck(home, upstream))}
        if "litellm" in pythons:
            proxy = litellm(pythons["litellm"], home, upstream)
            servers["litellm"] = stack.enter_context(proxy)
        passed = contest.pass_through(servers)
        memory_mb = {name: server.memory_mb for name, server in servers.items()}
        memory_mb["PostgreSQL"] = postgres_mb(home / "home")
        agent = contest.agent(servers["potluck"])
        answers = _answers(servers)
        if "litellm" in servers:
            servers["litellm"].process.terminate()
        streams = contest.crowd_of_streams(servers["potluck"])
        if "openai-serve" in pythons:
            with openai_serve(pythons["openai-serve"], upstream) as server:
                answers["langgraph-openai-serve"] = try_out(server.chat_url, PEERS_MODEL)
    _show(passed, answers, memory_mb)
    for name, reason in left_out.items():
        print(f"{name} is left out: {reason}.")
    figures = [Figure("others' work before (else the times are void)", busy, "of it", "< 0.3")]
    figures += [*_pass_through_figures(passed, memory_mb), *_agent_figures(agent, streams)]
    figures.append(_answer_figure(answers))
    told = {"pass_through": passed, "memory_mb": memory_mb, "agent": agent, "streams": streams}
    report("bridge", figures, {**told, "answers": answers, "left_out": left_out})


def _installed(place: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """The peers' interpreters, and why others are missing."""
    pythons: dict[str, Path] = {}
    left_out: dict[str, str] = {}
    wanted = {"litellm": ("litellm-proxy", LITELLM), "openai-serve": ("openai-serve", OPENAI_SERVE)}
    for name, (home, requirements) in wanted.items():
        try:
            pythons[name] = peers.python_with(home, requirements, place)
        except peers.PeerMissingError as error:
            left_out[name] = str(error)
    return pythons, left_out


def _answers(servers: Mapping[str, Server]) -> dict[str, dict[str, str]]:
    ours = servers["potluck"].chat_url
    found = {"potluck": try_out(ours, "potluck"), f"potluck: {MODEL}": try_out(ours, MODEL)}
    if "litellm" in servers:
        found["litellm"] = try_out(servers["litellm"].chat_url, MODEL)
    return found


def _show(
    passed: Mapping[str, Mapping[str, Measured]],
    answers: Mapping[str, Mapping[str, str]],
    memory_mb: Mapping[str, float],
) -> None:
    for kind in passed["potluck"]:
        rows = {title: [one[kind][key] for one in passed.values()] for title, key in _ROWS.items()}
        compare(f"pass-through: {kind}", list(passed), rows)
    compare("memory (MB)", list(memory_mb), {"after the pass-through": list(memory_mb.values())})
    table = {case.name: [one[case.name] for one in answers.values()] for case in CASES}
    compare("what is answered (!: no client can use it)", list(answers), table)


def _pass_through_figures(
    passed: Mapping[str, Mapping[str, Measured]], memory_mb: Mapping[str, float]
) -> list[Figure]:
    ours, theirs = passed["potluck"], passed.get("litellm", {})
    figures = []
    for kind, found in ours.items():
        figures += [
            Figure(f"{kind}: added, p50", found["added_p50_ms"], "ms"),
            Figure(f"{kind}: added, p99", found["added_p99_ms"], "ms"),
            Figure(f"{kind}: failed", found["failed"], "requests", "<= 0"),
        ]
        if kind not in theirs:
            continue
        other = theirs[kind]
        share = found["added_p50_ms"] / other["added_p50_ms"]
        figures.append(Figure(f"{kind}: that over what LiteLLM adds", share, "times", "<= 0.25"))
        times = found["per_s"] / other["per_s"]
        aim = ">= 4" if "clients" in kind else ""
        figures.append(Figure(f"{kind}: throughput over LiteLLM's", times, "times", aim))
        processor = other["cpu_ms"] / found["cpu_ms"]
        figures.append(Figure(f"{kind}: LiteLLM's processor time over ours", processor, "times"))
    figures += [Figure(f"memory: {name}", found, "MB") for name, found in memory_mb.items()]
    return figures


def _agent_figures(agent: Measured, streams: Measured) -> list[Figure]:
    many = f"{streams['streams']:g} streams of the agent at once"
    return [
        Figure("the agent adds to the first word, p50", agent["first_p50_ms"], "ms", "< 80"),
        Figure("the agent adds to a turn, p50", agent["added_p50_ms"], "ms"),
        Figure(f"{many}: failed", streams["failed"], "streams", "<= 0"),
        Figure(f"{many}: chunks", streams["chunks_per_s"], "a second"),
        Figure(f"{many}: first word, p50", streams["first_p50_ms"], "ms"),
        Figure(f"{many}: memory added", streams["added_mb"], "MB"),
    ]


def _answer_figure(answers: Mapping[str, Mapping[str, str]]) -> Figure:
    bad = sum(
        told.startswith("!")
        for name, table in answers.items()
        if name.startswith("potluck")
        for told in table.values()
    )
    return Figure("answers of ours that no client can use", bad, "answers", "<= 0")


if __name__ == "__main__":
    main()
