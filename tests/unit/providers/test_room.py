"""The room that a model has for a conversation, and conversations made to fit it."""

from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.messages import BaseMessage, HumanMessage

from potluck.errors import ChainError
from potluck.providers.call import Call
from potluck.providers.catalog import Limits

LONG = [HumanMessage("word " * 8_000)]


class Fit:
    """Cuts a conversation to a short one, and keeps for which room."""

    def __init__(self) -> None:
        self.rooms: list[int] = []

    async def __call__(self, _: Sequence[BaseMessage], room: int) -> list[BaseMessage]:
        self.rooms.append(room)
        return [HumanMessage("short")]


def test_the_room_is_what_tools_and_answer_leave_of_the_context(world: Any) -> None:
    world.add("a/1", context=8_192)
    chain = world.chain()
    bare = chain.room(Call())
    assert 6_500 < bare < 7_000

    def tool(text: str) -> str:
        """Say a text with a description of some length, so that it counts for something."""
        return text

    assert 0 < bare - chain.room(Call(tools=[tool])) < 200


def test_the_tokens_of_a_minute_bound_a_single_call_too(world: Any) -> None:
    world.add("a/1", context=131_072, limits=Limits(tokens_per_minute=6_000))
    assert 4_500 < world.chain().room(Call()) < 5_500


def test_of_several_models_the_first_one_counts(world: Any) -> None:
    world.add("a/1", context=8_192)
    world.add("b/2", context=100_000)
    chain = world.chain(routes={"general": ("b", "a")})
    assert chain.room(Call()) > 80_000
    assert chain.room(Call(prefer="a/1")) < 8_192


def test_without_a_known_limit_or_a_model_there_is_no_bound(world: Any) -> None:
    assert world.chain().room(Call()) is None
    world.add("a/1", context=None)
    # Tokens are counted all the same
    assert world.chain().room(Call()) > 10**9


@pytest.mark.parametrize("stream", [False, True])
async def test_a_conversation_is_fitted_to_the_model_that_is_asked(
    world: Any, stream: bool
) -> None:
    asked = world.add("a/1", context=4_096)
    fit = Fit()
    runnable = world.chain().runnable(Call(fit=fit))
    if stream:
        assert [chunk async for chunk in runnable.astream(LONG)]
    else:
        assert (await runnable.ainvoke(LONG)).text
    assert 2_500 < fit.rooms[0] < 4_096
    assert asked.calls[0][0][0].text == "short"


async def test_without_leave_to_shorten_a_model_that_is_too_small_is_left_out(world: Any) -> None:
    world.add("a/1", context=4_096)
    with pytest.raises(ChainError, match="more than its context"):
        await world.chain().runnable(Call(only="a/1")).ainvoke(LONG)
