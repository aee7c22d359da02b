"""Requests of one key at several servers count together."""

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import redis

from potluck.engine import use_engine
from potluck.pool import Pool
from potluck.server.auth_rates import Buckets
from potluck.server.auth_shared_rates import RedisCount, SharedRates, TableCount
from tests.chromium import missing

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

LIMIT = 30
SERVERS = 3


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a Redis of this module's own."""
    program = shutil.which("redis-server")
    if program is None:
        missing("Redis", "`apt install redis-server`")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    folder = tmp_path_factory.mktemp("redis")
    command = [str(program), "--port", str(port), "--save", "", "--dir", str(folder)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    with redis.Redis(port=port) as client:
        while True:
            try:
                client.ping()
            except redis.ConnectionError:
                assert time.monotonic() < deadline, "Redis did not start"
                time.sleep(0.05)
            else:
                return


def having(pool: Pool) -> Any:
    """Stands in for the engine."""
    return SimpleNamespace(pool=pool)


async def passed(servers: list[SharedRates], key: str, requests: int) -> list[int]:
    """The waits of requests that come to all servers at the same time."""
    return await asyncio.gather(*(servers[n % SERVERS].take(key) for n in range(requests)))


async def check_together(counts: list[Any]) -> None:
    servers = [SharedRates(count, Buckets(LIMIT)) for count in counts]
    waits = await passed(servers, "ann", LIMIT)
    assert waits == [0] * LIMIT
    more = await passed(servers, "ann", 6)
    assert sum(not wait_s for wait_s in more) <= 1, "at most what has flowed back meanwhile"
    assert max(more) <= 3
    assert await servers[0].take("bob") == 0
    await asyncio.sleep(max(more))
    assert await servers[1].take("ann") == 0, "who waits as told goes on"
    for server in servers:
        await server.aclose()


async def test_servers_with_one_redis_count_together(redis_port: int) -> None:
    await check_together([RedisCount(f"redis://127.0.0.1:{redis_port}", LIMIT) for _ in range(3)])


async def test_redis_forgets_who_has_not_asked_for_a_minute(redis_port: int) -> None:
    count = RedisCount(f"redis://127.0.0.1:{redis_port}", LIMIT)
    await count.take("cid")
    with redis.Redis(port=redis_port) as client:
        (kept,) = client.scan_iter("potluck:*cid")
        assert 0 < client.pttl(kept) <= 60_000
    await count.aclose()


async def test_servers_with_one_database_count_together(pool: Pool) -> None:
    with use_engine(having(pool)):
        await check_together([TableCount(LIMIT) for _ in range(SERVERS)])


async def test_a_bucket_is_full_again_after_a_minute(pool: Pool) -> None:
    with use_engine(having(pool)):
        count = TableCount(2)
        assert [await count.take("ann") for _ in range(2)] == [0, 0]
        assert 29 < await count.take("ann") <= 30
        async with pool.connection() as connection:
            await connection.execute(
                "UPDATE request_buckets SET full_at = full_at - interval '1 hour'"
            )
        assert [await count.take("ann") for _ in range(2)] == [0, 0]
        assert await count.take("ann") > 29


def test_two_servers_on_one_database_keep_one_limit(
    start_server: Callable[..., Any], postgres_url: str, redis_port: int
) -> None:
    env = {
        "DATABASE_URL": postgres_url,
        "REDIS_URL": f"redis://127.0.0.1:{redis_port}",
        "POTLUCK_API_KEYS": "cy:of-cy,bob:of-bob",
        "POTLUCK_REQUESTS_PER_MINUTE": "4",
    }
    urls = [start_server(env=env).url for _ in range(2)]

    def asked(key: str) -> list[int]:
        headers = {"X-Api-Key": key}
        return [
            httpx.get(f"{urls[n % 2]}/v1/models", headers=headers).status_code for n in range(6)
        ]

    assert asked("of-cy") == [200] * 4 + [429] * 2
    assert asked("of-bob") == [200] * 4 + [429] * 2
