"""What a client notices of failing providers: Potluck beside LiteLLM's Router and LangChain's own.

Five simulated providers answer agent turns; one call in five to the first three goes wrong, in
every way there is (`failover_scenario` tells how). All contenders ask them in the same order and
give each the same time. LiteLLM runs in an environment of its own.
"""

import argparse
import asyncio
from collections.abc import Mapping
from pathlib import Path

from benchmarks import peers
from benchmarks.failover_contests import Measured, Size, measure_litellm, measure_ours
from benchmarks.report import Figure, compare, report

QUICK = Size(turns=100, agent_turns=20, calls=40, dead_calls=10, limit_s=0.5)
FULL = Size(turns=1000, agent_turns=200, calls=300)
# A probe is the time limit, and half of it again for what else happens meanwhile
PROBE = 1.5
_ROWS = {
    "turns": ("chaos", "turns"),
    "turns that failed": ("chaos", "failed"),
    "turns with repeated or foreign words": ("chaos", "doubled_words"),
    "turns with lost words": ("chaos", "lost_words"),
    "turns with a wrong tool call": ("chaos", "wrong_calls"),
    "turns with changed spacing": ("chaos", "changed_spacing"),
    "faults met": ("chaos", "faults"),
    "continuations asked for": ("chaos", "continued"),
    "a turn, p50 (ms)": ("chaos", "p50_ms"),
    "a turn, p95 (ms)": ("chaos", "p95_ms"),
    "added to a plain call, p50 (ms)": ("added", "plain", "added_p50_ms"),
    "added to a streamed call, p50 (ms)": ("added", "streamed", "added_p50_ms"),
    "its processor time, plain, p50 (ms)": ("added", "plain", "added_cpu_ms"),
    "its processor time, streamed, p50 (ms)": ("added", "streamed", "added_cpu_ms"),
    "lost to one that refuses (s)": ("dead", "refused_lost_s"),
    "lost to one that hangs (s)": ("dead", "hanging_lost_s"),
    "times the hanging one was asked": ("dead", "hanging_asked"),
    "calls that failed meanwhile": ("dead", "failed"),
}


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the turns")
    parser.add_argument(
        "--peers-dir", type=Path, default=peers.default_folder(),
        help="where LiteLLM is installed (default: %(default)s)",
    )  # fmt: skip
    arguments = parser.parse_args()
    size = QUICK if arguments.quick else FULL
    measured = asyncio.run(measure_ours(size))
    try:
        measured["litellm"] = measure_litellm(size, arguments.peers_dir)
    except peers.PeerMissingError as error:
        measured["litellm"] = {"left_out": str(error)}
    _show(measured)
    report("failover", _figures(size, measured), measured)


def _show(measured: Mapping[str, Measured]) -> None:
    rows = {
        name: [_shown(_value(found, path)) for found in measured.values()]
        for name, path in _ROWS.items()
    }
    compare("failover: side by side", list(measured), rows)


def _value(found: object, path: tuple[str, ...]) -> object:
    """The value at a path of keys; None where a contender was not measured."""
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _shown(value: object) -> object:
    """Counts by kind as their sum."""
    return sum(value.values()) if isinstance(value, dict) else value


def _figures(size: Size, measured: Mapping[str, Measured]) -> list[Figure]:
    ours, theirs = measured["potluck"], measured["litellm"]
    figures = _chaos_figures(f"{size.turns:,} turns", ours["chaos"])
    figures += _chaos_figures(
        f"{size.agent_turns:,} turns of the agent", measured["agent"]["chaos"]
    )
    for name, found in ours["added"].items():
        figures.append(Figure(f"added to a {name} call, p50", found["added_p50_ms"], "ms"))
        if "added" in theirs:
            share = found["added_p50_ms"] / theirs["added"][name]["added_p50_ms"]
            figures.append(
                Figure(f"that over what LiteLLM's Router adds, {name}", share, "times", "< 0.5")
            )
    dead, over = ours["dead"], f"over {size.dead_calls} calls"
    aim = f"<= {size.dead_limit_s * PROBE:g}"
    return [
        *figures,
        Figure(f"a hanging provider was asked {over}", dead["hanging_asked"], "times", "<= 1"),
        Figure(f"lost to it {over}", dead["hanging_lost_s"], "s", aim),
        Figure(f"lost to one that refuses {over}", dead["refused_lost_s"], "s", aim),
    ]


def _chaos_figures(name: str, chaos: Measured) -> list[Figure]:
    return [
        Figure(f"{name}: failed", chaos["failed"], "turns", "<= 0"),
        Figure(f"{name}: repeated or foreign words", chaos["doubled_words"], "turns", "<= 0"),
        Figure(f"{name}: lost words", chaos["lost_words"], "turns", "<= 0"),
        Figure(f"{name}: wrong tool call", chaos["wrong_calls"], "turns", "<= 0"),
        Figure(f"{name}: p50", chaos["p50_ms"], "ms"),
        Figure(f"{name}: p95", chaos["p95_ms"], "ms"),
    ]


if __name__ == "__main__":
    main()
