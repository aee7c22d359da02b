"""The answer as OpenAI's chat completion, in chunks."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

from potluck.errors import PotluckError
from potluck.server.openai.citations import annotations_of
from potluck.server.openai.completion import (
    FunctionBody,
    Header,
    MessageBody,
    ToolCallBody,
    image_body,
    usage_body,
)
from potluck.server.openai.deltas import (
    Accepted,
    Called,
    Cited,
    Delta,
    Finished,
    Pictured,
    Reply,
    Said,
    Status,
    Thought,
)
from potluck.server.openai.errors import as_api_error


async def chunks(reply: Reply, header: Header, *, include_usage: bool) -> AsyncGenerator[bytes]:
    """The completion as server-sent events. A failure after the first event is sent as one.

    Nothing is sent before the reply's first delta, so that a failure before it can still become
    the response's status.
    """
    form = _Chunks(header, include_usage=include_usage)
    opened = False
    try:
        async with aclosing(reply) as deltas:
            async for delta in deltas:
                if not opened:
                    opened = True
                    yield form.opening()
                for event in form.events(delta):
                    yield event
    except PotluckError as error:
        if not opened:
            raise
        yield event_of(as_api_error(error).body)
    yield b"data: [DONE]\n\n"


def event_of(body: object) -> bytes:
    """One server-sent event."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    # A model may have cut a character in half: half a surrogate pair has no UTF-8.
    return f"data: {text}\n\n".encode(errors="replace")


class _Chunks:
    """One completion, delta by delta, as server-sent events."""

    def __init__(self, header: Header, *, include_usage: bool) -> None:
        self._header = header
        self._include_usage = include_usage
        self._said: list[str] = []
        self._cited: list[Cited] = []

    def opening(self) -> bytes:
        """The first chunk."""
        return self._chunk(MessageBody(role="assistant", content=""))

    def events(self, delta: Delta) -> list[bytes]:  # noqa: PLR0911 - one for each kind of delta
        """What this delta is on the wire."""
        match delta:
            case Accepted():
                return []
            case Said(text):
                self._said.append(text)
                return [self._chunk(MessageBody(content=text))]
            case Thought(text):
                return [self._chunk(MessageBody(reasoning_content=text))]
            case Status():
                return [self._happened(_status(delta))] if self._header.has_events else []
            case Cited():
                return self._cite(delta)
            case Pictured():
                return [self._chunk(MessageBody(images=[image_body(delta)]))]
            case Called():
                return [self._chunk(MessageBody(tool_calls=[_piece(delta)]))]
            case Finished():
                return self._end(delta)

    def _cite(self, cited: Cited) -> list[bytes]:
        """Now as an event, or with the answer's end: only then it is known where it is named.

        Never both: Open WebUI makes a source of each.
        """
        if self._header.has_events:
            return [self._happened(_source(cited))]
        self._cited.append(cited)
        return []

    def _end(self, finished: Finished) -> list[bytes]:
        events = []
        if self._cited:
            annotations = annotations_of(self._cited, "".join(self._said))
            events.append(self._chunk(MessageBody(annotations=annotations)))
        events.append(self._chunk(MessageBody(), finish_reason=finished.reason))
        if self._include_usage:
            body = self._header.body("chat.completion.chunk")
            events.append(event_of({**body, "choices": [], "usage": usage_body(finished)}))
        return events

    def _happened(self, event: object) -> bytes:
        return self._chunk(MessageBody(), event=event)

    def _chunk(self, delta: MessageBody, finish_reason: str | None = None, **more: object) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        body = self._header.body("chat.completion.chunk")
        return event_of({**body, "choices": [choice], **more})


def _status(status: Status) -> object:
    """Open WebUI's event; it hides all that went before when the last one is hidden."""
    return {
        "type": "status",
        "data": {
            "description": status.text,
            "done": status.is_done,
            "hidden": status.is_done and not status.text,
        },
    }


def _source(cited: Cited) -> object:
    """Open WebUI's event, with what the page says."""
    return {
        "type": "source",
        "data": {
            "source": {"name": cited.title, "url": cited.url},
            "document": [cited.text or cited.title],
            # Without `external` it is listed by its address, not its title.
            "metadata": [{"source": cited.url, "name": cited.title, "external": True}],
        },
    }


def _piece(called: Called) -> ToolCallBody:
    function = FunctionBody(arguments=called.arguments)
    piece = ToolCallBody(index=called.index, function=function)
    if called.id is not None:
        piece["id"] = called.id
        piece["type"] = "function"
        function["name"] = called.name or ""
    return piece
