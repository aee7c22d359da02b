"""LangServe's endpoints between checks of ours: what comes in, and who is still there."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, cast

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError
from sse_starlette import EventSourceResponse
from starlette.types import Message, Receive

from potluck import engine
from potluck.errors import PotluckError
from potluck.server.cache_control import cache_mode
from potluck.server.langserve_config import ASKER_KEY, Asker, CallerConfig
from potluck.server.langserve_failures import Failure, InputError, SseEvent, explained, mistakes
from potluck.server.openai.notes import notes_for
from potluck.server.openai.stream import PATIENCE_S, ClientGoneError, finish_for
from potluck.server.ownership import owner
from potluck.server.refusal import refusal
from potluck.server.stored_text import unstorable_in

MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_INPUTS = 200
BODY_TIMEOUT_S = 60.0
CLIENT_CLOSED_REQUEST = 499

JsonObject = dict[str, Any]  # Any: JSON
Settle = Callable[[JsonObject, Request], Coroutine[Any, Any, JsonObject]]


class DoorRoute(APIRoute):
    """Checks what LangServe takes on trust, and gives the reason where it would say 500."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """LangServe's endpoint between our two checks."""
        answer = super().get_route_handler()

        async def explain(request: Request) -> Response:
            try:
                if request.method == "POST":
                    request = await _checked(request)
                response = await finish_for(request, answer(request))
            except (ValidationError, RequestValidationError) as error:
                return mistakes(error.errors())
            except HTTPException as error:
                return refusal(error.status_code, error.detail)
            except PotluckError as error:
                return Failure.of(error).response
            except ClientGoneError:
                return Response(status_code=CLIENT_CLOSED_REQUEST)
            if isinstance(response, EventSourceResponse):
                events = cast("AsyncGenerator[SseEvent]", response.body_iterator)
                response.body_iterator = explained(events)
                # Who takes nothing for so long has gone, and the work ends.
                response.send_timeout = PATIENCE_S
            return response

        return explain


def settle_with(form: type[CallerConfig]) -> Settle:
    """Checks each config, whether from the body or the path, and adds who asks."""

    async def settle(config: JsonObject, request: Request) -> JsonObject:
        configurable = config.get("configurable") or {}
        given = form.of(configurable)
        used = await engine.current()
        models = {model.ref for model in used.chain.models() if model.on}
        if given.model and given.model not in models:
            raise InputError(
                f"model: {given.model!r} cannot be asked here; GET /v1/models lists the models."
            )
        headers = request.headers
        asker = Asker(
            tenant=owner(),
            notes=notes_for(headers),
            cache=cache_mode(headers),
            in_batch=_is_batch(request) and len((await request.json())["inputs"]) > 1,
        )
        return {**config, "configurable": {**configurable, ASKER_KEY: asker}}

    return settle


async def _checked(request: Request) -> Request:
    """The request with its body read, which makes sense so far. Raises InputError."""
    body = await _body_of(request)
    try:
        parsed: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError(f"The body is no JSON that can be read: {error}") from error
    _check(parsed, is_batch=_is_batch(request))
    read = Request(request.scope, _replay(body, request.receive))
    await read.body()
    return read


async def _body_of(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for piece in request.stream():
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    raise InputError(f"The body is larger than {MAX_BODY_BYTES} bytes.", status=413)
    except TimeoutError as error:
        raise InputError("The body did not arrive in time.", status=408) from error
    return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    once: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return once.pop() if once else await receive()

    return again


def _is_batch(request: Request) -> bool:
    return request.url.path.endswith("/batch")


def _check(body: object, *, is_batch: bool) -> None:
    if not isinstance(body, dict):
        raise InputError('The body must be a JSON object: {"input": ...}.')
    if is_batch:
        inputs = body.get("inputs")
        if not isinstance(inputs, list):
            raise InputError("`inputs` must be a list with one input for each turn.")
        if len(inputs) > MAX_INPUTS:
            raise InputError(f"`inputs` holds {len(inputs)}; send {MAX_INPUTS} at most.")
    config = body.get("config", {})
    if not isinstance(config, dict) and not (is_batch and isinstance(config, list)):
        raise InputError('`config` must be an object: {"configurable": {...}}.')
    unstorable = unstorable_in(body)
    if unstorable is not None:
        raise InputError(unstorable)
