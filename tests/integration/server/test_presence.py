"""A database has one server, or several that share a Redis; who comes in between is told."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from langgraph_sdk.client import SyncLangGraphClient

from potluck.errors import StartError
from potluck.server.lease_terms import PRESENCE_LOCK
from potluck.server.presence import DATABASE_LOCK, shown
from potluck.simulator.reply import Delay, Reply
from potluck.simulator.server import SimulatorServer
from tests.conftest import PotluckServer, make_home, remove

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

WAIT_S = 30.0
AT_ONCE_S = 0.3


@pytest.fixture(scope="module")
def database(postgres_url: str) -> Iterator[str]:
    """A database of this module's own, whose locks are nobody else's."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE lived_in")
        head, mark, query = postgres_url.partition("?")
        yield f"{head.rpartition('/')[0]}/lived_in{mark}{query}"
        connection.execute("DROP DATABASE lived_in WITH (FORCE)")


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found


def connections(url: str, name: str) -> set[int]:
    """The process ids of the database's connections that hold the place of a server."""
    query = (
        "SELECT pid FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE application_name = %s"
        " AND locktype = 'advisory' AND objid::bigint = %s & 4294967295"
    )
    with psycopg.connect(url) as connection:
        return {pid for (pid,) in connection.execute(query, [f"potluck:{name}", DATABASE_LOCK])}


def cut(url: str, name: str) -> None:
    (pid,) = connections(url, name)
    with psycopg.connect(url) as connection:
        connection.execute("SELECT pg_terminate_backend(%s)", [pid])


@pytest.mark.parametrize(
    ("first", "second"), [(False, False), (False, True), (True, False)], ids=str
)
def test_a_server_without_redis_is_alone(database: str, *, first: bool, second: bool) -> None:
    with shown(database, "one", shares=first):
        began_s = time.monotonic()
        with (
            pytest.raises(StartError, match=r"another server \(one\)") as refused,
            shown(database, "two", shares=second, longest_wait_s=AT_ONCE_S),
        ):
            pytest.fail("both were let in")
        assert time.monotonic() - began_s >= AT_ONCE_S
        assert "REDIS_URL" in (refused.value.fix or "")
    with shown(database, "two", shares=second, longest_wait_s=AT_ONCE_S):
        assert connections(database, "two")


def test_servers_with_redis_share_it_and_see_each_other(database: str) -> None:
    query = "SELECT count(*) FROM pg_locks WHERE classid = %s AND objid::bigint = ANY(%s)"
    hashes = "SELECT array_agg(hashtext(name)::bigint & 4294967295) FROM unnest(%s::text[]) AS name"
    with psycopg.connect(database, autocommit=True) as connection:
        names = connection.execute(hashes, [["one", "two"]]).fetchone()
        assert names is not None

        def seen() -> object:
            return connection.execute(query, [PRESENCE_LOCK, names[0]]).fetchone()

        with shown(database, "one", shares=True), shown(database, "two", shares=True):
            assert seen() == (2,)
        wait_for(lambda: seen() == (0,))


def test_one_that_comes_while_another_stops_waits_for_its_end(database: str) -> None:
    with ExitStack() as first:
        first.enter_context(shown(database, "one", shares=False))
        began_s = time.monotonic()
        end = threading.Timer(1.0, first.close)
        end.start()
        with shown(database, "two", shares=False, longest_wait_s=WAIT_S):
            assert time.monotonic() - began_s >= 1.0
        end.join()


def test_a_broken_connection_is_made_anew(database: str) -> None:
    with shown(database, "one", shares=False):
        before = connections(database, "one")
        cut(database, "one")
        wait_for(lambda: connections(database, "one") - before)
        with (
            pytest.raises(StartError, match="another server"),
            shown(database, "two", shares=False, longest_wait_s=AT_ONCE_S),
        ):
            pytest.fail("its place was lost")


def test_one_with_redis_whose_place_is_not_free_yet_waits_beside_the_others(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr("signal.raise_signal", told.append)
    take = "SELECT pg_advisory_lock(%s, hashtext(%s))"
    with (
        shown(database, "two", shares=True),
        shown(database, "one", shares=True),
        ThreadPoolExecutor() as beside,
        psycopg.connect(database, autocommit=True) as gone,
    ):
        # As a connection that the database has not yet noticed to be broken
        holding = beside.submit(gone.execute, take, [PRESENCE_LOCK, "one"])
        before = connections(database, "one")
        cut(database, "one")
        holding.result(WAIT_S)
        wait_for(lambda: connections(database, "one") - before)
        time.sleep(1.5)
        assert told == []


def test_one_whose_place_was_taken_while_it_was_away_stops(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    stopped = threading.Event()
    monkeypatch.setattr("signal.raise_signal", lambda how: (told.append(how), stopped.set()))
    with (
        psycopg.connect(database, autocommit=True) as other,
        ThreadPoolExecutor() as beside,
        shown(database, "one", shares=False),
    ):
        waiting = beside.submit(other.execute, "SELECT pg_advisory_lock(%s)", [DATABASE_LOCK])
        cut(database, "one")
        waiting.result(WAIT_S)
        assert stopped.wait(WAIT_S)
        assert told == [15]


def test_a_restart_elsewhere_waits_for_the_old_one_and_takes_up_its_runs(
    database: str,
    start_server: Callable[..., PotluckServer],
    connect: Callable[[str], SyncLangGraphClient],
) -> None:
    with SimulatorServer() as upstream, ThreadPoolExecutor() as beside:
        upstream.script.on(Reply(text="late", delay=Delay(first_byte_s=60)), times=1)
        upstream.script.on(Reply(text="Here."))
        env = {"DATABASE_URL": database}
        old = start_server(simulator=upstream, env=env)
        client = connect(old.url)
        thread_id = client.threads.create()["thread_id"]
        question: Any = {"messages": [{"role": "user", "content": "Hello"}]}
        run_id = client.runs.create(thread_id, "agent", input=question)["run_id"]
        assert upstream.log.wait_for(1, timeout_s=WAIT_S)
        new = PotluckServer(make_home(), upstream, env=env)
        try:
            started = beside.submit(new.start)
            wait_for(lambda: (new.home / "output.log").exists() and "used by" in new.output)
            assert len(upstream.log) == 1, "it took up the run of a living server"
            assert old.stop() == 0
            started.result(WAIT_S)
            client = connect(new.url)
            wait_for(lambda: client.runs.get(thread_id, run_id)["status"] == "success")
            state: Any = client.threads.get_state(thread_id)
            assert [m["content"] for m in state["values"]["messages"]] == ["Hello", "Here."]
        finally:
            remove(new)
