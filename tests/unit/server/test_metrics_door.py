"""`GET /metrics` on an engine of stand-ins."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from potluck.engine import Engine, use_engine
from potluck.errors import ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.outages import Outage
from potluck.quota.limiter import NoLimiter
from potluck.quota.parked_run import ParkedRun
from potluck.quota.parking import ParkedRuns
from potluck.quota.windows import Deployment, Use
from potluck.server import metrics_door, metrics_reading
from potluck.server.metrics import Metrics
from potluck.server.ownership import Caller, asked_by
from tests.unit.server.metrics_stage import ACCOUNT, Attended, Used, stocked_engine


@pytest.fixture
def stocked(engine: Engine) -> Engine:
    return stocked_engine(engine)


async def scrape(used: Engine, metrics: Metrics | None = None, accept: str = "") -> httpx.Response:
    app = FastAPI()
    metrics_door.mount(app, metrics or Metrics())
    transport = httpx.ASGITransport(app)
    with use_engine(used):
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get("/metrics", headers={"Accept": accept})


async def samples(used: Engine, metrics: Metrics | None = None) -> dict[tuple[str, ...], float]:
    """Each sample by its name and its labels' values."""
    answer = await scrape(used, metrics)
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, *(sample.labels[key] for key in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_each_window_is_told_once_the_tighter_of_two(stocked: Engine) -> None:
    told = await samples(stocked)
    left = {key[1:]: value for key, value in told.items() if key[0] == "potluck_quota_left"}
    assert left == {
        (ACCOUNT, "m", "groq", "requests_per_day"): 4,
        (ACCOUNT, "n", "groq", "requests_per_day"): 4,
        (ACCOUNT, "", "groq", "tokens_per_minute"): 5000,
    }
    assert told["potluck_quota_limit", ACCOUNT, "", "groq", "tokens_per_minute"] == 6000


async def test_models_and_providers_are_there_or_not(stocked: Engine) -> None:
    told = await samples(stocked)
    assert told["potluck_provider_on", "groq"] == 1
    assert told["potluck_provider_on", "cohere"] == 0
    assert told["potluck_model_available", ACCOUNT, "m", "groq"] == 1
    full = await samples(replace(stocked, limiter=Used(used=10)))
    assert full["potluck_model_available", ACCOUNT, "m", "groq"] == 0


async def test_a_model_that_is_out_is_not_available(stocked: Engine) -> None:
    fault = ProviderFault(ErrorKind.AUTH, ErrorScope.KEY, "wrong key")
    later = datetime.now(UTC) + timedelta(hours=1)
    chain: Any = Attended(Outage(ProviderError("groq", "m", fault), later, certain=True))
    told = await samples(replace(stocked, chain=chain))
    assert told["potluck_model_available", ACCOUNT, "m", "groq"] == 0
    assert told["potluck_model_available", ACCOUNT, "n", "groq"] == 1


async def test_parked_runs_are_told_by_priority(stocked: Engine) -> None:
    now = datetime.now(UTC)
    for name in ("a", "b"):
        await stocked.parking.note(
            ParkedRun(
                thread_id=name, run_id=name, resume_at=now, since=now, reason="full",
                context={"priority": "background"},
            )
        )  # fmt: skip
    told = await samples(stocked)
    assert told["potluck_parked_runs", "background"] == 2
    assert told["potluck_parked_runs", "interactive"] == 0


async def test_what_the_database_cannot_tell_is_left_out(stocked: Engine) -> None:
    class Away(ParkedRuns):
        async def list(self) -> list[ParkedRun]:
            raise psycopg.OperationalError("away")

    told = await samples(replace(stocked, parking=Away()))
    assert not any(key[0] == "potluck_parked_runs" for key in told)
    assert ("potluck_quota_left", ACCOUNT, "m", "groq", "requests_per_day") in told


async def test_a_quota_that_cannot_be_read_in_time_is_no_answer(
    stocked: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(NoLimiter):
        async def uses(self, deployment: Deployment) -> list[Use]:  # noqa: ARG002 # as above
            await asyncio.sleep(10)
            return []

    monkeypatch.setattr(metrics_reading, "TIMEOUT_S", 0.01)
    answer = await scrape(replace(stocked, limiter=Slow()))
    assert answer.status_code == 503


async def test_counters_of_the_process_are_told_beside_it(stocked: Engine) -> None:
    metrics = Metrics()
    metrics.note_run("success", 2.0)
    told = await samples(stocked, metrics)
    assert told["potluck_runs_total", "success"] == 1
    assert told[("process_open_fds",)] > 0
    assert told[("potluck_database_up",)] == 1
    assert told[("potluck_usage_history_dropped_total",)] == 0


async def test_openmetrics_is_given_to_whoever_asks_for_it(stocked: Engine) -> None:
    plain = await scrape(stocked)
    assert plain.headers["content-type"].startswith("text/plain; version=")
    modern = await scrape(stocked, accept="application/openmetrics-text;version=1.0.0")
    assert modern.headers["content-type"].startswith("application/openmetrics-text")
    assert modern.text.endswith("# EOF\n")


@pytest.fixture
def as_role(request: pytest.FixtureRequest) -> Iterator[None]:
    with asked_by(Caller("ann", request.param, key="ann")):
        yield


@pytest.mark.parametrize("as_role", ["admin", "metrics"], indirect=True)
@pytest.mark.usefixtures("as_role")
async def test_admins_and_those_who_only_count_may_read(stocked: Engine) -> None:
    assert (await scrape(stocked)).status_code == 200


@pytest.mark.parametrize("as_role", ["user"], indirect=True)
@pytest.mark.usefixtures("as_role")
async def test_a_user_may_not_and_is_told_which_key_may(stocked: Engine) -> None:
    answer = await scrape(stocked)
    assert answer.status_code == 403
    assert "name:secret:metrics" in answer.text
