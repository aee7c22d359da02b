"""`GET /quota` on an engine of stand-ins."""

from dataclasses import dataclass, replace
from datetime import MAXYEAR, UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from potluck.engine import Engine, use_engine
from potluck.errors import ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.backend import Backend
from potluck.providers.catalog import Model, Provider, ProviderStatus
from potluck.providers.outages import Outage
from potluck.quota.calls import CallRecord
from potluck.quota.limiter import NoLimiter
from potluck.quota.windows import Deployment, Use, Window
from potluck.server import quota_door
from potluck.server.ownership import Caller, asked_by
from potluck.server.quota_state import provider_states

GROQ = Provider("groq", "groq", None, ("K",), (Model("groq", "m"),))
COHERE = Provider("cohere", "openai", None, ("C",), (Model("cohere", "c"),), paid=True)
BACKEND = Backend(GROQ, GROQ.models[0], SecretStr("key"), None)
STATUSES = (
    ProviderStatus(GROQ, on=True, reason="key set"),
    ProviderStatus(COHERE, on=False, reason="C is not set"),
    ProviderStatus(Provider("offline", "offline", None, (), ()), on=True, reason="always there"),
)


@dataclass
class Attended:
    """Stands in for the chain."""

    outage: Outage | None = None

    def attendance(self) -> list[tuple[Backend, Outage | None]]:
        return [(BACKEND, self.outage)]


class Used(NoLimiter):
    async def uses(self, deployment: Deployment) -> list[Use]:
        return [Use(Window(f"{deployment.ref}/day", "requests", "day", 10, "UTC"), 4)]


@pytest.fixture
def stocked(engine: Engine) -> Engine:
    chain: Any = Attended()
    return replace(engine, statuses=STATUSES, chain=chain, limiter=Used())


async def get(used: Engine, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    app = FastAPI()
    quota_door.mount(app)
    transport = httpx.ASGITransport(app)
    with use_engine(used):
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get(path, headers=headers)


async def test_the_report_tells_windows_and_who_is_off(stocked: Engine) -> None:
    answer = await get(stocked, "/quota")
    assert answer.status_code == 200
    groq, cohere = answer.json()["providers"]
    assert (groq["id"], groq["on"], groq["paid"]) == ("groq", True, False)
    (window,) = groq["models"][0]["windows"]
    assert (window["used"], window["left"], window["share"]) == (4, 6, 0.4)
    assert (cohere["on"], cohere["paid"], cohere["reason"]) == (False, True, "C is not set")


async def test_no_key_is_told_only_its_fingerprint(stocked: Engine) -> None:
    answer = await get(stocked, "/quota")
    fingerprint = answer.json()["providers"][0]["models"][0]["key_id"]
    assert fingerprint == BACKEND.deployment.key_id != ""
    assert '"key"' not in answer.text


async def test_days_are_summed_up_as_asked(stocked: Engine) -> None:
    now = datetime.now(UTC)
    for back in (0, 0, 6):
        at = now - timedelta(days=back)
        stocked.history.note(CallRecord(at, "groq", "m", "", "general", "interactive", "answered"))
    body = (await get(stocked, "/quota?days=7")).json()
    assert [day["totals"]["sent"] for day in body["days"]] == [1, 0, 0, 0, 0, 0, 2]
    assert body["today"]["sent"] == 2
    assert len((await get(stocked, "/quota")).json()["days"]) == 1


async def test_hours_are_told_as_asked(stocked: Engine) -> None:
    now = datetime.now(UTC)
    stocked.history.note(CallRecord(now, "groq", "m", "", "general", "interactive", "answered"))
    body = (await get(stocked, "/quota/hours?hours=2")).json()
    assert [hour["totals"]["answered"] for hour in body["hours"]] == [0, 1]
    assert len((await get(stocked, "/quota/hours")).json()["hours"]) == 24


async def test_a_user_is_shown_his_own_calls_and_what_is_left_for_all(stocked: Engine) -> None:
    for tenant in ("ann", "ann:work", "anna", "ann/ada", "bob", ""):
        call = CallRecord(
            datetime.now(UTC), "groq", "m", "", "general", "interactive", "answered", tenant=tenant
        )
        stocked.history.note(call)

    async def seen(who: Caller) -> tuple[list[int], set[str | None]]:
        with asked_by(who):
            quota = (await get(stocked, "/quota")).json()
            hours = (await get(stocked, "/quota/hours?hours=1")).json()
        assert quota["providers"][0]["models"][0]["windows"][0]["left"] == 6
        sums = [quota["today"], quota["days"][0]["totals"], hours["hours"][0]["totals"]]
        return [one["sent"] for one in sums], {quota["calls_of"], hours["calls_of"]}

    assert await seen(Caller("ann", "user", key="ann")) == ([2] * 3, {"ann"})
    assert await seen(Caller("ann/ada", "user", key="ann")) == ([1] * 3, {"ann/ada"})
    assert await seen(Caller("cid", "user", key="cid")) == ([0] * 3, {"cid"})
    assert await seen(Caller("root", "admin", key="root")) == ([6] * 3, {None})
    assert await seen(Caller()) == ([6] * 3, {None}), "without keys all are one"


@pytest.mark.parametrize("query", ["hours=0", "hours=169", "hours=x", "days=1"])
async def test_hours_that_make_no_sense_are_refused_with_the_fix(
    stocked: Engine, query: str
) -> None:
    answer = await get(stocked, f"/quota/hours?{query}")
    assert answer.status_code == 422
    assert "/quota/hours?hours=24" in answer.json()["detail"]


async def test_a_report_that_has_not_changed_is_not_sent_again(stocked: Engine) -> None:
    stocked = replace(stocked, limiter=NoLimiter())
    tag = (await get(stocked, "/quota")).headers["etag"]
    again = await get(stocked, "/quota", {"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    stocked.history.note(
        CallRecord(datetime.now(UTC), "groq", "m", "", "general", "interactive", "answered")
    )
    assert (await get(stocked, "/quota", {"If-None-Match": tag})).status_code == 200


@pytest.mark.parametrize(
    "query",
    ["days=0", "days=-1", "days=367", "days=x", "days=", "days=1.5", "days=9999999999", "day=7"],
)
async def test_a_parameter_that_makes_no_sense_is_refused_with_the_fix(
    stocked: Engine, query: str
) -> None:
    answer = await get(stocked, f"/quota?{query}")
    assert answer.status_code == 422
    assert "/quota?days=7" in answer.json()["detail"]


def test_an_outage_is_told_and_one_for_good_has_no_end(stocked: Engine) -> None:
    fault = ProviderFault(ErrorKind.MODEL_GONE, ErrorScope.MODEL, "decommissioned")
    error = ProviderError("groq", "m", fault)
    soon = datetime(2026, 11, 21, tzinfo=UTC)
    for until, told in [(soon, soon), (datetime(MAXYEAR, 12, 31, tzinfo=UTC), None)]:
        chain: Any = Attended(Outage(error, until, certain=True))
        state = provider_states(replace(stocked, chain=chain))[0]
        outage = state.accounts[0].outage
        assert outage is not None
        assert (outage.kind, outage.reason, outage.until) == (
            "model_gone",
            "decommissioned",
            told,
        )


def test_the_fields_are_documented() -> None:
    app = FastAPI()
    quota_door.mount(app)
    schemas = app.openapi()["components"]["schemas"]
    assert schemas["WindowReport"]["properties"]["source"]["description"]
    assert schemas["Totals"]["properties"]["saved_usd"]["description"]
