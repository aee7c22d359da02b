"""The quota door: `GET /quota`, the report as JSON, and `GET /quota/hours`, calls over time."""

from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Request, Response

from potluck import engine
from potluck.quota.hours_report import HoursReport
from potluck.quota.report_form import QuotaReport
from potluck.server.entity_tags import tagged
from potluck.server.quota_state import hours_of, own_part_of, report_of

PATH = "/quota"
HOURS_PATH = "/quota/hours"
MOST_DAYS = 366
MOST_HOURS = 168
# A report that differs only in when it was made is the same report.
_MOMENT = frozenset({"at"})
_SAME = "The same as the client has, by its If-None-Match."


def mount(app: FastAPI) -> None:
    """Add `/quota` and `/quota/hours`."""
    app.get(
        PATH,
        tags=["Quota"],
        summary="Quota left, use, and parked runs",
        response_model=QuotaReport,
        responses={304: {"description": _SAME}},
    )(quota)
    app.get(
        HOURS_PATH,
        tags=["Quota"],
        summary="Calls over the last hours",
        response_model=HoursReport,
        responses={304: {"description": _SAME}},
    )(hours)


async def quota(
    request: Request,
    days: Annotated[
        str, Query(description=f"Days to sum up, today among them: 1 to {MOST_DAYS}.")
    ] = "1",
) -> Response:
    """The report of this moment: windows, advice, outages, use by day, parked runs."""
    count = _asked(request, "days", days, most=MOST_DAYS, example=f"{PATH}?days=7")
    report = await own_part_of(await report_of(await engine.current(), days=count))
    return tagged(request, report, apart_from=_MOMENT)


async def hours(
    request: Request,
    hours: Annotated[
        str, Query(description=f"Hours to sum up, the present one among them: 1 to {MOST_HOURS}.")
    ] = "24",
) -> Response:
    """The calls of the last hours: by outcome, by model, and how they failed."""
    count = _asked(request, "hours", hours, most=MOST_HOURS, example=f"{HOURS_PATH}?hours=24")
    report = await hours_of(await engine.current(), hours=count)
    return tagged(request, report, apart_from=_MOMENT)


def _asked(request: Request, name: str, written: str, *, most: int, example: str) -> int:
    """The one parameter there is, or HTTPException with the fix."""
    fix = f"{name} must be a whole number from 1 to {most}, such as {example}."
    for other in request.query_params:
        if other != name:
            raise HTTPException(422, f"There is no parameter {other!r}. {fix}")
    if not (written.isascii() and written.isdigit() and len(written) <= len(str(most))):
        raise HTTPException(422, fix)
    count = int(written)
    if not 1 <= count <= most:
        raise HTTPException(422, fix)
    return count
