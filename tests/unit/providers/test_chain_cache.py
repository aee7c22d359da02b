"""The chain answers from the cache what it has answered before."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from potluck.cache.responses import ResponseCache
from potluck.cache.store import CacheOptions
from potluck.providers.call import Call
from potluck.providers.catalog import Catalog, Optimization, ProviderStatus
from potluck.providers.chain import Chain
from potluck.providers.replay import is_cached
from potluck.quota.calls import CallRecord
from potluck.quota.limiter import NoLimiter


@dataclass
class Notes:
    records: list[CallRecord] = field(default_factory=list)

    def note(self, record: CallRecord) -> None:
        self.records.append(record)


def chain_with_cache(world: Any, notes: Notes) -> Chain:
    cache = ResponseCache.open(None, CacheOptions(), clock=world.clock)
    statuses = [
        ProviderStatus(p, on=True, reason="", keys=(SecretStr("k"),))
        for p in world.providers.values()
    ]
    chain = Chain(
        Catalog(world.providers, {}),
        statuses,
        NoLimiter(),
        clock=world.clock,
        recorder=notes,
        cache=cache,
    )
    for link in chain._links:
        link.backend._built = world.scripts[link.backend.model.ref]
    return chain


async def stream(chain: Chain, **call: Any) -> Any:
    chunks: list[Any] = [chunk async for chunk in chain.runnable(Call(**call)).astream("hi")]
    return chunks[0] + chunks[1:]


async def test_what_was_answered_is_not_asked_again(world: Any, speak: Any) -> None:
    model = world.add("a/1", speak("Good day.", tokens=9))
    notes = Notes()
    chain = chain_with_cache(world, notes)
    first, second = [await stream(chain) for _ in range(2)]
    assert (first.text, second.text) == ("Good day.", "Good day.")
    assert (is_cached(first), is_cached(second)) == (False, True)
    assert len(model.calls) == 1
    assert [r.outcome for r in notes.records] == ["answered", "cached"]
    assert notes.records[1].input_tokens + notes.records[1].output_tokens == 9


async def test_the_offline_models_answers_are_not_kept(world: Any) -> None:
    chain = chain_with_cache(world, Notes())
    for _ in range(2):
        assert not is_cached(await stream(chain))


async def test_a_model_that_failed_over_is_kept_as_who_answered(world: Any, speak: Any) -> None:
    world.add("a/1", ConnectionError("gone"))
    world.add("b/2", speak("Good day."))
    chain = chain_with_cache(world, Notes())
    await stream(chain)
    again = await stream(chain)
    assert is_cached(again)
    assert again.response_metadata["models"] == ["b/2"]


async def test_policy_switches_it_off_while_it_runs(world: Any) -> None:
    world.add("a/1")
    chain = chain_with_cache(world, Notes())
    await stream(chain)
    chain.apply(Catalog(world.providers, {}, optimization=Optimization(enable_caching=False)))
    assert not is_cached(await stream(chain))
