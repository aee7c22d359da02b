"""How much of pooled free quota is turned into answers: Potluck, LiteLLM's Router, LangChain's own.

Five simulated tiers with limits of their own (`quota_tiers` tells them, and how the theoretical
maximum is computed) are asked for half, all and twice of what they can give, evenly and in bursts.
Every contender plays against a simulator of its own, and every contest of it under a key of its
own, so that they share no quota; Potluck plays in one round and the others, two at a time, in the
next ones. Counted are: requests that a tier admitted while demand lasted and that reached their
client, as a share of the maximum; refusals (429) that the tiers sent; requests that failed for the
client. A client of Potluck is told when its
work goes on, as a parked run of the server is, and asks again then. Other clients have failed when
they get an error; in the rows `client comes back` they ask again when they were told to.

The ledger's own figures and the lateness of a parked run come from `quota_ledger` and
`quota_parking`. With `--quick`, time runs faster, in the simulator and in the contenders' event
loops. LiteLLM counts by the real clock, so it is left out then.
"""

import argparse
import asyncio
import time
from collections.abc import Mapping, Sequence
from itertools import batched
from pathlib import Path

from benchmarks import peers, quota_ledger, quota_parking
from benchmarks.quota_cells import Run
from benchmarks.quota_contests import Contender, ContestError, Measured, hold
from benchmarks.quota_tiers import Cell
from benchmarks.report import Figure, compare, report

LITELLM = ("litellm==1.106.2", "mcp==2.3.0")
STRATEGIES = ("shuffle", "shuffle+limits", "usage-v2", "latency", "least-busy")
QUICK_LEFT_OUT = "--quick runs time faster, and LiteLLM counts by the real clock"

KNOWN = tuple(Cell(load, shape) for shape in ("steady", "bursts") for load in (0.5, 1, 2))
UNKNOWN = (Cell(1, "steady", known=False), Cell(2, "steady", known=False))
# A loop that is later than this sends requests when the tiers have moved on
MOST_LAG_MS = 500.0
# A processor each: with more, their loops were up to two seconds late
AT_ONCE = 2
VALID = f"<= {MOST_LAG_MS:g}"
COMING_BACK = (Cell(2, "steady", comes_back=True), Cell(2, "bursts", comes_back=True))
UNKNOWN_COMING_BACK = (Cell(2, "steady", known=False, comes_back=True),)
OVERLOAD = (Cell(2, "steady"), Cell(2, "bursts"))
# One process each: whoever waits asks again and again, which keeps a processor busy
PARTS = (
    (Cell(0.5, "steady"), Cell(0.5, "bursts"), Cell(1, "steady"), Cell(1, "bursts"), UNKNOWN[0]),
    (OVERLOAD[0],),
    (OVERLOAD[1],),
    (UNKNOWN[1],),
)
QUICK_PARTS = ((OVERLOAD[0],), (UNKNOWN[1],))

_FIGURES = {
    "answered in time, % of the maximum": "goodput",
    "refusals (429)": "refusals",
    "most by one window in its period": "worst_in_window",
    "failed for the client": "failed",
    "came back, and was answered": "waited",
    "asked, times": "tries",
    "answer after, p50 (s)": "p50_s",
    "answer after, p95 (s)": "p95_s",
}
_BUSY = {"share of a processor": "cpu_share", "event loop late, p99 (ms)": "loop_lag_p99_ms"}


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="Potluck and LangChain in fast time")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="play these, and measure nothing else"
    )
    parser.add_argument(
        "--peers-dir", type=Path, default=peers.default_folder(),
        help="where LiteLLM is installed (default: %(default)s)",
    )  # fmt: skip
    arguments = parser.parse_args()
    left_out: dict[str, str] = {}
    rounds = _rounds(arguments.peers_dir, left_out, quick=arguments.quick)
    if arguments.only:
        rounds = [[one for one in some if one.name in arguments.only] for some in rounds]
    asyncio.run(_measure(rounds, left_out, quick=arguments.quick, alone=bool(arguments.only)))


async def _measure(
    rounds: Sequence[Sequence[Contender]],
    left_out: Mapping[str, str],
    *,
    quick: bool,
    alone: bool,
) -> None:
    measured: dict[str, Measured] = {}
    try:
        for contenders in rounds:
            measured |= await hold(contenders, _run(quick=quick))
    except ContestError as error:
        raise SystemExit(str(error)) from error
    _show(measured)
    for name, reason in left_out.items():
        print(f"{name} is left out: {reason}.")
    figures = _goodput_figures(measured.get("potluck"))
    if not alone:
        # Afterwards, as each wants the machine for itself
        figures += await _other_figures(quick=quick)
    report("quota", figures, {**measured, "left_out": dict(left_out)})


def _run(*, quick: bool) -> Run:
    if quick:
        return Run(run_s=60, cool_down_s=90, speed=6, started_at=time.time())
    return Run(run_s=180, cool_down_s=240, started_at=time.time())


def _rounds(folder: Path, left_out: dict[str, str], *, quick: bool) -> list[list[Contender]]:
    """Who plays at the same time."""
    ours = QUICK_PARTS if quick else PARTS
    potluck = [Contender("potluck", "benchmarks.quota_potluck", cells) for cells in ours]
    plain = (OVERLOAD[0],) if quick else (*KNOWN, *COMING_BACK)
    fallbacks = Contender("with_fallbacks", "benchmarks.quota_fallbacks", plain)
    if quick:
        left_out["litellm"] = QUICK_LEFT_OUT
        left_out["the lateness of a parked run"] = "--quick has no time for four starts of a server"
        return [[*potluck, fallbacks]]
    try:
        python = peers.python_with("litellm", LITELLM, folder)
    except peers.PeerMissingError as error:
        left_out["litellm"] = str(error)
        return [potluck, [fallbacks]]
    routers = []
    for strategy in STRATEGIES:
        cells = (*KNOWN, *COMING_BACK)
        if strategy == "shuffle":
            cells = (*cells, *UNKNOWN, *UNKNOWN_COMING_BACK)
        name = f"litellm {strategy}"
        routers.append(Contender(name, "benchmarks.quota_litellm", cells, strategy, python))
    return [potluck, *map(list, batched((fallbacks, *routers), AT_ONCE))]


def _show(measured: Mapping[str, Measured]) -> None:
    main = [cell.name for cell in KNOWN]
    for title, key in _FIGURES.items():
        rows = {
            name: [found["cells"].get(cell, {}).get(key) for cell in main]
            for name, found in measured.items()
        }
        compare(title, main, rows)
    cells = dict.fromkeys(cell for found in measured.values() for cell in found["cells"])
    for cell in cells:
        if cell not in main:
            rows = {
                name: [found["cells"][cell][key] for key in _FIGURES.values()]
                for name, found in measured.items()
                if cell in found["cells"]
            }
            compare(cell, list(_FIGURES), rows)
    busy = {name: [found[key] for key in _BUSY.values()] for name, found in measured.items()}
    compare("how busy the contenders were", list(_BUSY), busy)
    late = [name for name, found in measured.items() if found["loop_lag_p99_ms"] > MOST_LAG_MS]
    if late:
        print(f"The machine was too busy: what is told of {', '.join(late)} is worth nothing.")


def _goodput_figures(ours: Measured | None) -> list[Figure]:
    if ours is None:
        return []
    lag_ms = ours["loop_lag_p99_ms"]
    figures = [Figure("event loop late, p99 (else the rest is void)", lag_ms, "ms", VALID)]
    for name, cell in ours["cells"].items():
        unknown = "unknown" in name
        overload = name.startswith("2x") and not unknown
        figures += [
            Figure(f"{name}: goodput", cell["goodput"], "%", ">= 97" if overload else ""),
            Figure(f"{name}: failed", cell["failed"], "requests", "<= 0"),
            Figure(f"{name}: waited, and finished", cell["waited"], "requests"),
        ]
        if unknown:
            worst = cell["worst_in_window"]
            figures.append(Figure(f"{name}: 429s of one window", worst, "refusals", "<= 1"))
        else:
            figures.append(Figure(f"{name}: 429s", cell["refusals"], "refusals", "<= 0"))
    return figures


async def _other_figures(*, quick: bool) -> list[Figure]:
    figures = await quota_ledger.measure(quick=quick)
    if quick:
        return figures
    late = await asyncio.to_thread(quota_parking.measure_restart)
    return [
        *figures,
        Figure("a parked run over a restart: late", late.due_later_s, "s", "< 5"),
        Figure("due while the server was down: late", late.due_while_down_s, "s", "< 5"),
        Figure("times the model was asked, most", max(late.calls), "times", "<= 2"),
    ]


if __name__ == "__main__":
    main()
