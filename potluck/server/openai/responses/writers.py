"""Output items while they are written: each tells its events, and what it has come to."""

from typing import Literal, Protocol

from potluck.server.openai.deltas import Called, Cited, Pictured
from potluck.server.openai.responses.items import new_id

Json = dict[str, object]
ItemStatus = Literal["in_progress", "completed", "incomplete"]


class Writer(Protocol):
    """An item that is not yet whole."""

    def opening(self) -> list[Json]:
        """The events that begin it."""

    def closing(self, status: ItemStatus) -> list[Json]:
        """The events that end it."""

    def item(self, status: ItemStatus) -> Json:
        """The item as it stands."""


def event(kind: str, **fields: object) -> Json:
    """An event that has no number yet."""
    return {"type": f"response.{kind}", **fields}


class MessageWriter:
    """What the assistant says: one part of text."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._id = new_id("msg")
        self._pieces: list[str] = []
        self._annotations: list[Json] = []

    @property
    def text(self) -> str:
        """What it says so far."""
        return "".join(self._pieces)

    def opening(self) -> list[Json]:
        """The item, and its empty part."""
        return [
            event("output_item.added", output_index=self._index, item=self._item("in_progress")),
            self._event("content_part.added", part=self._part()),
        ]

    def add(self, text: str) -> Json:
        """A piece of text."""
        self._pieces.append(text)
        return self._event("output_text.delta", delta=text, logprobs=[])

    def cite(self, source: Cited) -> Json:
        """A page that the text may rest on: where the text names it, else at its end."""
        text = self.text
        place = text.find(source.url)
        start, end = (place, place + len(source.url)) if place >= 0 else (len(text), len(text))
        annotation: Json = {
            "type": "url_citation",
            "url": source.url,
            "title": source.title,
            "start_index": start,
            "end_index": end,
        }
        self._annotations.append(annotation)
        return self._event(
            "output_text.annotation.added",
            annotation=annotation,
            annotation_index=len(self._annotations) - 1,
        )

    def closing(self, status: ItemStatus) -> list[Json]:
        """The whole text, part and item."""
        return [
            self._event("output_text.done", text=self.text, logprobs=[]),
            self._event("content_part.done", part=self._part()),
            event("output_item.done", output_index=self._index, item=self.item(status)),
        ]

    def item(self, status: ItemStatus) -> Json:
        """The item with its part."""
        return self._item(status, self._part())

    def _item(self, status: ItemStatus, *parts: Json) -> Json:
        return {
            "id": self._id,
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": list(parts),
        }

    def _part(self) -> Json:
        return {
            "type": "output_text",
            "text": self.text,
            "annotations": list(self._annotations),
            "logprobs": [],
        }

    def _event(self, kind: str, **fields: object) -> Json:
        place = {"item_id": self._id, "output_index": self._index, "content_index": 0}
        return event(kind, **place, **fields)


class ReasoningWriter:
    """What led to the answer: one part of a summary."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._id = new_id("rs")
        self._pieces: list[str] = []

    def opening(self) -> list[Json]:
        """The item, and its empty part."""
        return [
            event("output_item.added", output_index=self._index, item=self._item("in_progress")),
            self._event("reasoning_summary_part.added", part=self._part()),
        ]

    def add(self, text: str) -> Json:
        """A piece of text."""
        self._pieces.append(text)
        return self._event("reasoning_summary_text.delta", delta=text)

    def closing(self, status: ItemStatus) -> list[Json]:
        """The whole text, part and item."""
        part = self._part()
        return [
            self._event("reasoning_summary_text.done", text=part["text"]),
            self._event("reasoning_summary_part.done", part=part),
            event("output_item.done", output_index=self._index, item=self.item(status)),
        ]

    def item(self, status: ItemStatus) -> Json:
        """The item with its part."""
        return self._item(status, self._part())

    def _item(self, status: ItemStatus, *parts: Json) -> Json:
        return {"id": self._id, "type": "reasoning", "status": status, "summary": list(parts)}

    def _part(self) -> Json:
        return {"type": "summary_text", "text": "".join(self._pieces)}

    def _event(self, kind: str, **fields: object) -> Json:
        place = {"item_id": self._id, "output_index": self._index, "summary_index": 0}
        return event(kind, **place, **fields)


class CallWriter:
    """A call of one of the client's functions."""

    def __init__(self, index: int, first: Called) -> None:
        self._index = index
        self._id = new_id("fc")
        self._call_id = first.id or new_id("call")
        self._name = first.name or ""
        self._pieces: list[str] = []

    def opening(self) -> list[Json]:
        """The item, its arguments empty."""
        return [event("output_item.added", output_index=self._index, item=self.item("in_progress"))]

    def add(self, arguments: str) -> Json:
        """A piece of the arguments."""
        self._pieces.append(arguments)
        return self._event("function_call_arguments.delta", delta=arguments)

    def closing(self, status: ItemStatus) -> list[Json]:
        """The arguments and the item, whole."""
        arguments = "".join(self._pieces)
        return [
            self._event("function_call_arguments.done", arguments=arguments),
            event("output_item.done", output_index=self._index, item=self.item(status)),
        ]

    def item(self, status: ItemStatus) -> Json:
        """The item with the arguments so far."""
        return {
            "id": self._id,
            "type": "function_call",
            "status": status,
            "call_id": self._call_id,
            "name": self._name,
            "arguments": "".join(self._pieces),
        }

    def _event(self, kind: str, **fields: object) -> Json:
        return event(kind, item_id=self._id, output_index=self._index, **fields)


class PictureWriter:
    """A picture, which comes whole."""

    def __init__(self, index: int, picture: Pictured) -> None:
        self._index = index
        self._id = new_id("ig")
        self._picture = picture

    def opening(self) -> list[Json]:
        """The item, without its picture."""
        item = {"id": self._id, "type": "image_generation_call", "status": "in_progress"}
        return [
            event("output_item.added", output_index=self._index, item=item),
            self._event("image_generation_call.in_progress"),
        ]

    def closing(self, status: ItemStatus) -> list[Json]:
        """The item with its picture."""
        return [
            self._event("image_generation_call.completed"),
            event("output_item.done", output_index=self._index, item=self.item(status)),
        ]

    def item(self, _: ItemStatus) -> Json:
        """The item with its picture."""
        return {
            "id": self._id,
            "type": "image_generation_call",
            "status": "completed",
            "result": self._picture.base64,
            "output_format": self._picture.mime_type.removeprefix("image/").split("+")[0],
        }

    def _event(self, kind: str) -> Json:
        return event(kind, item_id=self._id, output_index=self._index)
