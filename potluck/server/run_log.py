"""Ends that are no faults, as Aegra logs and answers them: no answer to be had, a run just gone."""

import logging
import sys

from langgraph.store.base import InvalidNamespaceError
from sqlalchemy.exc import InvalidRequestError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse

from potluck.errors import PotluckError

# Where Aegra logs runs that raised
_LOGGERS = ("aegra_api.services.run_executor",)


class ExpectedEnds(logging.Filter):
    """Says why a run could not be answered in one line; the traceback is kept for real faults."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, some of them shortened."""
        error = sys.exc_info()[1]
        if isinstance(error, PotluckError) and isinstance(record.msg, dict):
            shortened = {
                name: value
                for name, value in record.msg.items()
                if name not in {"exc_info", "exception"}
            }
            record.msg = shortened | {"level": "warning", "reason": str(error)}
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.exc_info = None
        return True


def take_expected_ends(app: Starlette) -> None:
    """Have Aegra's app take mistakes and ends that are no faults for what they are."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(ExpectedEnds())
    app.add_exception_handler(InvalidRequestError, _gone)
    app.add_exception_handler(InvalidNamespaceError, _no_namespace)


async def _gone(_: Request, error: Exception) -> JSONResponse:
    """A row that was deleted between two looks at it, as a stateless run's is when it has ended."""
    if "Could not refresh instance" not in str(error):
        raise error
    content = {"error": "not_found", "message": "It has just been deleted", "details": None}
    return JSONResponse(content, status_code=404)


async def _no_namespace(_: Request, error: Exception) -> JSONResponse:
    content = {"error": "validation_error", "message": str(error), "details": None}
    return JSONResponse(content, status_code=422)
