"""The contests of the failover benchmark: who takes part, on which simulator, and what counts."""

import asyncio
import functools
import json
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.runnables import Runnable

from benchmarks import peers
from benchmarks.failover_langchain import (
    Agent,
    agent,
    fallbacks,
    make_chain,
    potluck,
    vendor_model,
)
from benchmarks.failover_scenario import HANGING
from benchmarks.failover_simulator import PROJECT_DIR, SimulatorProcess, simulator
from benchmarks.failover_timing import QUESTION, Total, added_ms, total
from benchmarks.failover_turns import (
    Contender,
    Outcome,
    Place,
    Turn,
    judge,
    play_turn,
    run_rounds,
    summarize,
)
from potluck.providers.chain import Call
from potluck.providers.vendors import close_chat_model

LITELLM = ("litellm==1.106.2", "mcp==2.3.0")  # it imports mcp as soon as a call offers a tool
LITELLM_TIMEOUT_S = 900.0
CALM_LIMIT_S = 30.0

type Measured = dict[str, Any]  # Any: figures of many shapes, on their way into JSON
type Make = Callable[..., AbstractAsyncContextManager[Contender]]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured, and how long a provider is waited for.

    `limit_s` holds for a whole plain answer, and for each chunk of a stream; `dead_limit_s` is
    that of the contest with a dead provider.
    """

    turns: int
    agent_turns: int
    calls: int
    dead_calls: int = 100
    limit_s: float = 0.7
    dead_limit_s: float = 0.2


async def measure_ours(size: Size) -> dict[str, Measured]:
    """Potluck's chain, plain `with_fallbacks`, and the agent; each on a simulator of its own."""
    measured: dict[str, Measured] = {}
    with simulator() as running:
        # Imports and the like happen once in the life of a server
        async with potluck(running.places(), limit_s=CALM_LIMIT_S):
            pass
        measured["potluck"] = {"added": await _added(size, running)}
    with simulator() as running:
        measured["potluck"] |= await _contest(size, potluck, running)
    with simulator() as running:
        measured["with_fallbacks"] = await _contest(size, fallbacks, running)
    with simulator() as running:
        measured["agent"] = await _agent_contest(size, running)
    return measured


def measure_litellm(size: Size, folder: Path) -> Measured:
    """The same for LiteLLM's Router. Raises PeerMissingError when it cannot be had here."""
    python = peers.python_with("litellm", LITELLM, folder)
    with simulator() as running:
        given = asdict(size) | {
            "chaos": [asdict(place) for place in running.places()],
            "calm": [asdict(place) for place in _calm_places(running)],
            "dead": {
                name: [asdict(place) for place in places]
                for name, places in _dead_places(running).items()
            },
        }
        line = peers.run(
            python, "benchmarks.failover_litellm", json.dumps(given),
            cwd=PROJECT_DIR, timeout_s=LITELLM_TIMEOUT_S,
        )  # fmt: skip
        told: Measured = json.loads(line)
        return {
            "version": LITELLM[0],
            "chaos": told["chaos"] | running.counts(),
            "added": told["added"],
            "dead": _lost({n: Total(**t) for n, t in told["totals"].items()}, running),
        }


async def _contest(size: Size, make: Make, running: SimulatorProcess) -> Measured:
    turns = [Turn(number) for number in range(1, size.turns + 1)]
    opener = functools.partial(make, running.places(), limit_s=size.limit_s)
    # What the simulator saw is told too: nobody shall win by meeting no fault
    chaos = summarize(await run_rounds(opener, play_turn, turns)) | running.counts()
    totals = {
        name: await total(
            functools.partial(make, places, limit_s=size.dead_limit_s, warm=False),
            size.dead_calls,
        )
        for name, places in _dead_places(running).items()
    }
    return {"chaos": chaos, "dead": _lost(totals, running)}


async def _agent_contest(size: Size, running: SimulatorProcess) -> Measured:
    async def play(contender: Agent, turn: Turn) -> Outcome:
        return await judge(turn, lambda: contender.answer(turn))

    turns = [Turn(number) for number in range(1, size.agent_turns + 1)]
    opener = functools.partial(agent, running.places(), limit_s=size.limit_s)
    return {"chaos": summarize(await run_rounds(opener, play, turns)) | running.counts()}


async def _added(size: Size, running: SimulatorProcess) -> Measured:
    """What the chain adds to a call by the class on which it stands."""
    places = _calm_places(running)
    chain = make_chain(places, limit_s=CALM_LIMIT_S)
    bare = vendor_model(places[0], limit_s=CALM_LIMIT_S)
    messages = [HumanMessage(QUESTION)]

    async def read(model: Runnable[LanguageModelInput, BaseMessage]) -> None:
        async for _ in model.astream(messages):
            pass

    try:
        plain = await added_ms(
            lambda: bare.ainvoke(messages),
            lambda: chain.runnable(Call()).ainvoke(messages),
            size.calls,
        )
        streamed = await added_ms(
            lambda: read(bare), lambda: read(chain.runnable(Call())), size.calls
        )
    finally:
        await asyncio.gather(chain.aclose(), close_chat_model(bare))
    return {"plain": plain, "streamed": streamed}


def _lost(totals: Mapping[str, Total], running: SimulatorProcess) -> Measured:
    """The time that a dead provider in front cost, and how often the hanging one was asked."""
    calm_s = totals["none"].seconds
    return {
        "refused_lost_s": round(totals["refused"].seconds - calm_s, 3),
        "hanging_lost_s": round(totals["hanging"].seconds - calm_s, 3),
        "hanging_asked": running.counts()["calls"].get(HANGING, 0),
        "failed": sum(one.failed for one in totals.values()),
    }


def _calm_places(running: SimulatorProcess) -> Sequence[Place]:
    return [running.calm_place(f"calm{number}") for number in range(1, 6)]


def _dead_places(running: SimulatorProcess) -> Mapping[str, Sequence[Place]]:
    """A healthy provider alone, behind one that refuses connections, and behind one that hangs."""
    healthy = running.calm_place("calm")
    refused = Place("refused", "openai", f"http://127.0.0.1:{_closed_port()}/v1", "none")
    return {
        "none": [healthy],
        "refused": [refused, healthy],
        "hanging": [running.calm_place(HANGING), healthy],
    }


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
