"""The LangServe door: the agent under /agent, for RemoteRunnable and the playground."""

import json
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from math import ceil
from typing import Any, cast

from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from langserve import add_routes
from pydantic import ValidationError
from sse_starlette import EventSourceResponse

from potluck.errors import PotluckError
from potluck.server.langserve_agent import Agent, ParkedError
from potluck.server.langserve_decisions import DecisionError
from potluck.server.langserve_wire import AgentConfig
from potluck.server.refusal import refusal
from potluck.server.stored_text import unstorable_in
from potluck.server.thread_queue import ThreadBusyError
from potluck.server.turn import RunError

PATH = "/agent"


def mount(app: FastAPI) -> None:
    """Add invoke, batch, stream, stream_log, stream_events, schemas and playground."""
    # LangServe's playground needs it; that LangChain would have it otherwise is no news to users.
    warnings.filterwarnings("ignore", message="astream_log is deprecated")
    router = APIRouter(route_class=AgentRoute)
    add_routes(
        router,
        Agent(),
        path=PATH,
        enable_feedback_endpoint=False,
        enable_public_trace_link_endpoint=False,
    )
    app.include_router(router)


class AgentRoute(APIRoute):
    """Checks what LangServe takes on trust, and gives the reason where it would say 500."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """LangServe's endpoint between our two checks."""
        answer = super().get_route_handler()

        async def explain(request: Request) -> Response:
            try:
                if request.method == "POST":
                    _check(await _json_of(request), request.url.path)
                response = await answer(request)
            except ValidationError as error:
                raise RequestValidationError(error.errors(include_context=False)) from error
            except PotluckError as error:
                resume_at, _ = _later(error)
                if resume_at is not None:
                    return _refused_until(resume_at, error)
                raise HTTPException(_status(error), str(error)) from error
            if isinstance(response, EventSourceResponse):
                events = cast("AsyncGenerator[Mapping[str, str]]", response.body_iterator)
                response.body_iterator = _explained(events)
            return response

        return explain


async def _json_of(request: Request) -> object:
    try:
        body: object = await request.json()
    except (ValueError, RecursionError) as error:
        raise HTTPException(422, f"The body is no JSON that can be read: {error}") from error
    return body


def _check(body: object, path: str) -> None:
    if not isinstance(body, dict):
        raise HTTPException(422, 'The body must be a JSON object: {"input": ...}.')
    is_batch = path.endswith("/batch")
    if is_batch and not isinstance(body.get("inputs"), list):
        raise HTTPException(422, "`inputs` must be a list with one input for each turn.")
    config = body.get("config", {})
    if not isinstance(config, dict) and not (is_batch and isinstance(config, list)):
        raise HTTPException(422, '`config` must be an object: {"configurable": {...}}.')
    for one in config if isinstance(config, list) else [config]:
        _check_config(one)
    unstorable = unstorable_in(body)
    if unstorable is not None:
        raise HTTPException(422, unstorable)


def _check_config(config: object) -> None:
    """LangServe drops bounds on the way to its own model; shapes it checks itself."""
    configurable = config.get("configurable", {}) if isinstance(config, dict) else {}
    if isinstance(configurable, dict):
        AgentConfig.model_validate(configurable)


def _refused_until(resume_at: datetime, error: PotluckError) -> Response:
    wait_s = max(1, ceil((resume_at - datetime.now(UTC)).total_seconds()))
    detail = {"message": str(error), **_times(error)}
    return refusal(_status(error), detail, {"Retry-After": str(wait_s)})


def _times(error: PotluckError) -> dict[str, object]:
    """When there is quota again, and the thread on which the work goes on, as JSON."""
    resume_at, thread_id = _later(error)
    if resume_at is None:
        return {}
    return {"resume_at": resume_at.isoformat(timespec="seconds"), "thread_id": thread_id}


def _later(error: PotluckError) -> tuple[datetime | None, str | None]:
    """When there is quota again, and on which thread the work goes on then by itself."""
    if isinstance(error, ParkedError):
        return error.resume_at, error.thread_id
    return (error.back_at if isinstance(error, RunError) else None), None


def _status(error: PotluckError) -> int:
    if isinstance(error, ParkedError):
        return 503
    if isinstance(error, DecisionError):
        return 422
    if isinstance(error, RunError):
        return error.status
    return 409 if isinstance(error, ThreadBusyError) else 500


async def _explained(
    events: AsyncGenerator[Mapping[str, str]],
) -> AsyncIterator[Mapping[str, str]]:
    """LangServe's events; its nameless error, which comes before ours is raised, is replaced."""
    async with aclosing(events):
        try:
            async for event in events:
                if event.get("event") != "error":
                    yield event
        except PotluckError as error:
            data = {"status_code": _status(error), "message": str(error), **_times(error)}
            yield {"event": "error", "data": json.dumps(data)}
