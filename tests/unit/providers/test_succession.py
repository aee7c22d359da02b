"""Who takes the place of a model that is gone, and when."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage

from potluck.errors import ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.attendance import Attendance
from potluck.providers.catalog import Limits, Model, Provider, ProviderStatus
from potluck.providers.heir import Heir
from potluck.providers.link import Link
from potluck.providers.succession import Heirs, Succession, successors
from potluck.providers.tombstones import TombstoneMemory, Tombstones
from potluck.quota.limiter import NoLimiter


def provider(*models: Model) -> Provider:
    return Provider("groq", "groq", "https://x/v1", (), models)


def model(name: str, replacement: str | None = None, **facts: Any) -> Model:
    return Model("groq", name, replacement=replacement, **facts)


def gone(name: str) -> ProviderError:
    fault = ProviderFault(ErrorKind.MODEL_GONE, ErrorScope.MODEL, f"model {name} does not exist")
    return ProviderError("groq", name, fault)


def test_successors_are_followed_to_the_end() -> None:
    line = (model("a", "b"), model("b", "c"), model("c"))
    assert successors(line[0], provider(*line)) == line[1:]


def test_a_replacement_that_is_not_listed_is_like_the_model_it_replaces() -> None:
    limits = Limits(requests_per_minute=5)
    old = model("old", "new", context=1000, limits=limits)
    assert successors(old, provider(old)) == (model("new", context=1000, limits=limits),)


def test_a_replacement_may_be_written_with_its_provider() -> None:
    line = (model("a", "groq/b/c"), model("b/c"))
    assert successors(line[0], provider(*line)) == (line[1],)


@given(st.dictionaries(st.sampled_from("abcde"), st.sampled_from("abcdefg"), min_size=1))
def test_circles_end(replacements: dict[str, str]) -> None:
    models = [model(name, heir) for name, heir in replacements.items()]
    for one in models:
        found = [heir.id for heir in successors(one, provider(*models))]
        assert len({one.id, *found}) == len(found) + 1


@pytest.fixture
def line() -> Provider:
    return provider(model("a", "b"), model("b", "new"), model("other"))


@pytest.fixture
def succession(line: Provider, clock: Any) -> Succession:
    status = ProviderStatus(line, on=True, reason="")
    return Succession([status], Tombstones(TombstoneMemory(), clock=clock))


async def test_a_model_has_ended_when_its_heirs_have(succession: Succession) -> None:
    for name in ("a", "b"):
        assert succession.bury(gone(name), account=0)
        assert succession.find("groq", name) is not None
        assert succession.find_end("groq", "a") is None
    assert succession.bury(gone("new"), account=0)
    assert succession.find_end("groq", "a") is not None
    assert succession.find_end("groq", "other") is None


async def test_what_the_chain_does_not_serve_is_not_buried(succession: Succession) -> None:
    assert not succession.bury(gone("stranger"), account=0)
    assert succession.find("groq", "stranger") is None


async def test_a_model_that_ones_own_ollama_lacks_is_not_buried(line: Provider, clock: Any) -> None:
    status = ProviderStatus(replace(line, api="ollama"), on=True, reason="")
    succession = Succession([status], Tombstones(TombstoneMemory(), clock=clock))
    assert not succession.bury(gone("a"), account=0)
    assert succession.find("groq", "a") is None


async def test_attendance_takes_a_tombstone_for_an_outage_without_end(
    succession: Succession, clock: Any
) -> None:
    attendance = Attendance(clock, succession)
    attendance.note(gone("a"), account=0)
    clock.advance(days=400)
    found = attendance.find("groq", "a", account=0)
    assert found is not None
    assert found.certain
    assert "gone since 2026-11-21" in str(found.error)
    assert attendance.find("groq", "b", account=0) is None


async def test_attendance_knows_outages_as_before(succession: Succession, clock: Any) -> None:
    attendance = Attendance(clock, succession)
    fault = ProviderFault(ErrorKind.DAY, ErrorScope.MODEL, "used up")
    attendance.note(ProviderError("groq", "a", fault), account=0)
    assert attendance.find("groq", "a", account=0) is not None
    clock.advance(hours=2)
    assert attendance.find("groq", "a", account=0) is None
    # A 404 that does not speak of the model may pass
    fault = ProviderFault(ErrorKind.MODEL_GONE, ErrorScope.MODEL, "404 page not found")
    attendance.note(ProviderError("groq", "a", fault), account=0)
    assert attendance.find("groq", "a", account=0) is not None
    clock.advance(hours=25)
    assert attendance.find("groq", "a", account=0) is None


@pytest.fixture
def links(world: Any) -> list[Link]:
    world.add("groq/a", replacement="b")
    world.add("groq/b")
    return [
        Link(backend=world.backend(ref), limiter=NoLimiter(), clock=world.clock)
        for ref in ("groq/a", "groq/b")
    ]


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_heir_answers_only_once_the_model_before_it_is_gone(
    links: list[Link], clock: Any, streamed: bool
) -> None:
    status = ProviderStatus(links[0].backend.provider, on=True, reason="")
    succession = Succession([status], Tombstones(TombstoneMemory(), clock=clock))
    # The provider of the first backend was made before the second model was added
    heirs = Heirs.of(links, succession)
    first, heir, _ = heirs.behind(links)
    assert first is links[0]
    assert isinstance(heir, Heir)

    async def ask() -> str:
        messages = [HumanMessage("hi")]
        if streamed:
            return "".join([chunk.text async for chunk in heir.astream(messages)])
        return (await heir.ainvoke(messages)).text

    with pytest.raises(ProviderError, match="kept for the time"):
        await ask()
    succession.bury(gone("a"), account=0)
    heir.backend._built = links[1].backend._built
    assert await ask() == "I am groq/b."
