"""An answer as output items, and the events that tell how they come about."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing

from potluck.errors import PotluckError
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
from potluck.server.openai.responses.envelope import INCOMPLETE, Envelope
from potluck.server.openai.responses.translation import renamed
from potluck.server.openai.responses.writers import (
    CallWriter,
    ItemStatus,
    Json,
    MessageWriter,
    PictureWriter,
    ReasoningWriter,
    Writer,
    event,
)
from potluck.server.stored_text import UNSTORABLE

LAST = frozenset({"response.completed", "response.incomplete", "response.failed"})
# How an answer tells that another message of the agent begins
_GAP = "\n\n"


async def told(reply: Reply, envelope: Envelope) -> AsyncGenerator[Json]:
    """The response as numbered events; the last one holds all of it.

    Streamed, a failure before the first delta is raised and a later one told in the last event;
    in the background every one is told, otherwise every one is raised.
    """
    number = 0
    async with aclosing(_told(reply, envelope)) as events:
        async for one in events:
            yield {**one, "sequence_number": number}
            number += 1


async def _told(reply: Reply, envelope: Envelope) -> AsyncGenerator[Json]:
    output = Output()
    finished = Finished("stop", 0, 0)
    is_opened = in_background = bool(envelope.asked.background)
    if in_background:
        yield event("created", response=envelope.body("queued"))
        yield event("queued", response=envelope.body("queued"))
    has_begun = False
    try:
        async with aclosing(reply) as deltas:
            async for delta in deltas:
                if not is_opened:
                    is_opened = True
                    yield event("created", response=envelope.body("in_progress"))
                if not has_begun:
                    has_begun = True
                    yield event("in_progress", response=envelope.body("in_progress"))
                if isinstance(delta, Finished):
                    finished = delta
                for one in output.take(delta):
                    yield one
    except PotluckError as error:
        failure = renamed(as_api_error(error))
        if not in_background and not (is_opened and envelope.asked.stream):
            raise failure from error
        yield event("failed", response=envelope.failed(output.items("incomplete"), failure))
        return
    is_whole = finished.reason not in INCOMPLETE
    for one in output.close("completed" if is_whole else "incomplete"):
        yield one
    kind = "completed" if is_whole else "incomplete"
    yield event(kind, response=envelope.ended(output.done, finished))


class Output:
    """The items of an answer, put together from its deltas.

    At most one message and one piece of reasoning are open at a time. A message stays open beside
    the reasoning that comes in between, for its sentence may go on; calls stay open to the end, as
    their pieces may alternate.
    """

    def __init__(self) -> None:
        self._writers: list[Writer] = []
        self._closed: dict[int, Json] = {}
        self._message: MessageWriter | None = None
        self._reasoning: ReasoningWriter | None = None
        self._calls: dict[int, CallWriter] = {}
        self._sources: dict[str, Cited] = {}

    @property
    def done(self) -> list[Json]:
        """The items, once all are closed."""
        return [self._closed[place] for place in range(len(self._writers))]

    def items(self, status: ItemStatus) -> list[Json]:
        """The items as they stand; `status` is that of those that are open."""
        return [
            self._closed.get(place) or writer.item(status)
            for place, writer in enumerate(self._writers)
        ]

    def take(self, delta: Delta) -> list[Json]:
        """The events of one delta."""
        match delta:
            case Said(text):
                return self._said(_clean(text))
            case Thought(text):
                return self._thought(_clean(text))
            case Called():
                return self._called(delta)
            case Pictured():
                writer = PictureWriter(len(self._writers), delta)
                return [*self._open(writer), *self._close(writer)]
            case Cited():
                self._sources.setdefault(delta.url, delta)
                return []
            case Accepted() | Status() | Finished():
                return []

    def close(self, status: ItemStatus) -> list[Json]:
        """The events that end all items; the last message cites the sources."""
        cited = []
        if self._message is not None:
            cited = [self._message.cite(source) for source in self._sources.values()]
        still_open = [one for place, one in enumerate(self._writers) if place not in self._closed]
        return [*cited, *self._close(*still_open, status=status)]

    def _said(self, text: str) -> list[Json]:
        events: list[Json] = []
        if self._reasoning is not None:
            events += self._close(self._reasoning)
            self._reasoning = None
            if self._message is not None and text.startswith(_GAP):
                events += self._close(self._message)
                self._message = None
        if self._message is None:
            self._message = MessageWriter(len(self._writers))
            events += self._open(self._message)
        return [*events, self._message.add(text)]

    def _thought(self, text: str) -> list[Json]:
        events: list[Json] = []
        if self._reasoning is None:
            self._reasoning = ReasoningWriter(len(self._writers))
            events += self._open(self._reasoning)
        return [*events, self._reasoning.add(text)]

    def _called(self, piece: Called) -> list[Json]:
        events: list[Json] = []
        writer = self._calls.get(piece.index)
        if writer is None:
            if self._reasoning is not None:
                events += self._close(self._reasoning)
                self._reasoning = None
            writer = self._calls[piece.index] = CallWriter(len(self._writers), piece)
            events += self._open(writer)
        if piece.arguments:
            events.append(writer.add(_clean(piece.arguments)))
        return events

    def _open(self, writer: Writer) -> list[Json]:
        self._writers.append(writer)
        return writer.opening()

    def _close(self, *writers: Writer, status: ItemStatus = "completed") -> Iterable[Json]:
        events: list[Json] = []
        for writer in writers:
            self._closed[self._writers.index(writer)] = writer.item(status)
            events += writer.closing(status)
        return events


def _clean(text: str) -> str:
    """What can be kept of it: halves of characters and NUL are replaced."""
    return UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)
