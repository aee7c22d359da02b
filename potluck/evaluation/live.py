"""The agent on the user's own models: one after the other, each alone, all quota rules holding."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from potluck.engine import Engine
from potluck.errors import PotluckError
from potluck.evaluation.simulated import player_of, with_pages
from potluck.evaluation.site import Site
from potluck.evaluation.stage import Stage
from potluck.evaluation.suite import Player, Spent
from potluck.providers.availability import statuses
from potluck.providers.catalog import OFFLINE
from potluck.providers.catalog_file import load_catalog
from potluck.providers.chain import Chain
from potluck.quota.calls import CallRecord, Recorder
from potluck.sandbox.probe import find_runner
from potluck.settings import Settings

# Free tiers make runs wait; a plan of ten calls at two a minute takes five.
LIVE_TIMEOUT_S = 600.0
_NOT_SENT = frozenset({"cached", "refused"})


@dataclass(slots=True)
class CountedCalls:
    """Counts the calls that are sent, and passes every note on."""

    history: Recorder
    _spent: Spent = field(default_factory=Spent)

    def note(self, record: CallRecord) -> None:
        """Count the call if it was sent."""
        self.history.note(record)
        if record.outcome not in _NOT_SENT:
            self._spent = Spent(
                self._spent.requests + 1,
                self._spent.input_tokens + record.input_tokens,
                self._spent.output_tokens + record.output_tokens,
            )

    def reset(self) -> None:
        """Count from zero."""
        self._spent = Spent()

    def spent(self) -> Spent:
        """What was sent since then."""
        return self._spent


@dataclass(frozen=True, slots=True)
class LiveModel:
    """One model of the user's, with a stage to play on."""

    ref: str
    stage: Stage
    player: Player
    counter: CountedCalls


@asynccontextmanager
async def live_engine(settings: Settings) -> AsyncIterator[Engine]:
    """The engine as the server has it, closed at the end."""
    await asyncio.to_thread(settings.potluck_home.mkdir, parents=True, exist_ok=True)
    engine = await Engine.build(settings)
    try:
        yield engine
    finally:
        await engine.aclose()


async def refs_on(settings: Settings, wanted: Sequence[str] = ()) -> list[str]:
    """The models to ask: those named, else all that are on and free.

    Raises PotluckError when there is none, or none of that name, with what to do.
    """
    catalog = await asyncio.to_thread(load_catalog, settings.potluck_config_dir)
    found = await statuses(catalog, settings)
    asked = [status.provider for status in found if status.on and status.provider.api != OFFLINE]
    on = [model.ref for provider in asked for model in provider.models]
    if not on:
        raise PotluckError(
            "No provider is on, so there is no model to evaluate.",
            fix="Put a key into .env (`potluck check` says where to get one), start Ollama, or try"
            " the suite without any: `potluck eval --simulated weak`.",
        )
    for name in wanted:
        if name not in on:
            raise PotluckError(f"The model {name} is not on.", fix=f"Name one of: {', '.join(on)}.")
    free = [model.ref for one in asked if not one.paid for model in one.models]
    return list(wanted) or free or on


@asynccontextmanager
async def live_model(engine: Engine, ref: str) -> AsyncIterator[LiveModel]:
    """The agent with this model alone; its files are put away at the end."""
    home = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="potluck-eval-"))
    settings = engine.settings.model_copy(update={"potluck_home": home})
    counter = CountedCalls(engine.history)
    chain = _chain_of(engine, ref, counter)
    runner = await find_runner(settings, workspaces=home / "workspaces", clock=_now)
    try:
        with Site() as site:
            alone = replace(
                engine,
                settings=settings,
                chain=chain,
                toolbox=with_pages(engine.toolbox, site),
                runner=runner,
            )
            player = player_of(alone, timeout_s=LIVE_TIMEOUT_S)
            yield LiveModel(ref, Stage(home, site, runner), player, counter)
    finally:
        await runner.aclose()
        await chain.aclose()
        await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)


def _chain_of(engine: Engine, ref: str, recorder: Recorder) -> Chain:
    found = [
        replace(status, provider=replace(status.provider, models=models))
        for status in engine.statuses
        if (models := tuple(m for m in status.provider.models if m.ref == ref))
    ]
    providers = {status.provider.id: status.provider for status in found}
    catalog = replace(engine.catalog, providers=providers, routes={})
    return Chain(catalog, found, engine.limiter, clock=_now, recorder=recorder)


def _now() -> datetime:
    return datetime.now(UTC)
