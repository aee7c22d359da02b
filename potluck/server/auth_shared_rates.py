"""How many requests a key may make in a minute, counted together with the other servers."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, cast

import psycopg
import redis
from redis.asyncio import Redis

from potluck import engine
from potluck.server.auth_rates import Buckets, Rates
from potluck.settings import Settings

TIMEOUT_S = 0.5
REST_S = 5.0
"""How long this process counts alone after the shared count could not be reached."""
REDIS_PREFIX = "potluck:requests:"

logger = logging.getLogger(__name__)

# One number for each key: when its bucket is full again. Redis's own clock counts for all.
_TAKE_IN_REDIS = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local step = 60 / tonumber(ARGV[1])
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now) + step
local wait = full_at - now - 60
if wait > 0.000001 then return string.format('%.6f', wait) end
local keep_ms = math.ceil((full_at - now) * 1000) + 1000
redis.call('SET', KEYS[1], string.format('%.6f', full_at), 'PX', keep_ms)
return '0'
"""
_TAKE_IN_TABLE = "SELECT take_request(%s, %s)"


class SharedCount(Protocol):
    """Counts requests in one place for all servers."""

    async def take(self, key: str) -> float:
        """Count one request; 0, or after how many seconds the next one may go on.

        Raises RedisError, psycopg.Error or OSError when the place cannot be reached.
        """

    async def aclose(self) -> None:
        """Close its connections."""


class RedisCount:
    """Counts in Redis, in one round trip."""

    def __init__(self, url: str, requests_per_minute: int) -> None:
        self._most = requests_per_minute
        self._redis: Redis = Redis.from_url(
            url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S
        )
        self._take = self._redis.register_script(_TAKE_IN_REDIS)

    async def take(self, key: str) -> float:
        """Count one request; 0, or after how many seconds the next one may go on."""
        # The script's result is bytes, which redis-py does not declare
        told = self._take(keys=[REDIS_PREFIX + key], args=[self._most])
        return float(await cast("Awaitable[bytes]", told))

    async def aclose(self) -> None:
        """Close its connections."""
        await self._redis.aclose()


class TableCount:
    """Counts in PostgreSQL, in one round trip of a function that writes nothing to the log."""

    def __init__(self, requests_per_minute: int) -> None:
        self._most = requests_per_minute

    async def take(self, key: str) -> float:
        """Count one request; 0, or after how many seconds the next one may go on."""
        pool = (await engine.current()).pool
        if pool is None:
            return 0.0
        async with pool.connection() as connection:
            found = await connection.execute(_TAKE_IN_TABLE, (key, self._most))
            row = await found.fetchone()
        return float(row[0]) if row else 0.0

    async def aclose(self) -> None:
        """The connections are the engine's."""


class SharedRates:
    """The shared count, and this process's own while that one cannot be reached.

    What this process has let through counts in both, so that nothing is given twice by a server
    when the shared count goes away; then each server gives the whole rate.
    """

    def __init__(
        self, shared: SharedCount, own: Buckets, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._shared = shared
        self._own = own
        self._clock = clock
        self._alone_until_s = -math.inf
        self._is_alone = False

    async def take(self, key: str) -> int:
        """Count one request; 0 if it may go on, else after how many seconds the next one may."""
        wait_s = self._own.count(key)
        if wait_s or self._clock() < self._alone_until_s:
            return wait_s
        try:
            async with asyncio.timeout(TIMEOUT_S):
                wait_s = math.ceil(await self._shared.take(key))
        except (redis.RedisError, psycopg.Error, OSError) as error:
            self._go_alone(error)
            return 0
        self._is_alone = False
        if wait_s:
            self._own.give_back(key)
        return wait_s

    async def aclose(self) -> None:
        """Let go of the shared count."""
        await self._shared.aclose()

    def _go_alone(self, error: Exception) -> None:
        self._alone_until_s = self._clock() + REST_S
        if not self._is_alone:
            logger.warning(
                "Requests per key are counted by this server alone for now: %s.",
                type(error).__name__,
            )
        self._is_alone = True


def rates_of(settings: Settings) -> Rates:
    """How POTLUCK_REQUESTS_PER_MINUTE is counted: together where servers may share a database."""
    most = settings.potluck_requests_per_minute
    own = Buckets(most)
    if not most or (settings.redis_url is None and settings.database_url is None):
        # The embedded database has one server
        return own
    shared: SharedCount = (
        TableCount(most)
        if settings.redis_url is None
        else RedisCount(settings.redis_url.get_secret_value(), most)
    )
    return SharedRates(shared, own)
