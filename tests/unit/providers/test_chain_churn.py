"""A chain whose models are retired: not asked again, their replacements in their places."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage

from potluck.errors import ChainError, ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.chain import Call, Chain
from potluck.providers.tombstones import TombstoneMemory, Tombstones
from potluck.quota.limiter import NoLimiter


def gone(ref: str, kind: ErrorKind = ErrorKind.MODEL_GONE) -> ProviderError:
    provider, _, model = ref.partition("/")
    scope = ErrorScope.MODEL
    return ProviderError(
        provider, model, ProviderFault(kind, scope, f"{model} is decommissioned", status=404)
    )


async def ask(chain: Chain, streamed: bool = False, **call: Any) -> str:
    runnable = chain.runnable(Call(**call))
    if streamed:
        return "".join([chunk.text async for chunk in runnable.astream("hi")])
    answer: AIMessage = await runnable.ainvoke("hi")
    return answer.text


def play_heirs(chain: Chain, **scripts: Any) -> None:
    """Give the replacements that the catalog does not list their scripts."""
    for backend in chain._heirs.backends():
        if backend._built is None:
            backend._built = scripts[backend.model.id]


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_replacement_answers_in_its_place_at_once(world: Any, streamed: bool) -> None:
    old = world.add("groq/old", gone("groq/old"), replacement="new")
    world.add("together/other")
    world.add("groq/new")
    chain = world.chain(routes={"general": ("groq/old", "together")})
    failed: list[ProviderError] = []
    assert await ask(chain, streamed, on_failover=failed.append) == "I am groq/new."
    assert [error.model for error in failed] == ["old"]
    assert await ask(chain, streamed) == "I am groq/new."
    assert len(old.calls) == 1


async def test_while_the_model_is_there_its_replacement_is_not_asked_for_it(world: Any) -> None:
    world.add("groq/old", gone("groq/old", ErrorKind.OVERLOAD), replacement="new")
    world.add("together/other")
    new = world.add("groq/new")
    chain = world.chain(routes={"general": ("groq/old", "together")})
    assert await ask(chain) == "I am together/other."
    assert not new.calls


async def test_a_replacement_that_is_not_in_the_catalog_answers(world: Any) -> None:
    world.add("groq/old", gone("groq/old"), replacement="unlisted")
    chain = world.chain()
    world.add("aside/unlisted")
    play_heirs(chain, unlisted=world.scripts["aside/unlisted"])
    answer = await chain.runnable(Call(only="groq/old")).ainvoke("hi")
    assert answer.response_metadata["model_name"] == "unlisted"
    assert [(model.ref, model.on) for model in chain.models()] == [("groq/old", True)]


async def test_a_gone_model_asked_by_name_is_answered_by_its_replacement(world: Any) -> None:
    world.add("groq/old", gone("groq/old"), replacement="new")
    world.add("groq/new")
    chain = world.chain()
    assert await ask(chain, only="groq/old") == "I am groq/new."
    assert await ask(chain, only="groq/old") == "I am groq/new."


async def test_without_a_replacement_the_model_is_off_and_says_why(world: Any) -> None:
    world.add("groq/old", gone("groq/old"))
    world.add("groq/other")
    chain = world.chain()
    assert await ask(chain) == "I am groq/other."
    listed = {model.ref: model for model in chain.models()}
    assert not listed["groq/old"].on
    assert "gone since 2026-11-21: old is decommissioned" in listed["groq/old"].reason
    assert listed["groq/other"].on
    with pytest.raises(ChainError, match="gone since"):
        await ask(chain, only="groq/old")


async def test_a_gone_model_is_not_asked_after_a_restart_either(world: Any) -> None:
    store = TombstoneMemory()
    old = world.add("groq/old", gone("groq/old"))
    world.add("groq/other")

    async def start() -> Chain:
        tombstones = await Tombstones.open(store, clock=world.clock)
        made = world.chain()
        limiter = NoLimiter()
        chain = Chain(
            made._catalog, made._statuses, limiter, clock=world.clock, tombstones=tombstones
        )
        for link in chain._links:
            link.backend._built = world.scripts[link.backend.model.ref]
        return chain

    first = await start()
    await ask(first)
    await first._tombstones.aclose()
    world.clock.advance(days=100)
    again = await start()
    assert await ask(again) == "I am groq/other."
    assert len(old.calls) == 1


async def test_what_does_not_fit_the_call_does_not_answer_it(world: Any) -> None:
    world.add("groq/old", gone("groq/old"), replacement="mute")
    world.add("groq/mute", capabilities=frozenset())
    world.add("groq/other")
    chain = world.chain()
    schema = {"name": "f", "description": "f", "parameters": {"type": "object", "properties": {}}}
    tool = {"type": "function", "function": schema}
    assert await ask(chain, tools=[tool]) == "I am groq/other."


async def test_a_failure_is_named_once_though_its_model_stands_twice(world: Any) -> None:
    world.add("groq/old", gone("groq/old"), replacement="new")
    world.add("groq/new", gone("groq/new", ErrorKind.DAY))
    chain = world.chain()
    for _ in range(2):
        with pytest.raises(ChainError) as caught:
            await ask(chain, only="groq")
    assert sorted(attempt.model for attempt in caught.value.attempts) == ["new", "old"]
