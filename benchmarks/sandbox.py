"""What running code safely costs: Potluck's sandbox beside running it bare, and beside a peer.

Cells against a bare ipykernel, commands against `bwrap` alone and LangChain's ShellToolMiddleware;
then HumanEval's canonical solutions, which must pass, and controls, which must not; then every
escape of `sandbox_escapes`. HumanEval is left out when its file is not given.
"""

import argparse
import asyncio
from pathlib import Path

from benchmarks import peers
from benchmarks.report import Figure, compare, report
from benchmarks.sandbox_contests import Measured, Size, measure_ours, measure_shell_middleware
from benchmarks.sandbox_humaneval import read_problems
from potluck.errors import SandboxError

QUICK = Size(cells=100, commands=20, starts=2, problems=40)
FULL = Size(cells=1_000, commands=200, starts=10, problems=164)
_ROWS = {
    "a cell, p50 (ms)": "cell_p50_ms",
    "a cell, p95 (ms)": "cell_p95_ms",
    "first cell, nothing ready (ms)": "cold_ms",
    "first cell, from the pool (ms)": "warm_ms",
    "a session, idle (MB)": "idle_mb",
    "a command, p50 (ms)": "command_p50_ms",
    "a command, p95 (ms)": "command_p95_ms",
    "50 MB without a newline (ms)": "flood_ms",
    "its end is kept": "flood_end_kept",
}


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the cells and commands")
    parser.add_argument("--humaneval", type=Path, help="the file HumanEval.jsonl.gz")
    parser.add_argument(
        "--peers-dir", type=Path, default=peers.default_folder(),
        help="where LangChain's middleware is installed (default: %(default)s)",
    )  # fmt: skip
    arguments = parser.parse_args()
    size = QUICK if arguments.quick else FULL
    problems = read_problems(arguments.humaneval, size.problems) if arguments.humaneval else []
    try:
        measured = asyncio.run(measure_ours(size, problems))
    except SandboxError as error:
        parser.exit(1, f"There is no sandbox to measure here. {error}\n")
    try:
        measured["shell middleware"] = measure_shell_middleware(size, arguments.peers_dir)
    except peers.PeerMissingError as error:
        measured["shell middleware"] = {"left_out": str(error)}
    rows = {name: [found.get(key) for found in measured.values()] for name, key in _ROWS.items()}
    compare("sandbox: side by side", list(measured), rows)
    report("sandbox", _figures(measured), measured)


def _figures(measured: dict[str, Measured]) -> list[Figure]:
    ours, bare = measured["potluck"], measured["bare"]
    cell, command = ours["cell_p50_ms"], ours["command_p50_ms"]
    figures = [
        Figure("a cell, p50", cell, "ms"),
        Figure("that over a bare ipykernel's", cell / bare["cell_p50_ms"], "times", "<= 1.3"),
        Figure("first cell, nothing ready, p50", ours["cold_ms"], "ms"),
        Figure("first cell, from the pool, p50", ours["warm_ms"], "ms", "< 50"),
        Figure("memory of an idle session", ours["idle_mb"], "MB"),
        Figure("a command, p50", command, "ms"),
        Figure("that over bwrap alone", command / measured["bwrap"]["command_p50_ms"], "times"),
    ]
    theirs = measured["shell middleware"].get("command_p50_ms")
    if theirs:
        figures.append(Figure("that over LangChain's middleware", command / theirs, "times", "< 1"))
    figures.append(Figure("escapes held", ours["held"], "escapes", f">= {ours['tried']}"))
    if "solved" in ours:
        total = ours["problems"]
        figures += [
            Figure("HumanEval: canonical solutions that pass", ours["solved"], "", f">= {total}"),
            Figure("HumanEval: controls that pass", ours["controls_solved"], "", "<= 0"),
            Figure("HumanEval: a problem, p50", ours["problem_p50_ms"], "ms"),
        ]
    return figures


if __name__ == "__main__":
    main()
