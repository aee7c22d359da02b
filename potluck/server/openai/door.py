"""The door itself: an app of its own under /v1, so that every answer there has OpenAI's shape."""

import re
from http import HTTPStatus
from typing import Literal, TypedDict

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi_offline import FastAPIOffline
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match, Mount, Route

from potluck import engine
from potluck.errors import PotluckError
from potluck.server.openai.answerer import reply_to
from potluck.server.openai.body import read_body, refuse_long_text
from potluck.server.openai.checks import check
from potluck.server.openai.chunks import chunks
from potluck.server.openai.completion import Header, takes_events, whole
from potluck.server.openai.description import FAILURES
from potluck.server.openai.errors import ApiError, as_api_error, from_status, from_validation
from potluck.server.openai.images import image_urls
from potluck.server.openai.request import ChatRequest
from potluck.server.openai.responses.door import add_routes as add_responses
from potluck.server.openai.stream import ClientGoneError, EventStream, KeptAlive, finish_for
from potluck.server.openai.targets import ModelObject, find_model, list_models
from potluck.server.request_watch import OWN_SPANS

PATH = "/v1"
CLIENT_CLOSED_REQUEST = 499

# The body's place in the API's description, as a JSON pointer: its references stay inside it.
_BODY_PLACE = "/paths/~1chat~1completions/post/requestBody/content/application~1json/schema"


class ModelList(TypedDict):
    """All models."""

    object: Literal["list"]
    data: list[ModelObject]


def mount(app: FastAPI) -> None:
    """Add /v1/models, /v1/chat/completions and /v1/responses."""
    # A dot of the router's own pattern fits no line feed, and these too are answered here
    mounted = Mount(PATH, _create())
    mounted.path_regex = re.compile(mounted.path_regex.pattern, re.DOTALL)
    app.router.routes.append(mounted)


def _create() -> FastAPI:
    made = FastAPIOffline(
        title="Potluck: OpenAI API",
        redoc_url=None,
        redirect_slashes=False,
        responses=FAILURES,
        telemetry=OWN_SPANS,
    )
    made.get("/models")(models)
    made.get("/models/{model_id:path}")(model)
    made.post("/chat/completions", openapi_extra=_body_schema(), response_model=None)(chat)
    add_responses(made)
    made.exception_handler(PotluckError)(_explain)
    made.exception_handler(HTTPException)(_explain_status)
    made.exception_handler(Exception)(_explain_bug)
    return made


async def models() -> ModelList:
    """Every model id that can be asked now."""
    chain = (await engine.current()).chain
    return ModelList(object="list", data=list_models(chain.models()))


async def model(model_id: str) -> ModelObject:
    """One model."""
    chain = (await engine.current()).chain
    return find_model(model_id, chain.models())


async def chat(request: Request) -> Response:
    """Answer a chat completion request, whole or streamed."""
    asked = await _read(request)
    reply, headers = reply_to(asked, request.headers, await engine.current())
    header = Header(asked.model, has_events=takes_events(request.headers))
    try:
        if not asked.stream:
            body = await finish_for(request, whole(reply, header))
            return JSONResponse(body, headers=headers)
        events = KeptAlive(chunks(reply, header, include_usage=asked.include_usage))
        await finish_for(request, events.start())
    except ClientGoneError:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    return EventStream(events, headers)


async def _read(request: Request) -> ChatRequest:
    """The request's body, checked. Raises ApiError."""
    body = await read_body(request)
    try:
        asked = ChatRequest.model_validate_json(body)
    except ValidationError as error:
        raise from_validation(error) from error
    refuse_long_text(body, image_urls(asked))
    check(asked)
    return asked


def _body_schema() -> dict[str, object]:
    """The body in the API's description; FastAPI does not read it, for its errors are not ours."""
    schema = ChatRequest.model_json_schema(ref_template=f"#{_BODY_PLACE}/$defs/{{model}}")
    content = {"application/json": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


async def _explain(_: Request, error: Exception) -> Response:
    if not isinstance(error, PotluckError):
        raise error
    return as_api_error(error).response()


async def _explain_status(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    detail = f"{error.detail}: {request.method} {request.url.path}."
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = _methods(request)
    return from_status(error.status_code, detail, headers).response()


def _methods(request: Request) -> str:
    """All of the address: the router tells only those of the first route that fits."""
    fitting = (
        route
        for route in request.app.routes
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
    )
    return ", ".join(sorted({method for route in fitting for method in route.methods or ()}))


async def _explain_bug(_: Request, error: Exception) -> Response:
    """The error itself goes to the log, from where the server raises it again."""
    message = f"Something went wrong here ({type(error).__name__}); the server's log tells more."
    return ApiError(message, 500, "server_error", code="internal_error").response()
