"""`potluck models`: the catalog, and what of it is on."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby

from rich.console import Console
from rich.text import Text

from potluck.providers.availability import statuses
from potluck.providers.catalog import DataPolicy, Limits, Model, ProviderStatus
from potluck.providers.catalog_file import load_catalog
from potluck.settings import Settings

UNITS = {
    "requests_per_minute": "req/min",
    "requests_per_day": "req/day",
    "requests_per_month": "req/month",
    "tokens_per_minute": "tok/min",
    "tokens_per_day": "tok/day",
}


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model as shown: values as in the catalog, JSON-able."""

    ref: str
    on: bool
    reason: str
    context: int | None
    max_output: int | None
    capabilities: list[str]
    limits: dict[str, int]
    trains_on_prompts: DataPolicy
    checked_on: str | None
    source: str | None


def models(settings: Settings) -> list[ModelRow]:
    """Each model of the catalog, what is on first. Raises ConfigError."""
    catalog = load_catalog(settings.potluck_config_dir)
    found = asyncio.run(statuses(catalog, settings))
    rows = [_row(status, model) for status in found for model in status.provider.models]
    return sorted(rows, key=lambda row: not row.on)


def _row(status: ProviderStatus, model: Model) -> ModelRow:
    return ModelRow(
        ref=model.ref,
        on=status.on,
        reason=status.reason,
        context=model.context,
        max_output=model.max_output,
        capabilities=sorted(model.capabilities),
        limits=_stated(model.limits),
        trains_on_prompts=status.provider.trains_on_prompts,
        checked_on=model.checked_on.isoformat() if model.checked_on else None,
        source=model.source,
    )


def _stated(limits: Limits) -> dict[str, int]:
    return {name: value for name, value in asdict(limits).items() if value is not None}


def print_models(rows: Sequence[ModelRow], console: Console) -> None:
    """Under each provider, on or off and why, its models: one a line, in columns."""
    width = max((len(_id(row)) for row in rows), default=0)
    for (provider, on, reason), served in groupby(rows, lambda row: (*_provider(row), row.reason)):
        state = ("on", "green") if on else ("off", "dim")
        console.print(Text.assemble((provider, "bold"), " ", state, (f"  {reason}", "dim")))
        for row in served:
            console.print(Text(_line(row, width), style="" if on else "dim"), soft_wrap=True)


def _id(row: ModelRow) -> str:
    return row.ref.partition("/")[2]


def _provider(row: ModelRow) -> tuple[str, bool]:
    return row.ref.partition("/")[0], row.on


def _line(row: ModelRow, width: int) -> str:
    context = f"{row.context / 1_000:,.0f}k" if row.context else "?"
    can = " ".join(row.capabilities)
    limits = ", ".join(f"{value:,} {UNITS[name]}" for name, value in row.limits.items())
    checked = f"  (checked {row.checked_on})" if row.checked_on else ""
    return f"  {_id(row).ljust(width)}  {context:>6}  {can:<17}  {limits}{checked}".rstrip()
