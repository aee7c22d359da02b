from datetime import UTC, datetime

import pytest

from potluck.simulator.clock import Clock

START = datetime(2026, 11, 21, tzinfo=UTC)


def test_runs_faster_than_the_world() -> None:
    clock = Clock(speed=1_000_000, start=START)
    first = clock.now()
    assert first >= START
    assert clock.now() > first
    assert clock.real_s(1_000_000) == 1


def test_moves_on_at_once() -> None:
    clock = Clock(start=START)
    clock.advance(3600)
    assert 3600 <= clock.elapsed_s() < 3601


@pytest.mark.parametrize("speed", [0, -1])
def test_cannot_stand_still_or_run_backwards(speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        Clock(speed=speed)
    with pytest.raises(ValueError, match="forwards"):
        Clock().advance(-1)
