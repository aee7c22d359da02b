"""A run is taken over from a server that is gone, and never from one that is only slow."""

from datetime import UTC, datetime, timedelta

from potluck.server.lease_terms import (
    AEGRA_SETTINGS,
    DEAD_AFTER_S,
    HEARTBEAT_S,
    LEASE_S,
    SILENT_AFTER_S,
)
from potluck.server.leases import Held, Watch

START = datetime(2026, 11, 21, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def held(*, renewed: int = 0, is_there: bool = True) -> Held:
    return Held("run", "host-1-abc-worker-0", START + timedelta(seconds=renewed), is_there)


def seconds_until_taken(watch: Watch, clock: Clock, one: Held, *, most_s: int = 60) -> int | None:
    for second in range(most_s):
        if watch.look([one]):
            return second
        clock.now_s += 1.0
    return None


def test_a_dead_servers_run_is_taken_soon() -> None:
    clock = Clock()
    assert seconds_until_taken(Watch(clock), clock, held(is_there=False)) == DEAD_AFTER_S


def test_a_silent_server_whose_process_is_there_is_given_longer() -> None:
    clock = Clock()
    assert seconds_until_taken(Watch(clock), clock, held()) == SILENT_AFTER_S


def test_a_run_that_is_renewed_is_never_taken() -> None:
    clock = Clock()
    watch = Watch(clock)
    for second in range(120):
        renewed = second - second % int(HEARTBEAT_S)
        assert watch.look([held(renewed=renewed, is_there=False)]) == []
        clock.now_s += 1.0


def test_the_lease_as_written_counts_for_nothing_so_that_clocks_may_differ() -> None:
    clock = Clock()
    long_ago = held(renewed=-86_400)
    assert Watch(clock).look([long_ago]) == []


def test_after_an_outage_everybody_has_time_to_renew() -> None:
    clock = Clock()
    watch = Watch(clock)
    watch.look([held(is_there=False)])
    # The database was out: nobody could renew, and nobody could look
    clock.now_s += 300.0
    assert watch.look([held(is_there=False)]) == []
    clock.now_s += 1.0
    assert watch.look([held(renewed=301)]) == []


def test_what_has_ended_is_forgotten() -> None:
    clock = Clock()
    watch = Watch(clock)
    watch.look([held(is_there=False)])
    clock.now_s += 1.0
    watch.look([])
    clock.now_s += 3.0
    assert watch.look([held(is_there=False)]) == []


def test_aegra_takes_the_terms() -> None:
    assert 2 * HEARTBEAT_S <= DEAD_AFTER_S < SILENT_AFTER_S < LEASE_S
    assert int(AEGRA_SETTINGS["LEASE_DURATION_SECONDS"]) > 2 * HEARTBEAT_S
