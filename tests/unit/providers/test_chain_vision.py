"""Calls with images go to models that see; where there is none, whoever is there answers."""

from typing import Any

import pytest

from potluck.errors import ChainError
from potluck.providers.call import Call

SEES = frozenset({"tools", "json", "vision"})
BLIND = frozenset({"tools", "json"})


async def who(chain: Any, **call: Any) -> str:
    answer = await chain.runnable(Call(**call)).ainvoke("hi")
    return str(answer.text)


async def test_only_those_that_see_are_asked(world: Any) -> None:
    world.add("groq/blind", capabilities=BLIND)
    world.add("gemini/sees", capabilities=SEES)
    chain = world.chain()
    assert await who(chain) == "I am groq/blind."
    assert await who(chain, vision=True) == "I am gemini/sees."


async def test_a_model_that_is_only_preferred_leaves_images_to_others(world: Any) -> None:
    world.add("groq/blind", capabilities=BLIND)
    world.add("gemini/sees", capabilities=SEES)
    assert await who(world.chain(), vision=True, prefer="groq/blind") == "I am gemini/sees."


async def test_where_nobody_sees_whoever_is_there_is_told_of_the_image(world: Any) -> None:
    world.add("groq/blind", capabilities=BLIND)
    assert await who(world.chain(), vision=True) == "I am groq/blind."


async def test_who_sees_but_trains_on_prompts_is_not_shown_what_is_private(world: Any) -> None:
    world.add("groq/blind", capabilities=BLIND, provider={"trains_on_prompts": "no"})
    world.add("gemini/sees", capabilities=SEES, provider={"trains_on_prompts": "yes"})
    assert await who(world.chain(), vision=True, private=True) == "I am groq/blind."


async def test_a_model_asked_by_name_must_see(world: Any) -> None:
    world.add("groq/blind", capabilities=BLIND)
    world.add("gemini/sees", capabilities=SEES)
    with pytest.raises(ChainError, match="cannot do what this call needs"):
        await who(world.chain(), vision=True, only="groq/blind")
