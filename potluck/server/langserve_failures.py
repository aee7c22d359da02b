"""What goes wrong behind the LangServe door, as a response and as an event of a stream."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from math import ceil
from typing import Any

from fastapi.responses import JSONResponse

from potluck.errors import ChainError, PotluckError
from potluck.server.langserve_agent import ParkedError
from potluck.server.langserve_batch import BatchError
from potluck.server.langserve_decisions import DecisionError
from potluck.server.openai.errors import as_api_error
from potluck.server.refusal import refusal
from potluck.server.thread_queue import ThreadBusyError
from potluck.server.turn import RunError

SseEvent = Mapping[str, str]


class InputError(PotluckError):
    """What was sent cannot be taken; `status` is the HTTP status that says so."""

    def __init__(self, message: str, *, status: int = HTTPStatus.UNPROCESSABLE_ENTITY) -> None:
        super().__init__(message)
        self.status = status


_STATUSES: Mapping[type[PotluckError], int] = {
    DecisionError: HTTPStatus.UNPROCESSABLE_ENTITY,
    ThreadBusyError: HTTPStatus.CONFLICT,
}
UNEXPECTED = "Something went wrong here; the server's log tells more."


@dataclass(frozen=True, slots=True)
class Failure:
    """What a caller is told: when there is quota again, and where the work goes on then."""

    status: int
    message: str
    resume_at: datetime | None = None
    thread_id: str | None = None

    @classmethod
    def of(cls, error: PotluckError) -> "Failure":
        """The failure that this error means."""
        text = str(error)
        match error:
            case BatchError():
                return replace(cls.of(error.reason), message=text)
            case ParkedError():
                status = HTTPStatus.SERVICE_UNAVAILABLE
                return cls(status, text, error.resume_at, error.thread_id)
            case RunError():
                return cls(error.status, text, error.back_at)
            case InputError():
                return cls(error.status, text)
            case ChainError():
                told = as_api_error(error)
                return cls(told.status, text, error.back_at if error.is_quota else None)
            case _:
                return cls(_STATUSES.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR), text)

    @property
    def response(self) -> JSONResponse:
        """The whole response."""
        if self.resume_at is None:
            return refusal(self.status, self.message)
        wait_s = max(1, ceil((self.resume_at - datetime.now(UTC)).total_seconds()))
        detail = {"message": self.message, **self._times}
        return refusal(self.status, detail, {"Retry-After": str(wait_s)})

    @property
    def event(self) -> SseEvent:
        """An event in LangServe's form."""
        data = {"status_code": self.status, "message": self.message, **self._times}
        return {"event": "error", "data": json.dumps(data)}

    @property
    def _times(self) -> dict[str, object]:
        if self.resume_at is None:
            return {}
        resume_at = self.resume_at.isoformat(timespec="seconds")
        return {"resume_at": resume_at, "thread_id": self.thread_id}


def mistakes(errors: Sequence[Any]) -> JSONResponse:
    """The response to input that is not of the form that was asked for, in FastAPI's own shape.

    `errors` are pydantic's; what was sent is not sent back.
    """
    told = [{key: error[key] for key in ("type", "loc", "msg")} for error in errors]
    return JSONResponse({"detail": told}, HTTPStatus.UNPROCESSABLE_ENTITY)


async def explained(events: AsyncGenerator[SseEvent]) -> AsyncIterator[SseEvent]:
    """LangServe's events; its nameless error, which comes before ours is raised, is replaced."""
    async with aclosing(events):
        try:
            async for event in events:
                if event.get("event") != "error":
                    yield event
        except PotluckError as error:
            yield Failure.of(error).event
        except Exception:
            # A defect: its words are for the log, where raising it puts them.
            yield Failure(HTTPStatus.INTERNAL_SERVER_ERROR, UNEXPECTED).event
            raise
