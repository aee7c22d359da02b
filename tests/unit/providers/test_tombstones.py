"""A model that is gone stays gone, until the catalog or the provider says otherwise."""

import asyncio
import logging
from collections.abc import Iterable
from datetime import date
from typing import Any

import pytest

from potluck.errors import ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.catalog import Model
from potluck.providers.tombstones import (
    Place,
    Tombstone,
    TombstoneMemory,
    Tombstones,
    find_cause,
)

MODEL = Model("groq", "llama3-70b-8192", replacement="openai/gpt-oss-120b")
HERE = "https://api.example.com/v1"
RETIRED = "The model `llama3-70b-8192` has been decommissioned"


def gone(message: str = RETIRED, model: Model = MODEL, **facts: Any) -> ProviderError:
    fault = {"kind": ErrorKind.MODEL_GONE, "scope": ErrorScope.MODEL, "message": message, **facts}
    return ProviderError(model.provider, model.id, ProviderFault(**fault))


class BrokenStore(TombstoneMemory):
    async def load(self) -> tuple[Tombstone, ...]:
        raise PermissionError("not yours")

    async def put(self, _tombstone: Tombstone) -> None:
        raise OSError("the disk is full")

    async def remove(self, _places: Iterable[Place]) -> None:
        raise OSError("the disk is full")


@pytest.fixture
def store() -> TombstoneMemory:
    return TombstoneMemory()


@pytest.fixture
async def tombstones(store: TombstoneMemory, clock: Any) -> Tombstones:
    return await Tombstones.open(store, clock=clock)


async def test_a_tombstone_says_when_why_and_what_replaces_the_model(
    tombstones: Tombstones, clock: Any
) -> None:
    assert tombstones.find(MODEL, HERE) is None
    tombstones.bury(gone(), MODEL, HERE)
    assert tombstones.find(MODEL, HERE) == Tombstone(
        "groq", MODEL.id, HERE, clock.now, "gone", RETIRED, "openai/gpt-oss-120b"
    )


async def test_it_is_kept_over_a_restart(
    store: TombstoneMemory, tombstones: Tombstones, clock: Any
) -> None:
    buried = tombstones.bury(gone(), MODEL, HERE)
    await tombstones.aclose()
    again = await Tombstones.open(store, clock=clock)
    assert again.find(MODEL, HERE) == buried


async def test_it_says_nothing_about_another_address(tombstones: Tombstones) -> None:
    tombstones.bury(gone(), MODEL, "http://127.0.0.1:9100/groq")
    assert tombstones.find(MODEL, HERE) is None


@pytest.mark.parametrize(
    ("checked_on", "stands"),
    [
        (None, True),
        (date(2026, 11, 20), True),
        (date(2026, 11, 21), True),
        (date(2026, 11, 22), False),
    ],
)
async def test_a_later_entry_of_the_catalog_overrules_it(
    tombstones: Tombstones, checked_on: date | None, stands: bool
) -> None:
    tombstones.bury(gone(), MODEL, HERE)
    found = tombstones.find(Model("groq", MODEL.id, checked_on=checked_on), HERE)
    assert (found is not None) is stands


async def test_one_that_was_overruled_can_be_put_up_anew(
    tombstones: Tombstones, clock: Any
) -> None:
    newer = Model("groq", MODEL.id, checked_on=date(2026, 11, 25))
    tombstones.bury(gone(), newer, HERE)
    assert tombstones.find(newer, HERE) is None
    clock.advance(days=5)
    tombstones.bury(gone(), newer, HERE)
    assert tombstones.find(newer, HERE) is not None


async def test_every_key_must_have_met_it(tombstones: Tombstones) -> None:
    assert tombstones.bury(gone(), MODEL, HERE, account=0, accounts=2) is None
    assert tombstones.bury(gone(), MODEL, HERE, account=0, accounts=2) is None
    assert tombstones.find(MODEL, HERE) is None
    assert tombstones.bury(gone(), MODEL, HERE, account=1, accounts=2) is not None


async def test_a_model_that_is_served_again_is_forgotten_for_good(
    store: TombstoneMemory, tombstones: Tombstones
) -> None:
    buried = tombstones.bury(gone(), MODEL, HERE)
    assert buried is not None
    await tombstones.aclose()
    await tombstones.revive([buried])
    assert tombstones.find(MODEL, HERE) is None
    assert await store.load() == ()


async def test_what_another_process_forgets_is_forgotten_here_within_a_minute(
    store: TombstoneMemory, tombstones: Tombstones, clock: Any
) -> None:
    buried = tombstones.bury(gone(), MODEL, HERE)
    assert buried is not None
    await tombstones.aclose()
    await store.remove([buried.place])
    assert tombstones.find(MODEL, HERE) is buried
    clock.advance(seconds=31)
    tombstones.find(MODEL, HERE)
    await tombstones.aclose()
    assert tombstones.find(MODEL, HERE) is None


async def test_what_cannot_be_written_still_stands_in_this_process(
    clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        tombstones = await Tombstones.open(BrokenStore(), clock=clock)
        tombstones.bury(gone(), MODEL, HERE)
        await tombstones.aclose()
    assert "not yours" in caplog.text
    assert "the disk is full" in caplog.text
    clock.advance(minutes=5)
    assert tombstones.find(MODEL, HERE) is not None
    await tombstones.aclose()
    assert tombstones.find(MODEL, HERE) is not None


def test_it_can_be_looked_up_without_an_event_loop(clock: Any) -> None:
    tombstones = asyncio.run(Tombstones.open(TombstoneMemory(), clock=clock))
    clock.advance(hours=1)
    assert tombstones.find(MODEL, HERE) is None


@pytest.mark.parametrize(
    ("model", "message", "status", "cause"),
    [
        ("llama3-70b-8192", RETIRED, 400, "gone"),
        ("a/b:free", "No endpoints found for a/b:free", 404, "gone"),
        ("gemini-2.0-flash", "models/gemini-2.0-flash is not found for API version", 404, "gone"),
        ("x/llama3", "The model 'llama3' does not exist", 404, "gone"),
        ("m", "Gone", 410, "gone"),
        ("m", "it has reached its end of life on 2026-08-01", 404, "gone"),
        ("gemini-3.1-pro", "Quota exceeded, limit: 0, model: gemini-3.1-pro", 429, "not_free"),
        ("mistral-large", "Rate limit exceeded", 429, "not_free"),
        ("m", "this model requires a subscription, upgrade for access", 402, "not_free"),
        ("m", "Function '0-1': Not found for account 'x'", 404, "gone"),
        ("gpt-9", "Unknown request URL: POST /chat/completions", 404, None),
        ("a/b:free", "No endpoints found that support tool use", 404, None),
        ("a/b:free", "No endpoints found matching your data policy", 404, None),
        ("gpt-9", "404 page not found", 404, None),
    ],
)
def test_only_what_speaks_of_the_model_itself_buries_it(
    model: str, message: str, status: int, cause: str | None
) -> None:
    made = Model("groq", model)
    assert find_cause(gone(message, made, status=status), made) == cause


@pytest.mark.parametrize("kind", [kind for kind in ErrorKind if kind is not ErrorKind.MODEL_GONE])
def test_other_errors_bury_nothing(kind: ErrorKind) -> None:
    assert find_cause(gone(kind=kind), MODEL) is None
