"""Responses that were made, or are in the making: found, brought up to date, stopped, deleted."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import httpx
import psycopg
from pydantic import BaseModel, Field

from potluck.quota.parking import ParkedRuns
from potluck.server import loopback
from potluck.server.openai.errors import ApiError
from potluck.server.openai.responses.kept import ACTIVE, Json, Kept, Shelf
from potluck.server.openai.responses.left_behind import as_it_stands, stop_run
from potluck.server.openai.responses.making import database_errors
from potluck.server.openai.responses.work import STALE_S, Works
from potluck.server.stored_text import UNSTORABLE

logger = logging.getLogger(__name__)


class StreamQuery(BaseModel):
    """How a response is fetched."""

    stream: bool = False
    starting_after: Annotated[int, Field(ge=-1)] = -1


class ItemQuery(BaseModel):
    """Which items of a list."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None

    def page(self, items: Sequence[Json]) -> dict[str, object]:
        """A page of the items, in OpenAI's shape. Raises ApiError."""
        found = list(items) if self.order == "asc" else list(reversed(items))
        ids = [str(item.get("id")) for item in found]
        if self.after is not None:
            if self.after not in ids:
                raise ApiError(
                    f"Invalid `after`: no item here has the id '{self.after}'.",
                    param="after",
                    code="invalid_value",
                )
            found = found[ids.index(self.after) + 1 :]
        data = found[: self.limit]
        return {
            "object": "list",
            "data": data,
            "first_id": data[0]["id"] if data else "",
            "last_id": data[-1]["id"] if data else "",
            "has_more": len(found) > self.limit,
        }


def not_found(response_id: str) -> ApiError:
    """No response of this caller's has that id."""
    return ApiError(
        f"Response with id '{response_id}' not found.",
        404,
        param="response_id",
        code="response_not_found",
    )


def _refuse_no_id(response_id: str) -> None:
    if UNSTORABLE.search(response_id):
        raise not_found(response_id)


@dataclass(frozen=True, slots=True)
class Fetching:
    """What one caller may do with kept responses. Raises ApiError."""

    tenant: str
    shelf: Shelf
    works: Works
    parking: ParkedRuns
    is_alone: bool = False
    """There are no replicas that could be at work on it."""

    async def find(self, response_id: str) -> Kept:
        """A response of this caller's."""
        _refuse_no_id(response_id)
        with database_errors():
            kept = await self.shelf.find(self.tenant, response_id)
        if kept is None:
            raise not_found(response_id)
        return kept

    async def up_to_date(self, kept: Kept) -> Json:
        """The response; one whose process is gone is looked after first."""
        if kept.status not in ACTIVE or self.works.is_active(kept.id):
            return kept.body
        if not self._is_left(kept):
            return kept.body
        try:
            body = await as_it_stands(kept, loopback.client(), kept.thread_id)
        except httpx.HTTPError as error:
            logger.warning("Response %s could not be looked after: %r", kept.id, error)
            return kept.body
        if body["status"] != kept.status:
            with database_errors():
                await self.shelf.put(replace(kept, body=body))
        return body

    async def delete(self, response_id: str) -> bool:
        """Forget it, and end the work on it; whether it was there."""
        _refuse_no_id(response_id)
        with database_errors():
            kept = await self.shelf.find(self.tenant, response_id)
            is_gone = await self.shelf.delete(self.tenant, response_id)
        if kept is not None and kept.status in ACTIVE:
            await self._stop(kept)
        return is_gone

    async def cancel(self, kept: Kept) -> Json:
        """End the work on it; one that has ended stays as it is."""
        if not kept.body.get("background"):
            raise ApiError(
                "Only responses made in the background can be cancelled; others end when their "
                "client closes the connection.",
                param="response_id",
                code="not_in_background",
            )
        kept = replace(kept, body=await self.up_to_date(kept))
        if kept.status not in ACTIVE:
            return kept.body
        body = {**kept.body, "status": "cancelled"}
        with database_errors():
            # First, so that nothing that ends meanwhile takes its place.
            await self.shelf.put(replace(kept, body=body))
        await self._stop(kept)
        return body

    def _is_left(self, kept: Kept) -> bool:
        """Whether nobody works on it any more."""
        if self.is_alone and kept.worked_at < self.works.since:
            return True
        return datetime.now(UTC) - kept.worked_at > timedelta(seconds=STALE_S)

    async def _stop(self, kept: Kept) -> None:
        await self.works.stop(kept.id)
        if kept.thread_id is None:
            return
        try:
            await stop_run(loopback.client(), self.parking, kept.thread_id)
        except (httpx.HTTPError, psycopg.Error) as error:
            logger.warning("The run of response %s was left behind: %r", kept.id, error)
