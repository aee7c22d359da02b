"""The quota door: `GET /quota`, the quota report as JSON."""

from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Request

from potluck import engine
from potluck.quota.report_form import QuotaReport
from potluck.server.quota_state import report_of

PATH = "/quota"
MOST_DAYS = 366
_DAYS = f"days must be a whole number from 1 to {MOST_DAYS}, such as {PATH}?days=7."


def mount(app: FastAPI) -> None:
    """Add `/quota`."""
    app.get(PATH, tags=["Quota"], summary="Quota left, use, and parked runs")(quota)


async def quota(
    request: Request,
    days: Annotated[
        str, Query(description=f"Days to sum up, today among them: 1 to {MOST_DAYS}.")
    ] = "1",
) -> QuotaReport:
    """The report of this moment: windows, advice, outages, use by day, parked runs."""
    for name in request.query_params:
        if name != "days":
            raise HTTPException(422, f"There is no parameter {name!r}. {_DAYS}")
    return await report_of(await engine.current(), days=_count(days))


def _count(days: str) -> int:
    if not (days.isascii() and days.isdigit() and len(days) <= len(str(MOST_DAYS))):
        raise HTTPException(422, _DAYS)
    count = int(days)
    if not 1 <= count <= MOST_DAYS:
        raise HTTPException(422, _DAYS)
    return count
