"""Who of a chain can be asked, as the quota report tells it."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage

from potluck.errors import ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.chain import Call, Chain


def fault(ref: str, kind: ErrorKind, scope: ErrorScope = ErrorScope.MODEL) -> ProviderError:
    provider, _, model = ref.partition("/")
    return ProviderError(
        provider, model, ProviderFault(kind, scope, f"{model} is decommissioned", status=404)
    )


async def ask(chain: Chain) -> AIMessage:
    answer: AIMessage = await chain.runnable(Call()).ainvoke("hi")
    return answer


def told(chain: Chain) -> dict[str, ErrorKind | None]:
    return {
        backend.model.ref: outage.error.kind if outage else None
        for backend, outage in chain.attendance()
    }


async def test_each_model_that_is_on_is_there_with_what_stands_against_it(world: Any) -> None:
    world.add("groq/a", fault("groq/a", ErrorKind.DAY))
    world.add("mistral/b")
    world.add("cohere/c")
    world.off["cohere"] = "no key"
    chain = world.chain(routes={"general": ("groq",)})
    assert told(chain) == {"groq/a": None, "mistral/b": None}
    await ask(chain)
    assert told(chain) == {"groq/a": ErrorKind.DAY, "mistral/b": None}


async def test_each_key_of_a_model_is_there(world: Any) -> None:
    world.add("groq/a")
    world.keys["groq"] = 2
    keys = [backend.deployment.key_id for backend, _ in world.chain().attendance()]
    assert len(set(keys)) == 2


@pytest.mark.parametrize("listed", [True, False])
async def test_a_replacement_is_there_once_its_model_is_gone(world: Any, listed: bool) -> None:
    world.add("groq/old", fault("groq/old", ErrorKind.MODEL_GONE), replacement="new")
    if listed:
        world.add("groq/new")
    world.add("mistral/b")
    chain = world.chain(routes={"general": ("groq/old", "mistral")})
    assert list(told(chain)) == ["groq/old", *(["groq/new"] if listed else []), "mistral/b"]
    for backend in chain._heirs.backends():
        backend._built = backend._built or world.scripts["mistral/b"]
    await ask(chain)
    assert told(chain) == {
        "groq/old": ErrorKind.MODEL_GONE,
        "groq/new": None,
        "mistral/b": None,
    }
