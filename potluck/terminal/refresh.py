"""`potluck models --refresh`: what each provider serves today, against the catalog."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.text import Text

from potluck.errors import PotluckError, ProviderError
from potluck.providers.availability import statuses
from potluck.providers.catalog import ProviderStatus
from potluck.providers.catalog_file import PROVIDERS_FILE, load_catalog
from potluck.providers.differences import Difference, Loss, compare
from potluck.providers.model_lists import ModelList, ServedModel, fetch_model_list
from potluck.providers.succession import successors
from potluck.providers.tombstone_file import TombstoneFile
from potluck.providers.tombstones import Tombstone, Tombstones
from potluck.settings import Settings
from potluck.terminal.advice import advise, say_failure
from potluck.terminal.catalog_lines import lines_to_add, lines_to_remove
from potluck.terminal.progress import gather_with_bar
from potluck.terminal.screen import printable

NOT_ASKED = 1
CHANGED = 3
SHOWN_NEW = 15


@dataclass(frozen=True, slots=True)
class ProviderChanges:
    """What came of asking one provider: how it differs, or why it could not be asked.

    `again` are models whose tombstones this has removed; `remove` and `add` are lines of
    providers.yaml, `more` counts the new models whose lines are left out.
    """

    provider: str
    difference: Difference | None = None
    error: str | None = None
    fix: str | None = None
    again: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    add: tuple[str, ...] = ()
    more: int = 0


def refresh(settings: Settings, console: Console) -> list[ProviderChanges]:
    """Ask each provider that is on; progress shows on `console`.

    Changes no file of the user's. Raises PotluckError when no provider is on.
    """
    return asyncio.run(_refresh(settings, console))


async def _refresh(settings: Settings, console: Console) -> list[ProviderChanges]:
    catalog = load_catalog(settings.potluck_config_dir)
    found = await statuses(catalog, settings)
    asked = [status for status in found if status.on and status.provider.api != "offline"]
    if not asked:
        raise PotluckError(
            "No provider is on, so there is none to ask.",
            fix="Put a key into .env: `potluck check` says where to get one.",
        )
    now = datetime.now(UTC)
    questions = [_ask(status, now) for status in asked]
    answers = await gather_with_bar("Asking for the lists of models", questions, console)
    kept = TombstoneFile(settings.potluck_home)
    tombstones = await Tombstones.open(kept, clock=lambda: now)
    file = settings.potluck_config_dir / PROVIDERS_FILE
    changes: list[ProviderChanges] = []
    for status, answer in zip(asked, answers, strict=True):
        if isinstance(answer, ProviderError):
            fix = advise(answer, status)
            changes.append(ProviderChanges(status.provider.id, error=say_failure(answer), fix=fix))
            continue
        again = _served_again(status, answer, tombstones)
        await _revive(again, tombstones)
        changes.append(_changes(status, answer, again, file, now.date()))
    return changes


async def _revive(again: Sequence[Tombstone], tombstones: Tombstones) -> None:
    try:
        await tombstones.revive(again)
    except OSError as error:
        raise PotluckError(
            f"Which models are gone cannot be written down: {error}.",
            fix="Run this as the user that runs the server, or set POTLUCK_HOME.",
        ) from error


async def _ask(status: ProviderStatus, now: datetime) -> ModelList | ProviderError:
    try:
        return await fetch_model_list(status, now=now)
    except ProviderError as error:
        return error


def _served_again(
    status: ProviderStatus, listed: ModelList, tombstones: Tombstones
) -> list[Tombstone]:
    """The tombstones that the list belies; of those that are not free only a price of zero does."""
    provider = status.provider
    address = status.base_url or provider.base_url
    line = [heir for model in provider.models for heir in (model, *successors(model, provider))]
    found: list[Tombstone] = []
    for model in {model.id: model for model in line}.values():
        tombstone = tombstones.find(model, address)
        served = listed.find(model.id)
        if tombstone is None or served is None:
            continue
        if tombstone.cause == "gone" or served.free:
            found.append(tombstone)
    return found


def _changes(
    status: ProviderStatus, listed: ModelList, again: Sequence[Tombstone], file: Path, today: date
) -> ProviderChanges:
    difference = compare(status.provider, listed)
    known = {model.id for model in status.provider.models}
    heirs = [
        loss.replacement
        for loss in difference.lost
        if loss.replacement is not None and loss.replacement.id not in known
    ]
    suggested = {model.id: model for model in (*heirs, *islice(difference.new, SHOWN_NEW))}
    return ProviderChanges(
        provider=status.provider.id,
        difference=difference,
        again=tuple(tombstone.model for tombstone in again),
        remove=lines_to_remove(
            file, status.provider.id, [loss.model.id for loss in difference.lost]
        ),
        add=lines_to_add(tuple(suggested.values()), today),
        more=max(0, len(difference.new) - SHOWN_NEW),
    )


def exit_code(changes: Sequence[ProviderChanges]) -> int:
    """3 when a model of the catalog is gone or replaced, else 1 when a provider was not asked."""
    if any(change.difference is not None and change.difference.lost for change in changes):
        return CHANGED
    return NOT_ASKED if any(change.error for change in changes) else 0


def as_values(changes: Sequence[ProviderChanges]) -> dict[str, object]:
    """The changes for programs, as JSON has them."""
    return {"providers": [_value(change) for change in changes]}


def _value(change: ProviderChanges) -> dict[str, object]:
    difference = change.difference
    lost = difference.lost if difference else ()
    return {
        "provider": change.provider,
        "error": change.error,
        "fix": change.fix,
        "served": difference.served if difference else None,
        "new": [_model(model) for model in difference.new] if difference else [],
        "gone": [loss.model.id for loss in lost if loss.replacement is None],
        "replaced": [
            {
                "model": loss.model.id,
                "replacement": loss.replacement.id,
                "still_served": loss.still_served,
            }
            for loss in lost
            if loss.replacement is not None
        ],
        "served_again": list(change.again),
        "remove": list(change.remove),
        "add": list(change.add),
    }


def _model(model: ServedModel) -> dict[str, object]:
    capabilities = sorted(model.capabilities) if model.capabilities is not None else None
    return {"id": model.id, "context": model.context, "capabilities": capabilities}


def print_changes(changes: Sequence[ProviderChanges], console: Console) -> None:
    """Each provider with what has changed, and the lines that mend the catalog."""
    for change in changes:
        if change.difference is None:
            _print(console, change.provider, f"could not be asked: {change.error}", style="red")
            _print(console, "", f"  {change.fix}", style="dim")
            continue
        same = not (change.difference.lost or change.difference.new or change.again)
        words = "nothing has changed" if same else "the catalog differs"
        models = (
            "1 model" if change.difference.served == 1 else f"{change.difference.served} models"
        )
        _print(console, change.provider, f"serves {models}: {words}")
        _print_difference(change, change.difference, console)


def _print_difference(change: ProviderChanges, difference: Difference, console: Console) -> None:
    for loss in difference.lost:
        _print(console, "", f"  {_say_loss(loss)}", style="red")
    for name in change.again:
        _print(console, "", f"  served again: {name}", style="green")
    if difference.new:
        shown = ", ".join(model.id for model in difference.new[:SHOWN_NEW])
        more = f", and {change.more} more (--json lists them)" if change.more else ""
        _print(console, "", f"  new: {shown}{more}", style="green")
    if not (change.remove or change.add):
        return
    _print(
        console,
        "",
        f"  {PROVIDERS_FILE}, under `{change.provider}:` (-: with all that belongs to it)",
        style="dim",
    )
    for line in change.remove:
        _print(console, "", f"  - {line}", style="red")
    for line in change.add:
        _print(console, "", f"  + {line}", style="green")


def _say_loss(loss: Loss) -> str:
    if loss.replacement is None:
        return f"gone: {loss.model.id}"
    going = " (still served, but on its way out)" if loss.still_served else ""
    return f"replaced: {loss.model.id} → {loss.replacement.id}{going}"


def _print(console: Console, name: str, text: str, *, style: str = "") -> None:
    start = (f"{name}  ", "bold") if name else ""
    console.print(Text.assemble(start, (printable(text), style)), soft_wrap=True)
