"""Whoever watches a call is told that it waits for room, unless that takes but a moment."""

from datetime import timedelta
from typing import Any

import pytest

from potluck.providers import patience
from potluck.providers.catalog import Limits, Waiting
from potluck.providers.chain import Call, Chain
from potluck.providers.course import Wait

MINUTE = Limits(requests_per_minute=1)
PATIENT = Waiting(background_seconds=90)


async def waits_of(chain: Chain, *, streamed: bool) -> list[Wait]:
    told: list[Wait] = []
    runnable = chain.runnable(Call(priority="background", on_wait=told.append))
    if streamed:
        async for _ in runnable.astream("hi"):
            pass
    else:
        await runnable.ainvoke("hi")
    return told


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_wait_is_told_once_with_the_models_and_its_end(
    world: Any, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    monkeypatch.setattr(patience, "TOLD_AFTER_S", 0)
    world.add("a/1", limits=MINUTE)
    chain = world.chain(waiting=PATIENT)
    assert await waits_of(chain, streamed=streamed) == []
    began = world.clock.now
    (wait,) = await waits_of(chain, streamed=streamed)
    assert wait.refs == ("a/1",)
    assert began + timedelta(seconds=55) < wait.until <= began + timedelta(seconds=90)


async def test_a_moment_is_nobodys_concern(world: Any) -> None:
    world.add("a/1", limits=MINUTE)
    chain = world.chain(waiting=PATIENT)
    await waits_of(chain, streamed=False)
    # By the world's clock a minute passes, by that of the machine hardly any time.
    assert await waits_of(chain, streamed=False) == []


async def test_nobody_needs_to_listen(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "TOLD_AFTER_S", 0)
    world.add("a/1", limits=MINUTE)
    chain = world.chain(waiting=PATIENT)
    for _ in range(2):
        answer = await chain.runnable(Call(priority="background")).ainvoke("hi")
        assert answer.text == "I am a/1."
