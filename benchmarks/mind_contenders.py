"""Potluck and its peers on the same tasks and the same scripted model, each request counted."""

import asyncio
import contextlib
import json
import os
import subprocess
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.mind_stage import PeerStage, served
from benchmarks.peers import PeerMissingError
from potluck.evaluation.models import ModelKind, scripted_model
from potluck.evaluation.record import Record, Result
from potluck.evaluation.simulated import PROVIDERS, simulated_model, simulated_stage
from potluck.evaluation.stage import Scene
from potluck.evaluation.suite import Player, play
from potluck.evaluation.task import Task

PEERS = ("create_agent", "deepagents", "plan_and_execute")
REQUIREMENTS = (
    "deepagents==0.7.32",
    "langchain==1.4.7",
    "langgraph==1.2.22",
    "langchain-openai==1.7.3",
)
RUN_TIMEOUT_S = 60.0
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
MODEL_PATH = "/v1"
_PROJECT = Path(__file__).parents[1]
_FOREIGN = ("_API_KEY", "_TOKEN", "_proxy", "_PROXY", "LANGSMITH", "LANGCHAIN", "POTLUCK_")


async def contend(
    contender: str,
    tasks: Sequence[Task],
    kinds: Sequence[tuple[ModelKind, int]],
    python: Path | None,
) -> dict[tuple[ModelKind, int], list[Result]]:
    """Each task once on each model and luck; `python` is the peers' interpreter."""
    found: dict[tuple[ModelKind, int], list[Result]] = {}
    providers = PROVIDERS if contender == "potluck" else PROVIDERS[:1]
    async with (
        simulated_model(scripted_model("strong", tasks)) as model,
        simulated_stage(model, providers=providers) as (stage, own, engine),
    ):
        peer = PeerStage(engine, RUN_TIMEOUT_S)
        async with _player(
            contender, peer, own, model.server.provider_url(PROVIDERS[0]), python
        ) as player:
            for kind, seed in kinds:
                model.use(scripted_model(kind, tasks, seed=seed))
                found[kind, seed] = [
                    result async for result in play(tasks, stage, player, model, model=kind)
                ]
    return found


@asynccontextmanager
async def _player(
    contender: str, peer: PeerStage, own: Player, model_url: str, python: Path | None
) -> AsyncIterator[Player]:
    if contender not in PEERS:
        yield own
        return
    if python is None:
        raise PeerMissingError(f"{contender} is not installed")
    async with served(peer) as url:
        given = {"contender": contender, "stage": url, "model_url": f"{model_url}{MODEL_PATH}"}
        process = await asyncio.create_subprocess_exec(
            python, "-m", "benchmarks.mind_peer", json.dumps(given),
            cwd=_PROJECT, env=_environment(), stdout=subprocess.PIPE,
        )  # fmt: skip
        try:
            await _ready(process, contender)

            async def player(scene: Scene) -> Record:
                return await _while_alive(peer.player(scene), process, contender)

            yield player
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)


async def _while_alive(
    play: Coroutine[object, object, Record], process: asyncio.subprocess.Process, contender: str
) -> Record:
    playing = asyncio.ensure_future(play)
    ending = asyncio.ensure_future(process.wait())
    await asyncio.wait({playing, ending}, return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()
    if playing.done():
        return playing.result()
    playing.cancel()
    raise PeerMissingError(f"{contender} ended in the middle of a task")


async def _ready(process: asyncio.subprocess.Process, contender: str) -> None:
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            line = await process.stdout.readline() if process.stdout else b""
    except TimeoutError as error:
        raise PeerMissingError(f"{contender} was not ready in time") from error
    if line.strip() != b"ready":
        raise PeerMissingError(f"{contender} did not start")


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not any(mark in k for mark in _FOREIGN)}
