"""What `potluck check` finds out about the providers."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from rich.console import Console

from potluck.providers.availability import statuses
from potluck.providers.catalog import OFFLINE, Catalog, Model, Provider, ProviderStatus
from potluck.providers.probe import Probe, load_classes, probe
from potluck.providers.succession import successors
from potluck.providers.tombstone_file import TombstoneFile
from potluck.providers.tombstones import Tombstone, Tombstones
from potluck.settings import Settings
from potluck.terminal.advice import PASSING, advise, replace_model, say_failure
from potluck.terminal.facts import Fact, State
from potluck.terminal.progress import gather_with_bar


async def find_provider_facts(
    catalog: Catalog, settings: Settings, *, calls: bool, console: Console
) -> list[Fact]:
    """Each provider, on or off; with `calls`, whether it answers with each of its keys.

    Progress shows on `console`.
    """
    found = await statuses(catalog, settings)
    tombstones = await Tombstones.open(TombstoneFile(settings.potluck_home), clock=_now)
    probes = await _probe(found, tombstones, console) if calls else {}
    facts: list[Fact] = []
    for status in found:
        facts.extend(_provider(status, probes.get(status.provider.id)))
        facts.extend(_gone(status, tombstones))
    if not any(status.on and status.provider.id != OFFLINE for status in found):
        facts.append(
            Fact(
                "LLM",
                "off",
                "none is connected: the offline model answers basics",
                f"Put one of the keys above, free of charge, into {settings.potluck_env_file}.",
            )
        )
    return facts


async def _probe(
    found: Sequence[ProviderStatus], tombstones: Tombstones, console: Console
) -> dict[str, list[Probe]]:
    """What came of one call with each key of each provider that is on."""
    asked = [status for status in found if status.on and status.provider.api != "offline"]
    await load_classes(asked)
    wanted = [
        (status, models, account)
        for status in asked
        if (models := _candidates(status, tombstones))
        for account in range(len(status.keys) or 1)
    ]
    calls = [
        probe(status, models, account=account, clock=_now) for status, models, account in wanted
    ]
    done = await gather_with_bar("Asking each provider", calls, console)
    probes: dict[str, list[Probe]] = {status.provider.id: [] for status in asked}
    for (status, _, _), result in zip(wanted, done, strict=True):
        probes[status.provider.id].append(result)
    return probes


def _candidates(status: ProviderStatus, tombstones: Tombstones) -> list[Model]:
    """The models to ask: the first that is not gone; should it be, its heirs, then the others."""
    provider = status.provider
    line = [heir for model in provider.models for heir in (model, *successors(model, provider))]
    unique = {model.id: model for model in line}.values()
    return [model for model in unique if tombstones.find(model, _address(status)) is None]


def _provider(status: ProviderStatus, probes: Sequence[Probe] | None) -> Iterator[Fact]:
    provider = status.provider
    if not status.on:
        yield Fact(provider.id, "off", status.reason, _way_in(provider))
    elif probes is None:
        served = ", ".join(model.id for model in provider.models)
        yield Fact(provider.id, "ok", f"{status.reason}: {served}")
    elif not probes:
        fix = "`potluck models --refresh` shows what is served today."
        yield Fact(provider.id, "bad", "each of its models is gone", fix)
    for result in probes or ():
        yield from _result(status, result)


def _result(status: ProviderStatus, result: Probe) -> Iterator[Fact]:
    provider = status.provider
    key = f"key {result.account + 1} of {len(status.keys)}: " if len(status.keys) > 1 else ""
    for error in result.failures:
        # Where another model of the provider answered, nothing must be mended at once
        state: State = "off" if result.answered or error.kind in PASSING else "bad"
        yield Fact(provider.id, state, f"{key}{say_failure(error)}", advise(error, status))
    if result.answered:
        text = f"{key}{result.model.id} answered in {result.took_s:.1f} s"
        yield Fact(provider.id, "ok", f"{text} ({status.reason})")


def _gone(status: ProviderStatus, tombstones: Tombstones) -> Iterator[Fact]:
    provider = status.provider
    for model in provider.models if status.on else ():
        tombstone: Tombstone | None = tombstones.find(model, _address(status))
        if tombstone is not None:
            fix = replace_model(model.id, provider)
            yield Fact(provider.id, "off", f"{model.id}: {tombstone}", fix)


def _address(status: ProviderStatus) -> str | None:
    return status.base_url or status.provider.base_url


def _way_in(provider: Provider) -> str | None:
    if provider.get_key_url is None or not provider.enabled:
        return None
    what = "Get a key" if provider.api_key_env else "Get it"
    return f"{what}: {provider.get_key_url}"


def _now() -> datetime:
    return datetime.now(UTC)
