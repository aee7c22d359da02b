"""`/v1/responses`: made whole, streamed or in the background; fetched, stopped and deleted."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError

from potluck import engine
from potluck.engine import Engine
from potluck.pool import Pool
from potluck.server.openai.body import read_body, refuse_long_text
from potluck.server.openai.errors import ApiError, from_validation
from potluck.server.openai.responses.fetching import Fetching, ItemQuery, StreamQuery, not_found
from potluck.server.openai.responses.items import image_urls
from potluck.server.openai.responses.kept import MemoryShelf, Shelf
from potluck.server.openai.responses.kept_table import KeptTable
from potluck.server.openai.responses.making import Making
from potluck.server.openai.responses.request import ResponsesRequest
from potluck.server.openai.responses.work import Work, Works
from potluck.server.openai.responses.writers import Json
from potluck.server.openai.stream import ClientGoneError, EventStream, KeptAlive, finish_for
from potluck.server.ownership import owner

CLIENT_CLOSED_REQUEST = 499

# The body's place in the API's description, as a JSON pointer: its references stay inside it.
_BODY_PLACE = "/paths/~1responses/post/requestBody/content/application~1json/schema"


def add_routes(app: FastAPI) -> None:
    """Add /responses to an app whose errors have OpenAI's shape."""
    door = _Door()
    one = "/responses/{response_id}"
    app.post("/responses", openapi_extra=_body_schema(), response_model=None)(door.create)
    app.get(one, response_model=None)(door.fetch)
    app.delete(one, response_model=None)(door.delete)
    app.post(f"{one}/cancel", response_model=None)(door.cancel)
    app.get(f"{one}/input_items", response_model=None)(door.input_items)


class _Door:
    """The routes, and what they share."""

    def __init__(self) -> None:
        self._pool: Pool | None = None
        self._shelf: Shelf = MemoryShelf()
        self._works = Works()

    async def create(self, request: Request) -> Response:
        """Make a response."""
        asked = await _read(request)
        making = await self._making(asked, request)
        try:
            if asked.background:
                return await self._in_background(making, request)
            if asked.stream:
                return await _streamed(request, making.events(), making)
            body = await finish_for(request, _whole(making.events()))
        except ClientGoneError:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        return JSONResponse(body, headers=making.headers)

    async def fetch(self, request: Request, response_id: str) -> Response:
        """A kept response as it stands, or the events of one in the background."""
        asked = _query(StreamQuery, request)
        fetching = await self._fetching()
        kept = await fetching.find(response_id)
        if not asked.stream:
            return JSONResponse(await fetching.up_to_date(kept))
        work = self._works.find(response_id)
        if work is None:
            raise ApiError(
                f"The events of the response '{response_id}' are no longer held. Fetch it without "
                "`stream`.",
                param="stream",
                code="stream_unavailable",
            )
        try:
            return await _streamed(request, work.follow(asked.starting_after), work.making)
        except ClientGoneError:
            return Response(status_code=CLIENT_CLOSED_REQUEST)

    async def delete(self, response_id: str) -> Response:
        """Forget a response; what leads on from it still can."""
        fetching = await self._fetching()
        if not await fetching.delete(response_id):
            raise not_found(response_id)
        return JSONResponse({"id": response_id, "object": "response", "deleted": True})

    async def cancel(self, response_id: str) -> Response:
        """Stop a response that is made in the background."""
        fetching = await self._fetching()
        return JSONResponse(await fetching.cancel(await fetching.find(response_id)))

    async def input_items(self, request: Request, response_id: str) -> Response:
        """What a response was asked, in items."""
        asked = _query(ItemQuery, request)
        fetching = await self._fetching()
        kept = await fetching.find(response_id)
        return JSONResponse(asked.page(kept.input))

    async def _in_background(self, making: Making, request: Request) -> Response:
        work = self._works.start(making, making.current.opened)
        if making.asked.stream:
            return await _streamed(request, work.follow(), making)
        return JSONResponse(await _first(work), headers=making.headers)

    async def _making(self, asked: ResponsesRequest, request: Request) -> Making:
        current = await engine.current()
        return Making(asked, request.headers, current, self._shelf_of(current))

    async def _fetching(self) -> Fetching:
        current = await engine.current()
        return Fetching(
            owner(),
            self._shelf_of(current),
            self._works,
            current.parking,
            is_alone=current.settings.redis_url is None,
        )

    def _shelf_of(self, current: Engine) -> Shelf:
        if current.pool is not self._pool:
            self._pool = current.pool
            self._shelf = MemoryShelf() if current.pool is None else KeptTable(current.pool)
        return self._shelf


async def _read(request: Request) -> ResponsesRequest:
    """The request's body, checked. Raises ApiError."""
    body = await read_body(request)
    try:
        asked = ResponsesRequest.model_validate_json(body)
    except ValidationError as error:
        raise from_validation(error) from error
    refuse_long_text(body, image_urls(asked.items))
    return asked


def _query[Model: (StreamQuery, ItemQuery)](model: type[Model], request: Request) -> Model:
    try:
        return model.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise from_validation(error) from error


async def _streamed(request: Request, events: AsyncGenerator[Json], making: Making) -> Response:
    kept_alive = KeptAlive(_as_bytes(events))
    await finish_for(request, kept_alive.start())
    return EventStream(kept_alive, making.headers)


async def _as_bytes(events: AsyncGenerator[Json]) -> AsyncGenerator[bytes]:
    async with aclosing(events):
        async for event in events:
            text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
            # What a client sent may hold half a surrogate pair, which has no UTF-8.
            yield f"event: {event['type']}\ndata: {text}\n\n".encode(errors="replace")


async def _whole(events: AsyncGenerator[Json]) -> object:
    """The response of the last event."""
    response: object = None
    async with aclosing(events):
        async for event in events:
            response = event.get("response", response)
    return response


async def _first(work: Work) -> object:
    """The response as the work on it begins."""
    async with aclosing(work.follow()) as events:
        return (await anext(events))["response"]


def _body_schema() -> dict[str, object]:
    """The body in the API's description; FastAPI does not read it, for its errors are not ours."""
    schema = ResponsesRequest.model_json_schema(ref_template=f"#{_BODY_PLACE}/$defs/{{model}}")
    content = {"application/json": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}
