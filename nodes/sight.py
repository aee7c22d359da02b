"""Which images of a conversation a model is shown: those of the latest turns that fit."""

from collections.abc import Mapping, Sequence

from langchain_core.messages import AnyMessage, HumanMessage

IMAGE_TURNS = 3
MAX_IMAGES = 16
# As base64; more than this no free tier takes in one request.
MAX_IMAGE_CHARS = 16_000_000
LEFT_OUT = "[an image from earlier in this conversation, which is no longer shown]"

type Block = str | Mapping[str, object]


def images_in(message: AnyMessage) -> list[dict[str, object]]:
    """The images of what a person said."""
    if not isinstance(message, HumanMessage) or isinstance(message.content, str):
        return []
    return [dict(block) for block in message.content if not isinstance(block, str) and _is(block)]


def newest_images(messages: Sequence[AnyMessage]) -> list[dict[str, object]]:
    """The images of the last thing that a person said."""
    last = next((m for m in reversed(messages) if isinstance(m, HumanMessage)), None)
    return images_in(last) if last is not None else []


def within_sight(messages: Sequence[AnyMessage]) -> tuple[list[AnyMessage], bool]:
    """The conversation with a note in place of each image that is too old, or beyond what fits.

    And whether an image is left in it.
    """
    budget = _Budget()
    shown = [_seen(message, budget) for message in reversed(messages)]
    return shown[::-1], budget.images > 0


class _Budget:
    """What may still be shown, the newest first."""

    def __init__(self) -> None:
        self.turns = 0
        self.images = 0
        self._chars = 0

    def takes(self, block: Mapping[str, object]) -> bool:
        size = _size(block)
        if self.turns > IMAGE_TURNS or self.images >= MAX_IMAGES:
            return False
        if self._chars + size > MAX_IMAGE_CHARS:
            return False
        self.images += 1
        self._chars += size
        return True


def _seen(message: AnyMessage, budget: _Budget) -> AnyMessage:
    if not isinstance(message, HumanMessage):
        return message
    budget.turns += 1
    if not images_in(message) or isinstance(message.content, str):
        return message
    content = [
        block if isinstance(block, str) or not _is(block) or budget.takes(block) else _NOTE
        for block in message.content
    ]
    return message.model_copy(update={"content": content})


_NOTE: dict[str, object] = {"type": "text", "text": LEFT_OUT}


def _is(block: Mapping[str, object]) -> bool:
    return block.get("type") in ("image", "image_url")


def _size(value: object) -> int:
    """Characters of all texts in a block, however vendors nest them."""
    if isinstance(value, Mapping):
        return sum(map(_size, value.values()))
    return len(value) if isinstance(value, str) else 0
