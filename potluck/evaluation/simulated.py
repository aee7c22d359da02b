"""The agent on a scripted model: no key, no network, every request counted at the simulator."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AnyHttpUrl

from potluck.engine import Engine
from potluck.evaluation.agent_run import build_agent, run_agent
from potluck.evaluation.models import ModelKind, Policy, scripted_model
from potluck.evaluation.record import Record
from potluck.evaluation.site import Site
from potluck.evaluation.stage import Scene, Stage
from potluck.evaluation.suite import MAX_REQUESTS, TASK_TIMEOUT_S, Player, Spent
from potluck.evaluation.task import Task
from potluck.providers.availability import statuses
from potluck.providers.catalog import Provider
from potluck.providers.catalog_file import load_catalog
from potluck.providers.chain import Chain
from potluck.quota.limiter import NoLimiter
from potluck.quota.limits import Limits
from potluck.sandbox.probe import find_runner
from potluck.settings import Settings
from potluck.simulator.reply import Fault, Reply
from potluck.simulator.request import ModelRequest
from potluck.simulator.script import Script
from potluck.simulator.server import SimulatorServer
from tools.toolbox import Toolbox, load_toolbox

# Both play the same model: an answer that is of no use may be asked for elsewhere.
PROVIDERS = ("together", "openrouter")
TOO_MANY = "This run has made more requests than any task needs."


@dataclass(frozen=True, slots=True)
class SimulatedModel:
    """A scripted model behind the simulator; it refuses to go on past the cap of requests."""

    server: SimulatorServer
    policy: Policy

    def reset(self) -> None:
        """Count from zero."""
        self.server.log.clear()

    def spent(self) -> Spent:
        """What was sent since then, tokens as the provider counted them."""
        asked = [one for one in self.server.log.exchanges() if one.request is not None]
        usages = [one.reply.usage for one in asked if one.reply is not None and one.reply.usage]
        return Spent(
            requests=len(asked),
            input_tokens=sum(usage.input_tokens for usage in usages),
            output_tokens=sum(usage.output_tokens for usage in usages),
        )

    def use(self, policy: Policy) -> None:
        """From now on this model answers."""
        self.server.script.clear()
        self.server.script.on(_capped(policy, self.server))


@asynccontextmanager
async def simulated_model(policy: Policy) -> AsyncIterator[SimulatedModel]:
    """The scripted model on a port of its own."""
    async with SimulatorServer(Script()) as server:
        model = SimulatedModel(server, policy)
        model.use(policy)
        yield model


@asynccontextmanager
async def simulated_stage(
    model: SimulatedModel,
    settings: Settings | None = None,
    *,
    providers: Sequence[str] = PROVIDERS,
) -> AsyncIterator[tuple[Stage, Player, Engine]]:
    """Where the agent plays with this model, and who plays; nothing of the user's is touched."""
    home = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="potluck-eval-"))
    try:
        with Site() as site:
            async with _engine(model.server.url, home, site, settings, providers) as engine:
                stage = Stage(home, site, engine.runner)
                yield stage, player_of(engine), engine
    finally:
        await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)


def player_of(engine: Engine, *, timeout_s: float = TASK_TIMEOUT_S) -> Player:
    """Potluck's agent on this engine."""
    agent = build_agent()

    async def player(scene: Scene) -> Record:
        # What one task did to a model's standing is not held against the next.
        engine.chain.forgive({model.ref for model in engine.chain.models()})
        return await run_agent(
            agent, engine, scene.request, thread=scene.thread, timeout_s=timeout_s
        )

    return player


def fresh_model(kind: ModelKind, tasks: Sequence[Task], seed: int) -> Policy:
    """The scripted model of this kind."""
    return scripted_model(kind, tasks, seed=seed)


def with_pages(toolbox: Toolbox, site: Site) -> Toolbox:
    """The same tools, which may read the pages of tasks."""
    options = replace(
        toolbox.options,
        allowed_networks=(*toolbox.options.allowed_networks, "127.0.0.1/32"),
        allowed_ports=toolbox.options.allowed_ports | {site.port},
    )
    return replace(toolbox, options=options)


@asynccontextmanager
async def _engine(
    url: str, home: Path, site: Site, given: Settings | None, names: Sequence[str]
) -> AsyncIterator[Engine]:
    base = given or Settings()
    settings = base.model_copy(
        update={"potluck_simulator": AnyHttpUrl(url), "potluck_home": home, "database_url": None}
    )
    whole = await asyncio.to_thread(load_catalog, settings.potluck_config_dir)
    providers = {name: _unlimited(whole.providers[name]) for name in names}
    catalog = replace(whole, providers=providers, routes={})
    found = tuple(await statuses(catalog, settings))
    chain = Chain(catalog, found, NoLimiter(), clock=_now)
    toolbox = with_pages(await asyncio.to_thread(load_toolbox, settings), site)
    runner = await find_runner(settings, workspaces=home / "workspaces", clock=_now)
    try:
        yield Engine(settings, catalog, found, chain, toolbox, runner=runner)
    finally:
        await runner.aclose()
        await chain.aclose()


def _unlimited(provider: Provider) -> Provider:
    models = tuple(replace(model, limits=Limits()) for model in provider.models[:1])
    return replace(provider, models=models, limits=Limits(), enabled=True)


def _capped(policy: Policy, server: SimulatorServer) -> Policy:
    def answer(request: ModelRequest) -> Reply:
        if len(server.log) > MAX_REQUESTS:
            body = {"error": {"message": TOO_MANY, "type": "invalid_request_error"}}
            return Reply(fault=Fault(status=400, body=body))
        return policy(request)

    return answer


def _now() -> datetime:
    return datetime.now(UTC)
