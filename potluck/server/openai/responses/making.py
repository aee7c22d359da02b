"""Making one response: what it leads on from, who answers, and that it is kept."""

import logging
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field, replace

import psycopg
from pydantic import ValidationError
from starlette.datastructures import Headers

from potluck.engine import Engine
from potluck.server.openai.answerer import THREAD_HEADER, reply_to
from potluck.server.openai.caller import Chat, chat_of
from potluck.server.openai.errors import ApiError
from potluck.server.openai.request import ChatRequest
from potluck.server.openai.responses.envelope import Envelope
from potluck.server.openai.responses.items import Item, Items, Reference, kept_form
from potluck.server.openai.responses.kept import ACTIVE, Exchange, Kept, Shelf
from potluck.server.openai.responses.output import LAST, told
from potluck.server.openai.responses.request import ResponsesRequest
from potluck.server.openai.responses.translation import chat_request
from potluck.server.openai.responses.writers import Json
from potluck.server.openai.targets import AGENT, resolve
from potluck.server.ownership import owner
from potluck.server.thread_queue import ThreadQueue

RETRY_AFTER_S = 5

logger = logging.getLogger(__name__)

CONVERSATIONS = ThreadQueue()
"""Responses of one conversation are made one after another: each leads on from the last."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """A request with all that it refers to."""

    request: ChatRequest
    chat: Chat | None
    previous_id: str | None
    input: Sequence[Json]


@dataclass
class Making:
    """One response in the making."""

    asked: ResponsesRequest
    caller: Headers
    current: Engine
    shelf: Shelf
    tenant: str = field(default_factory=owner)
    """Whose response it is."""
    envelope: Envelope = field(init=False)
    thread_id: str | None = field(init=False, default=None)
    """Its thread, once that is known."""

    def __post_init__(self) -> None:
        self.envelope = Envelope(self.asked)

    @property
    def headers(self) -> dict[str, str]:
        """What the headers of the HTTP response tell."""
        return {THREAD_HEADER: self.thread_id} if self.thread_id else {}

    async def events(self) -> AsyncGenerator[Json]:
        """The response as events; it is kept before the last one.

        Raises PotluckError, after the first event only where nothing is streamed.
        """
        conversation = self.asked.conversation_id
        queue = f"{self.tenant}\x1f{conversation}" if conversation else None
        async with CONVERSATIONS.turn(queue):
            plan = await self._plan()
            self.thread_id = plan.chat.thread_id if plan.chat else None
            reply, _ = reply_to(
                plan.request,
                self.caller,
                self.current,
                chat=plan.chat,
                in_background=bool(self.asked.background),
            )
            async with aclosing(told(reply, self.envelope)) as events:
                async for event in events:
                    await self._keep(event, plan)
                    yield event

    async def _plan(self) -> _Plan:
        _check(self.asked)
        with database_errors():
            previous_id = self.asked.previous_response_id
            if self.asked.conversation_id is not None:
                previous_id = await self.shelf.latest_in(self.tenant, self.asked.conversation_id)
            before = await self.shelf.lineage(self.tenant, previous_id) if previous_id else []
            new = await self._resolved(self.asked.items)
        if previous_id:
            _check_previous(before, previous_id)
        request = chat_request(self.asked, _history(before), new)
        kept = [kept_form(item) for item in new]
        return _Plan(request, self._chat(request, before, previous_id), previous_id, kept)

    async def _resolved(self, items: Sequence[Item]) -> list[Item]:
        """The items, with what they refer to in place of references. Raises ApiError 404."""
        ids = [item.id for item in items if isinstance(item, Reference)]
        if not ids:
            return list(items)
        found = await self.shelf.items(self.tenant, ids)
        made: list[Item] = []
        for place, item in enumerate(items):
            if not isinstance(item, Reference):
                made.append(item)
            elif item.id in found:
                made += _parsed([found[item.id]])
            elif not item.id.startswith("rs_"):
                # Reasoning is passed over in any case.
                raise ApiError(
                    f"Item with id '{item.id}' not found.",
                    404,
                    param=f"input[{place}].id",
                    code="item_not_found",
                )
        return made

    def _chat(
        self, request: ChatRequest, before: Sequence[Exchange], previous_id: str | None
    ) -> Chat | None:
        """The chat whose thread the response goes on, or begins; None when it has none."""
        if not resolve(request.model, self.current.chain.models()).agent:
            return None
        name = self.asked.conversation_id or (before[-1].thread if before else "")
        if self.asked.is_kept and not request.thread_name:
            # Whichever model is named first, the thread is the same.
            metadata = {"thread_id": name or self.envelope.id}
            request = request.model_copy(update={"metadata": metadata, "model": AGENT})
        chat = chat_of(request, self.caller)
        if chat is None:
            return None
        return replace(
            chat, history="whole", reply_id=self.envelope.id, before_id=previous_id or ""
        )

    async def _keep(self, event: Json, plan: _Plan) -> None:
        """Keep the response at its end; one in the background from its beginning."""
        is_last = event["type"] in LAST
        if not self.asked.is_kept or not (is_last or self.asked.background):
            return
        body = event.get("response")
        if not isinstance(body, Mapping):
            return
        kept = Kept(
            self.tenant,
            body,
            plan.input,
            thread=plan.chat.name if plan.chat else "",
            thread_id=self.thread_id,
            previous_id=plan.previous_id,
        )
        if not is_last:
            with database_errors():
                await self.shelf.put(kept)
            return
        try:
            await self.shelf.put(kept)
        except psycopg.Error as error:
            logger.warning("A response was not kept: %s", error)


@contextmanager
def database_errors() -> Iterator[None]:
    """A database that is away, as ApiError 503."""
    try:
        yield
    except psycopg.Error as error:
        raise ApiError(
            "Kept responses cannot be reached: the database does not answer. Try again in a "
            "moment, or send the whole conversation with `store: false`.",
            503,
            "server_error",
            code="database_unavailable",
            headers={"Retry-After": str(RETRY_AFTER_S)},
        ) from error


def _check(asked: ResponsesRequest) -> None:
    if asked.previous_response_id and asked.conversation_id:
        raise ApiError(
            "`previous_response_id` and `conversation` cannot be used together.",
            param="previous_response_id",
            code="mutually_exclusive_parameters",
        )
    if asked.background and not asked.is_kept:
        raise ApiError(
            "Work in the background is fetched later: it needs `store` to be true.",
            param="background",
            code="invalid_value",
        )


def _check_previous(before: Sequence[Exchange], previous_id: str) -> None:
    if not before:
        raise ApiError(
            f"Previous response with id '{previous_id}' not found.",
            404,
            param="previous_response_id",
            code="previous_response_not_found",
        )
    if before[-1].status in ACTIVE:
        raise ApiError(
            f"The response '{previous_id}' is still being made: fetch it until its `status` says "
            "that it has ended.",
            param="previous_response_id",
            code="response_in_progress",
        )


def _history(before: Sequence[Exchange]) -> list[Item]:
    """What was asked and said before."""
    return _parsed([item for one in before for item in (*one.input, *one.said)])


def _parsed(items: Sequence[Mapping[str, object]]) -> list[Item]:
    try:
        return Items.validate_python(items)
    except ValidationError as error:
        raise ApiError(
            "A kept response cannot be read. Send the whole conversation instead.",
            500,
            "server_error",
            code="internal_error",
        ) from error
