"""A server that goes away, and comes back, while its answer is waited for."""

import asyncio

import pytest

from potluck.terminal import lifeline
from potluck.terminal.lifeline import BACK, GONE, watched


async def test_it_is_told_once_when_it_goes_and_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = [True, False, False, True, True, False]
    done = asyncio.Event()

    async def is_there(url: str) -> bool:
        assert url == "http://here"
        if len(left) == 1:
            done.set()
        return left.pop(0) if len(left) > 1 else left[0]

    monkeypatch.setattr(lifeline, "LOOK_EVERY_S", 0)
    monkeypatch.setattr(lifeline, "_is_there", is_there)
    told: list[str] = []
    async with watched("http://here", told.append):
        async with asyncio.timeout(5):
            await done.wait()
        await asyncio.sleep(0)
    assert told == [GONE, BACK, GONE]
    assert len(asyncio.all_tasks()) == 1


async def test_what_goes_wrong_inside_goes_on_outside() -> None:
    with pytest.raises(KeyError):
        async with watched("http://here", print):
            raise KeyError
    assert len(asyncio.all_tasks()) == 1
