"""What has been kept for too long goes, and nothing else: on a real PostgreSQL."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from psycopg import AsyncConnection
from typing_extensions import TypedDict

from potluck.pool import migrate
from potluck.providers.catalog import Catalog, Retention
from potluck.server.retention import PruneBusyError, Sweep, Swept
from potluck.server.run_marks import STATELESS
from tools.workspace import folder_of

pytestmark = pytest.mark.integration

NOW = datetime.now(UTC)
GENEROUS = Retention()


class Talk(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    constant: str


@pytest.fixture(scope="module")
def server_tables(postgres_url: str) -> str:
    """A database with the tables of Aegra."""
    code = "from aegra_api.core.migrations import run_migrations; run_migrations()"
    subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "DATABASE_URL": postgres_url}, capture_output=True, check=True,
    )  # fmt: skip
    return postgres_url


@pytest.fixture
async def connection(server_tables: str) -> AsyncIterator[AsyncConnection]:
    async with await AsyncConnection.connect(server_tables, autocommit=True) as opened:
        await opened.execute("DROP SCHEMA IF EXISTS potluck CASCADE")
        await migrate(server_tables)
        await opened.execute("TRUNCATE public.thread, public.assistant CASCADE")
        async with AsyncPostgresSaver.from_conn_string(server_tables) as saver:
            await saver.setup()
        for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes"):
            await opened.execute(f"TRUNCATE public.{table}".encode())
        yield opened


@pytest.fixture
async def graph(connection: AsyncConnection, server_tables: str) -> AsyncIterator[Any]:
    """An agent that keeps its threads there, one checkpoint and two more a turn."""

    def answer(state: Talk) -> dict[str, Any]:
        return {"messages": [("ai", f"answer {len(state['messages'])}")]}

    builder: StateGraph[Any] = StateGraph(Talk)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    async with AsyncPostgresSaver.from_conn_string(server_tables) as saver:
        yield builder.compile(checkpointer=saver)


def config(thread_id: str) -> Any:
    return {"configurable": {"thread_id": thread_id}}


async def talk(
    connection: AsyncConnection,
    graph: CompiledStateGraph[Any, Any, Any, Any],
    thread_id: str,
    *,
    turns: int = 1,
    days: float = 0,
    status: str = "idle",
) -> None:
    """A thread with so many turns, last used so many days ago."""
    at = NOW - timedelta(days=days)
    await connection.execute(
        "INSERT INTO public.thread (thread_id, user_id, status, created_at, updated_at)"
        " VALUES (%s, 'anonymous', %s, %s, %s)",
        [thread_id, status, at, at],
    )
    for turn in range(turns):
        said = {"messages": [HumanMessage(f"question {turn}")], "constant": "from the first turn"}
        await graph.ainvoke(said if not turn else {"messages": said["messages"]}, config(thread_id))


async def run(connection: AsyncConnection, thread_id: str, *, status: str, days: float) -> None:
    at = NOW - timedelta(days=days)
    await connection.execute(
        "INSERT INTO public.runs (thread_id, user_id, status, output, created_at, updated_at)"
        " VALUES (%s, 'anonymous', %s, %s, %s, %s)",
        [thread_id, status, '{"text": "' + os.urandom(2000).hex() + '"}', at, at],
    )


async def mark_stateless(connection: AsyncConnection, thread_id: str) -> None:
    params = json.dumps({"run_metadata": {STATELESS: True}})
    await connection.execute(
        "UPDATE public.runs SET execution_params = %s WHERE thread_id = %s", [params, thread_id]
    )


async def park(connection: AsyncConnection, thread_id: str, *, days: float) -> None:
    await connection.execute(
        "INSERT INTO potluck.parked_runs VALUES"
        " (%s, 'run', now(), %s, 'out', '{}', '{}', '{}', NULL, 1)",
        [thread_id, NOW - timedelta(days=days)],
    )


async def sweep(
    url: str, home: Path, *, dry: bool = False, give_up: Any = None, **policy: Any
) -> dict[str, Swept]:
    catalog = Catalog(providers={}, routes={}, retention=replace(GENEROUS, **policy))
    made = Sweep(catalog, home, lambda: NOW, dry=dry, give_up=give_up)
    return {one.kind: one for one in await made.run(url)}


async def threads(connection: AsyncConnection) -> set[str]:
    rows = await connection.execute("SELECT thread_id FROM public.thread")
    return {thread_id for (thread_id,) in await rows.fetchall()}


async def count(connection: AsyncConnection, table: str) -> int:
    statement = f"SELECT count(*) FROM {table}".encode()  # noqa: S608 - one of this file
    row = await (await connection.execute(statement)).fetchone()
    return int(row[0]) if row else 0


def workspace(home: Path, thread_id: str, *, days: float, size: int = 1000) -> Path:
    folder = folder_of(home, thread_id)
    folder.mkdir(parents=True)
    (folder / "data").write_bytes(b"x" * size)
    at = time.time() - days * 86_400
    os.utime(folder / "data", (at, at))
    os.utime(folder, (at, at))
    return folder


class TestThreads:
    async def test_unused_for_too_long_go_with_all_that_is_theirs(
        self, connection: AsyncConnection, graph: Any, server_tables: str, tmp_path: Path
    ) -> None:
        await talk(connection, graph, "old", days=40)
        await run(connection, "old", status="success", days=40)
        await talk(connection, graph, "young", days=20)
        gone = workspace(tmp_path, "old", days=40)
        kept = workspace(tmp_path, "young", days=20)
        swept = await sweep(server_tables, tmp_path, thread_days=30)
        assert (swept["threads"].old, swept["threads"].beyond) == (1, 0)
        assert swept["threads"].size_bytes > 0
        assert await threads(connection) == {"young"}
        assert (await graph.aget_state(config("old"))).values == {}
        assert await count(connection, "public.runs") == 0
        assert not gone.exists()
        assert kept.exists()

    async def test_in_use_stay_whatever_their_age(
        self, connection: AsyncConnection, graph: Any, server_tables: str, tmp_path: Path
    ) -> None:
        for name in ("running", "pending", "parked", "busy", "scheduled", "used"):
            status = "busy" if name == "busy" else "idle"
            await talk(connection, graph, name, turns=3, days=400, status=status)
            workspace(tmp_path, name, days=500)
        await run(connection, "running", status="running", days=400)
        await run(connection, "pending", status="pending", days=400)
        await run(connection, "used", status="success", days=1.5)
        await park(connection, "parked", days=20)
        await connection.execute("INSERT INTO public.assistant (assistant_id, name, graph_id, user_id) VALUES ('a', 'a', 'agent', 'x')")  # fmt: skip # noqa: E501
        await connection.execute("INSERT INTO public.crons (assistant_id, thread_id, user_id, schedule) VALUES ('a', 'scheduled', 'x', '* * * * *')")  # fmt: skip # noqa: E501
        before = await count(connection, "public.checkpoints")
        strict = {
            "thread_days": 30, "threads_megabytes": 1e-6, "checkpoints_per_thread": 1,
            "workspace_days": 30, "workspaces_megabytes": 1e-6, "run_days": 1,
        }  # fmt: skip
        swept = await sweep(server_tables, tmp_path, **strict)
        # The size of all counts for one that was merely used
        assert await threads(connection) == {"running", "pending", "parked", "busy", "scheduled"}
        assert swept["threads"].beyond == 1
        assert await count(connection, "public.checkpoints") == before * 5 // 6
        assert {one.name for one in (tmp_path / "workspaces").iterdir()} == await threads(
            connection
        )

    async def test_made_for_a_stateless_run_go_soon_after_it(
        self, connection: AsyncConnection, graph: Any, server_tables: str, tmp_path: Path
    ) -> None:
        """Whose caller took its answer, that one is gone with it: here the caller was gone."""
        hours = {"just ended": 0.5, "left": 2, "at work": 2, "used again": 2, "kept": 2}
        for name, ago in hours.items():
            await talk(connection, graph, name, days=ago / 24)
            status = "running" if name == "at work" else "success"
            await run(connection, name, status=status, days=ago / 24)
            if name != "kept":
                await mark_stateless(connection, name)
        await run(connection, "used again", status="success", days=2 / 24)
        gone = workspace(tmp_path, "left", days=2 / 24)
        told = await sweep(server_tables, tmp_path, dry=True)
        swept = await sweep(server_tables, tmp_path)
        assert (told["threads"].old, swept["threads"].old) == (1, 1)
        assert await threads(connection) == set(hours) - {"left"}
        assert not gone.exists()

    async def test_too_large_together_the_longest_unused_go(
        self, connection: AsyncConnection, graph: Any, server_tables: str, tmp_path: Path
    ) -> None:
        for days in (50, 40, 30, 20):
            await talk(connection, graph, f"{days} days", days=days)
        rows = await connection.execute(
            "SELECT sum(pg_column_size(checkpoint) + pg_column_size(metadata) + 150)"
            " + (SELECT sum(coalesce(pg_column_size(blob), 0) + 150) FROM public.checkpoint_blobs)"
            " + (SELECT sum(pg_column_size(blob) + 150) FROM public.checkpoint_writes)"
            " FROM public.checkpoints"
        )
        size = float((await rows.fetchone() or (0,))[0])
        await sweep(server_tables, tmp_path, threads_megabytes=size * 0.6 / 1e6)
        assert await threads(connection) == {"30 days", "20 days"}

    async def test_a_dry_run_tells_the_same_and_changes_nothing(
        self, connection: AsyncConnection, graph: Any, server_tables: str, tmp_path: Path
    ) -> None:
        await talk(connection, graph, "old", days=40)
        await talk(connection, graph, "long", turns=10, days=1)
        for days in (40, 30):
            await run(connection, "long", status="success", days=days)
        workspace(tmp_path, "gone", days=50)
        limits: Any = {
            "thread_days": 30, "checkpoints_per_thread": 5, "run_days": 35, "workspace_days": 30
        }  # fmt: skip
        told = await sweep(server_tables, tmp_path, dry=True, **limits)
        assert await threads(connection) == {"old", "long"}
        assert await count(connection, "public.runs") == 2
        assert (tmp_path / "workspaces" / "gone").exists()
        done = await sweep(server_tables, tmp_path, **limits)
        assert {k: (v.old, v.beyond) for k, v in told.items()} == {
            k: (v.old, v.beyond) for k, v in done.items()
        }
        assert (done["threads"].old, done["runs"].old, done["workspaces"].old) == (1, 1, 1)
        again = await sweep(server_tables, tmp_path, **limits)
        assert all(one.old == one.beyond == 0 for one in again.values())

    async def test_whoever_comes_meanwhile_finds_the_thread(
        self, connection: AsyncConnection, graph: Any, server_tables: str, tmp_path: Path
    ) -> None:
        await talk(connection, graph, "old", days=40)
        async with await AsyncConnection.connect(server_tables) as other:
            # A run is being made: its thread is held until that is done
            await other.execute(
                "INSERT INTO public.runs (thread_id, user_id) VALUES ('old', 'anonymous')"
            )
            await sweep(server_tables, tmp_path, thread_days=30)
            await other.commit()
        await sweep(server_tables, tmp_path, thread_days=30)
        assert await threads(connection) == {"old"}


class TestPasts:
    async def test_long_ones_are_thinned_and_go_on_as_before(
        self, connection: AsyncConnection, graph: Any, server_tables: str, tmp_path: Path
    ) -> None:
        await talk(connection, graph, "long", turns=20, days=1)
        before = await graph.aget_state(config("long"))
        history = [one async for one in graph.aget_state_history(config("long"))]
        blobs = await count(connection, "public.checkpoint_blobs")
        swept = await sweep(server_tables, tmp_path, checkpoints_per_thread=10)
        assert swept["checkpoints"].beyond == len(history) - 11
        left = [one async for one in graph.aget_state_history(config("long"))]
        # The last ten as they were, and the first, from which the first question is asked anew
        assert [one.values for one in left[:10]] == [one.values for one in history[:10]]
        assert left[-1].values == history[-1].values
        assert len(left) == 11
        assert await count(connection, "public.checkpoint_blobs") < blobs / 2
        assert (await graph.aget_state(config("long"))).values == before.values
        assert before.values["constant"] == "from the first turn"
        await graph.ainvoke({"messages": [HumanMessage("more")]}, config("long"))
        after = (await graph.aget_state(config("long"))).values
        assert len(after["messages"]) == len(before.values["messages"]) + 2
        orphans = await connection.execute(
            "SELECT count(*) FROM public.checkpoint_writes AS w WHERE NOT EXISTS ("
            "SELECT FROM public.checkpoints AS c WHERE c.checkpoint_id = w.checkpoint_id)"
        )
        assert (await orphans.fetchone() or (1,))[0] == 0

    async def test_one_that_was_just_used_is_left_alone(
        self, connection: AsyncConnection, graph: Any, server_tables: str, tmp_path: Path
    ) -> None:
        await talk(connection, graph, "long", turns=10)
        before = await count(connection, "public.checkpoints")
        await sweep(server_tables, tmp_path, checkpoints_per_thread=2)
        assert await count(connection, "public.checkpoints") == before

    async def test_old_ones_go_down_to_the_present_state(
        self, connection: AsyncConnection, graph: Any, server_tables: str, tmp_path: Path
    ) -> None:
        await talk(connection, graph, "long", turns=10, days=1)
        state = (await graph.aget_state(config("long"))).values
        later = Sweep(
            Catalog(providers={}, routes={}, retention=replace(GENEROUS, checkpoint_days=7)),
            tmp_path,
            lambda: NOW + timedelta(days=30),
        )
        await later.run(server_tables)
        assert await count(connection, "public.checkpoints") == 1
        assert (await graph.aget_state(config("long"))).values == state


class TestTables:
    async def test_finished_runs_go_but_never_the_last_of_a_thread(
        self, connection: AsyncConnection, graph: Any, server_tables: str, tmp_path: Path
    ) -> None:
        await talk(connection, graph, "one", days=1)
        for days in (50, 45, 40):
            await run(connection, "one", status="success", days=days)
        swept = await sweep(server_tables, tmp_path, run_days=30)
        assert swept["runs"].old == 2
        row = await (await connection.execute("SELECT created_at FROM public.runs")).fetchone()
        assert row == (NOW - timedelta(days=40),)

    async def test_too_large_the_oldest_rows_go(
        self, connection: AsyncConnection, graph: Any, server_tables: str, tmp_path: Path
    ) -> None:
        await talk(connection, graph, "one", days=1)
        for days in range(20, 0, -1):
            await run(connection, "one", status="success", days=days)
        # Each takes some 4.5 kB
        swept = await sweep(server_tables, tmp_path, runs_megabytes=0.03)
        assert 12 <= swept["runs"].beyond <= 15
        assert await count(connection, "public.runs") == 20 - swept["runs"].beyond
        row = await (await connection.execute("SELECT min(created_at) FROM public.runs")).fetchone()
        assert row
        assert row[0] > NOW - timedelta(days=9)

    async def test_calls_and_cached_answers_go_by_their_own_ages(
        self, connection: AsyncConnection, server_tables: str, tmp_path: Path
    ) -> None:
        for days in (100, 0.5):
            at = NOW - timedelta(days=days)
            await connection.execute(
                "INSERT INTO potluck.calls VALUES (gen_random_uuid(), 1, %s, 'p', 'm', '', '', 'g',"
                " 'i', 'ok', NULL, 1, 1, NULL, NULL, 1, 1)",
                [at],
            )
            await connection.execute(
                "INSERT INTO potluck.cached_answers VALUES (%s, 'x', 10, %s, now(), '{}')",
                [str(days).encode(), at],
            )
        swept = await sweep(server_tables, tmp_path)
        assert (swept["calls"].old, swept["cache"].old) == (1, 1)
        assert await count(connection, "potluck.calls") == 1

    async def test_daily_sums_outlive_their_calls(
        self, connection: AsyncConnection, server_tables: str, tmp_path: Path
    ) -> None:
        for days in (2000, 1000, 0):
            await connection.execute(
                "INSERT INTO potluck.call_days"
                " VALUES (%s, 'p', 'm', '', 'g', 'ok', 1, 1, 1, 0, 1, 1, 0, 0)",
                [(NOW - timedelta(days=days)).date()],
            )
        assert (await sweep(server_tables, tmp_path))["sums"].old == 1
        assert await count(connection, "potluck.call_days") == 2

    async def test_responses_go_by_their_last_use_and_never_in_the_middle_of_work(
        self, connection: AsyncConnection, server_tables: str, tmp_path: Path
    ) -> None:
        kept = {
            "used": ("completed", 5, 90),
            "in the making": ("in_progress", 20, 1),
        }
        gone = {
            "unused": ("completed", 20, 90),
            "in progress by name": ("queued", 20, 20),
        }
        for name, (status, used, worked) in (kept | gone).items():
            await connection.execute(
                "INSERT INTO potluck.responses (id, tenant, thread, status, created_at, used_at,"
                " worked_at, body, input, said, item_ids)"
                " VALUES (%s, '', '', %s, %s, %s, %s, '{}', '[]', '[]', '{}')",
                [name, status, NOW, *(NOW - timedelta(days=one) for one in (used, worked))],
            )
        swept = await sweep(server_tables, tmp_path, responses_days=10)
        assert swept["responses"].old == 2
        rows = await (await connection.execute("SELECT id FROM potluck.responses")).fetchall()
        assert {name for (name,) in rows} == set(kept)


class TestParked:
    async def test_waited_too_long_or_too_many_they_are_given_up(
        self, connection: AsyncConnection, server_tables: str, tmp_path: Path
    ) -> None:
        for number, days in enumerate((40, 3, 2, 1)):
            await park(connection, f"t{number}", days=days)
        given_up: list[str] = []

        async def give_up(thread_id: str) -> bool:
            given_up.append(thread_id)
            return True

        limits: Any = {"parked_days": 30, "parked_runs": 2}
        told = await sweep(server_tables, tmp_path, dry=True, give_up=give_up, **limits)
        assert (told["parked"].old, told["parked"].beyond, given_up) == (1, 1, [])
        done = await sweep(server_tables, tmp_path, give_up=give_up, **limits)
        assert (done["parked"].old, done["parked"].beyond) == (1, 1)
        assert given_up == ["t0", "t1"]

    async def test_without_a_server_they_stay(
        self, connection: AsyncConnection, server_tables: str, tmp_path: Path
    ) -> None:
        await park(connection, "t", days=40)
        assert (await sweep(server_tables, tmp_path))["parked"].old == 0
        assert await count(connection, "potluck.parked_runs") == 1


class TestWorkspaces:
    async def test_of_threads_long_unused_or_gone_go(
        self, connection: AsyncConnection, graph: Any, server_tables: str, tmp_path: Path
    ) -> None:
        await talk(connection, graph, "used", days=2)
        await talk(connection, graph, "unused", days=40)
        kept = [
            workspace(tmp_path, "used", days=50),
            workspace(tmp_path, "fresh-but-gone", days=3),
        ]
        gone = [workspace(tmp_path, name, days=50) for name in ("unused", "gone")]
        swept = await sweep(server_tables, tmp_path, workspace_days=30)
        assert swept["workspaces"].old == 2
        assert all(folder.exists() for folder in kept)
        assert not any(folder.exists() for folder in gone)
        assert await threads(connection) == {"used", "unused"}

    @pytest.mark.usefixtures("connection")
    async def test_too_large_together_the_longest_untouched_go(
        self, server_tables: str, tmp_path: Path
    ) -> None:
        for days in (4, 3, 2, 0):
            workspace(tmp_path, f"{days}-days", days=days, size=1_000_000)
        swept = await sweep(server_tables, tmp_path, workspaces_megabytes=1.5)
        assert swept["workspaces"].beyond == 3
        assert [one.name for one in (tmp_path / "workspaces").iterdir()] == ["0-days"]

    async def test_whoever_comes_back_meanwhile_finds_the_files(
        self, connection: AsyncConnection, graph: Any, server_tables: str, tmp_path: Path
    ) -> None:
        for name in ("first", "second"):
            await talk(connection, graph, name, days=40)
            workspace(tmp_path, name, days=40)
        deleted: list[str] = []

        async def forget(folder: Path) -> None:
            deleted.append(folder.name)
            await connection.execute("UPDATE public.thread SET updated_at = now()")

        catalog = Catalog(providers={}, routes={}, retention=replace(GENEROUS, workspace_days=30))
        await Sweep(catalog, tmp_path, lambda: NOW, forget=forget).run(server_tables)
        assert len(deleted) == 1
        [left] = (tmp_path / "workspaces").iterdir()
        assert left.name not in deleted


async def test_logs_keep_to_their_size(
    connection: AsyncConnection, server_tables: str, tmp_path: Path
) -> None:
    log = tmp_path / "postgres" / "log"
    log.parent.mkdir()
    log.write_text("LOG:  a line\n" * 10_000)
    (tmp_path / "chat_history").write_text("+what was typed\n" * 100_000)
    told = await sweep(server_tables, tmp_path, dry=True, log_megabytes=0.05)
    assert log.stat().st_size == 130_000
    done = await sweep(server_tables, tmp_path, log_megabytes=0.05)
    assert told["logs"] == done["logs"]
    assert done["logs"].beyond == 2
    assert log.stat().st_size <= 25_000
    assert (await sweep(server_tables, tmp_path, log_megabytes=0.05))["logs"].beyond == 0


async def test_one_pass_at_a_time(
    connection: AsyncConnection, server_tables: str, tmp_path: Path
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    await park(connection, "t", days=40)

    async def give_up(_: str) -> bool:
        begun.set()
        await go_on.wait()
        return True

    first = asyncio.create_task(sweep(server_tables, tmp_path, give_up=give_up))
    await begun.wait()
    with pytest.raises(PruneBusyError):
        await sweep(server_tables, tmp_path)
    go_on.set()
    assert (await first)["parked"].old == 1
    await sweep(server_tables, tmp_path)
