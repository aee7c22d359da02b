"""What is no fault is neither logged nor answered as one."""

import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from langgraph.store.base import InvalidNamespaceError
from sqlalchemy.exc import InvalidRequestError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from potluck.errors import StartError
from potluck.server.run_log import ExpectedEnds, take_expected_ends

logger = logging.getLogger("aegra_api.services.run_executor")


@pytest.fixture(autouse=True)
def _filters() -> Iterator[None]:
    before = list(logger.filters)
    yield
    logger.filters[:] = before


def logged(error: Exception) -> logging.LogRecord:
    """The record, in the form of Aegra's logger, of a run that raised."""
    event: Any = {"event": "Run failed", "run_id": "r1", "level": "error", "exc_info": True}
    try:
        raise error
    except type(error):
        record = logging.LogRecord("aegra", logging.ERROR, "", 0, event, (), None)
        assert ExpectedEnds().filter(record)
    return record


def test_a_run_that_could_not_be_answered_is_one_line_that_says_why() -> None:
    record = logged(StartError("No quota is left.", fix="Come back at noon."))
    assert record.msg == {
        "event": "Run failed",
        "run_id": "r1",
        "level": "warning",
        "reason": "No quota is left. Come back at noon.",
    }
    assert record.levelno == logging.WARNING


def test_a_fault_keeps_its_traceback() -> None:
    record = logged(ValueError("a bug"))
    assert isinstance(record.msg, dict)
    assert record.msg["exc_info"] is True
    assert record.levelno == logging.ERROR


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Could not refresh instance '<Run at 0x1>'", 404),
        ("Can't operate on closed transaction", 500),
    ],
)
async def test_a_run_that_is_deleted_while_it_is_read_is_not_found(text: str, status: int) -> None:
    async def read(_: Request) -> Response:
        raise InvalidRequestError(text)

    app = Starlette(routes=[Route("/run", read)])
    take_expected_ends(app)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/run")
    assert answer.status_code == status
    if status == 404:
        assert answer.json()["error"] == "not_found"


async def test_a_namespace_that_the_store_does_not_take_is_the_callers_mistake() -> None:
    async def put(_: Request) -> Response:
        raise InvalidNamespaceError("Namespace labels cannot contain periods.")

    app = Starlette(routes=[Route("/store/items", put)])
    take_expected_ends(app)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/store/items")
    assert answer.status_code == 422
    assert "periods" in answer.json()["message"]
