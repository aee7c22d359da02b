"""`potluck models`: the catalog, and what of it is on."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from potluck.providers.availability import statuses
from potluck.providers.catalog import (
    Catalog,
    DataPolicy,
    Model,
    Provider,
    ProviderStatus,
)
from potluck.providers.catalog_file import load_catalog
from potluck.providers.tombstone_file import TombstoneFile
from potluck.providers.tombstones import Tombstone, Tombstones
from potluck.quota.limits import Limits, measure_of
from potluck.settings import Settings
from potluck.terminal.advice import replacement_of
from potluck.terminal.lines import print_line
from potluck.terminal.screen import printable

_UNITS = {
    "requests": "req",
    "tokens": "tok",
    "input_tokens": "tok in",
    "output_tokens": "tok out",
    "credits": "credits",
}
_PERIODS = {"minute": "min"}
# What a provider does with what it is sent, where it is not known to keep it to itself
_DATA: Mapping[DataPolicy, str] = {
    "yes": "; trains on what you send",
    "no": "",
    "unknown": "; not known whether it trains on what you send",
}
CAPABILITIES_CHARS = 17
# Columns that a table takes beside the models' names
NARROW = 56


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model as shown: values as in the catalog, JSON-able.

    `gone` is its tombstone: `since`, `cause` (gone or not_free), `why`, and the `replacement`
    that is asked instead.
    """

    ref: str
    on: bool
    reason: str
    context: int | None
    max_output: int | None
    capabilities: list[str]
    limits: dict[str, float]
    trains_on_prompts: DataPolicy
    checked_on: str | None
    source: str | None
    gone: dict[str, str | None] | None = None


def models(settings: Settings) -> list[ModelRow]:
    """Each model of the catalog, what is on first. Raises ConfigError."""
    catalog = load_catalog(settings.potluck_config_dir)
    found, tombstones = asyncio.run(_look(catalog, settings))
    return [
        _row(status, model, tombstones)
        for status in sorted(found, key=lambda status: not status.on)
        for model in status.provider.models
    ]


async def _look(catalog: Catalog, settings: Settings) -> tuple[list[ProviderStatus], Tombstones]:
    kept = TombstoneFile(settings.potluck_home)
    tombstones = await Tombstones.open(kept, clock=lambda: datetime.now(UTC))
    return await statuses(catalog, settings), tombstones


def _row(status: ProviderStatus, model: Model, tombstones: Tombstones) -> ModelRow:
    tombstone = tombstones.find(model, status.base_url or status.provider.base_url)
    return ModelRow(
        ref=model.ref,
        on=status.on and tombstone is None,
        reason=status.reason,
        context=model.context,
        max_output=model.max_output,
        capabilities=sorted(model.capabilities),
        limits=_stated(model.limits),
        trains_on_prompts=status.provider.trains_on_prompts,
        checked_on=model.checked_on.isoformat() if model.checked_on else None,
        source=model.source,
        gone=_gone(tombstone, model, status.provider) if tombstone is not None else None,
    )


def _gone(tombstone: Tombstone, model: Model, provider: Provider) -> dict[str, str | None]:
    heir = replacement_of(model.id, provider)
    return {
        "since": tombstone.since.isoformat(timespec="seconds"),
        "cause": tombstone.cause,
        "why": tombstone.why,
        "replacement": heir.ref if heir else None,
    }


def _stated(limits: Limits) -> dict[str, float]:
    return dict(limits.stated())


def _unit(name: str) -> str:
    unit, period = measure_of(name)
    if unit == "concurrent":
        return "at once"
    return f"{_UNITS[unit]}/{_PERIODS.get(period, period)}"


def print_models(rows: Sequence[ModelRow], console: Console) -> None:
    """Under each provider, on or off and why, its models in columns, each on one line if it fits.

    Where there is no room for columns, limits stand below their model.
    """
    width = max((len(_id(row)) for row in rows), default=0)
    shows_columns = not console.is_terminal or console.width >= width + NARROW
    for (provider, reason), grouped in groupby(rows, lambda row: (_provider(row), row.reason)):
        served = list(grouped)
        on = any(row.on for row in served)
        state = ("on", "green") if on else ("off", "dim")
        told = f"  {printable(reason)}{_DATA[served[0].trains_on_prompts]}"
        print_line(Text.assemble((provider, "bold"), " ", state, (told, "dim")), console)
        for row in served:
            style = "" if row.on else "dim"
            if shows_columns and console.is_terminal:
                console.print(_columns(row, width, style))
            elif shows_columns:
                console.print(Text(_line(row, width), style=style), soft_wrap=True)
            else:
                _print_narrow(row, console, style)
            if row.gone is not None:
                print_line(_epitaph(row.gone), console, "red", indent=4)


def _columns(row: ModelRow, width: int, style: str) -> Table:
    """One row; its columns are as wide as those of all others."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=2)
    table.add_column(width=width, no_wrap=True)
    table.add_column(width=6, no_wrap=True, justify="right")
    table.add_column(width=CAPABILITIES_CHARS, no_wrap=True)
    table.add_column(overflow="fold")
    texts = (_id(row), _context(row), " ".join(row.capabilities), _limits(row))
    table.add_row("", *(Text(text, style=style) for text in texts))
    return table


def _print_narrow(row: ModelRow, console: Console, style: str) -> None:
    can = f"{_context(row)}  {' '.join(row.capabilities)}"
    print_line(_id(row), console, style or "bold", indent=2)
    for text in (can, _limits(row)):
        if text:
            print_line(text, console, "dim", indent=4)


def _epitaph(gone: Mapping[str, str | None]) -> str:
    words = "not free" if gone["cause"] == "not_free" else "gone"
    instead = f"; {gone['replacement']} is asked instead" if gone["replacement"] else ""
    return printable(f"{words} since {str(gone['since'])[:10]}{instead}: {gone['why']}")


def _id(row: ModelRow) -> str:
    return row.ref.partition("/")[2]


def _provider(row: ModelRow) -> str:
    return row.ref.partition("/")[0]


def _line(row: ModelRow, width: int) -> str:
    can = " ".join(row.capabilities).ljust(CAPABILITIES_CHARS)
    return f"  {_id(row).ljust(width)}  {_context(row):>6}  {can}  {_limits(row)}".rstrip()


def _context(row: ModelRow) -> str:
    return f"{row.context / 1_000:,.0f}k" if row.context else "?"


def _limits(row: ModelRow) -> str:
    limits = ", ".join(f"{value:,} {_unit(name)}" for name, value in row.limits.items())
    checked = f"(checked {row.checked_on})" if row.checked_on else ""
    return f"{limits}  {checked}".strip()
