"""The door itself: an app of its own under /v1, so that every answer there has OpenAI's shape."""

import asyncio
from dataclasses import replace
from typing import Literal, TypedDict

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from potluck import engine
from potluck.engine import Engine
from potluck.errors import PotluckError
from potluck.server import loopback
from potluck.server.cache_control import cache_mode
from potluck.server.openai.agent_reply import Way, agent_reply
from potluck.server.openai.caller import chat_of, is_background, tenant_of
from potluck.server.openai.chain_reply import background_call, call_of, chain_reply
from potluck.server.openai.checks import check
from potluck.server.openai.completion import Header, chunks, whole
from potluck.server.openai.deltas import Reply
from potluck.server.openai.errors import ApiError, as_api_error, from_status, from_validation
from potluck.server.openai.request import ChatRequest
from potluck.server.openai.stream import ClientGoneError, EventStream, KeptAlive, finish_for
from potluck.server.openai.targets import ModelObject, find_model, list_models, resolve
from potluck.server.thread_queue import TURNS

PATH = "/v1"
MAX_BODY_BYTES = 4 * 1024 * 1024
BODY_TIMEOUT_S = 60.0
CLIENT_CLOSED_REQUEST = 499
THREAD_HEADER = "X-Potluck-Thread-Id"

# The body's place in the API's description, as a JSON pointer: its references stay inside it.
_BODY_PLACE = "/paths/~1chat~1completions/post/requestBody/content/application~1json/schema"


class ModelList(TypedDict):
    """All models."""

    object: Literal["list"]
    data: list[ModelObject]


def mount(app: FastAPI) -> None:
    """Add /v1/models and /v1/chat/completions."""
    app.mount(PATH, _create())


def _create() -> FastAPI:
    made = FastAPI(title="Potluck: OpenAI API", redirect_slashes=False)
    made.get("/models")(models)
    made.get("/models/{model_id:path}")(model)
    made.post("/chat/completions", openapi_extra=_body_schema(), response_model=None)(chat)
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
    reply, headers = _reply(asked, request, await engine.current())
    header = Header(asked.model)
    try:
        if not asked.stream:
            body = await finish_for(request, whole(reply, header))
            return JSONResponse(body, headers=headers)
        events = KeptAlive(chunks(reply, header, include_usage=asked.include_usage))
        await finish_for(request, events.start())
    except ClientGoneError:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    return EventStream(events, headers)


def _reply(asked: ChatRequest, request: Request, current: Engine) -> tuple[Reply, dict[str, str]]:
    """Who answers, and what the response's headers tell of it."""
    target = resolve(asked.model, current.chain.models())
    limit_s = current.catalog.parking.wait_limit_seconds
    has_keys = bool(current.settings.potluck_api_keys)
    tenant = tenant_of(request.headers, has_keys=has_keys)
    cache = cache_mode(request.headers)
    if is_background(asked, request.headers):
        call = replace(background_call(asked), cache=cache, tenant=tenant)
        return chain_reply(asked, call, chain=current.chain), {}
    if not target.agent:
        found = current.catalog.find(target.ref) if target.ref else None
        vision = found is not None and "vision" in found.capabilities
        call = replace(call_of(asked, target.ref), cache=cache, tenant=tenant)
        return chain_reply(
            asked, call, chain=current.chain, vision=vision, wait_limit_s=limit_s
        ), {}
    chat = chat_of(asked, request.headers, has_keys=has_keys)
    way = Way(
        loopback.client(), TURNS, current.parking, wait_limit_s=limit_s, cache=cache, tenant=tenant
    )
    reply = agent_reply(asked, way, chat=chat, ref=target.ref)
    return reply, {THREAD_HEADER: chat.thread_id} if chat else {}


async def _read(request: Request) -> ChatRequest:
    """The request's body, checked. Raises ApiError."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for piece in request.stream():
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    limit = f"The body is larger than {MAX_BODY_BYTES} bytes."
                    raise from_status(413, limit, {"Connection": "close"})
    except TimeoutError as error:
        raise from_status(408, "The body did not arrive in time.") from error
    try:
        asked = ChatRequest.model_validate_json(bytes(body))
    except ValidationError as error:
        raise from_validation(error) from error
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
    return from_status(error.status_code, detail, error.headers).response()


async def _explain_bug(_: Request, error: Exception) -> Response:
    """The error itself goes to the log, from where the server raises it again."""
    message = f"Something went wrong here ({type(error).__name__}); the server's log tells more."
    return ApiError(message, 500, "server_error", code="internal_error").response()
