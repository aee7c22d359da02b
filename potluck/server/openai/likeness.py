"""Whether two conversations are the same to a person: the request's, the thread's, earlier ones."""

import hashlib
import json
import re
from collections.abc import Sequence

from potluck.server.openai import request as wire
from potluck.server.openai.approval_card import answered_cards, without_cards
from potluck.server.openai.transcript import (
    CONTINUE,
    Said,
    visible_in_request,
    visible_in_thread,
)
from potluck.server.turn import Wire, text_of

DIGEST_CHARS = 32
# What Open WebUI puts around the last message when files belong to it; later it sends it bare.
_WITH_FILES = re.compile(r"###\s*Task:")
_NO_IMAGE = re.compile(r"\[an image [^\[\]]*\]")
_FILES = re.compile(r"<attached_files>.*?</attached_files>\s*", re.DOTALL)


def digest(messages: Sequence[wire.Message]) -> str:
    """The same for conversations in which a person sees the same and has decided the same."""
    items: list[object] = []
    cards = set(answered_cards(messages))
    start = 0
    for place, message in enumerate(messages):
        # What stands before and after a card is not one text.
        if isinstance(message, wire.ToolMessage) and message.tool_call_id in cards:
            items += [*_seen(messages[start:place]), message.tool_call_id]
            start = place + 1
    items += _seen(messages[start:])
    text = json.dumps(items).encode(errors="replace")
    return hashlib.sha256(text).hexdigest()[:DIGEST_CHARS]


def parted(
    messages: Sequence[wire.Message],
) -> tuple[Sequence[wire.Message], Sequence[wire.Message]]:
    """What is history, and what is new: all that follows the last answer.

    The results of a client's tools are new, with or without words after them.
    """
    for place in range(len(messages), 0, -1):
        if isinstance(messages[place - 1], wire.AssistantMessage):
            return messages[:place], messages[place:]
    return [], messages


def clean(messages: Sequence[wire.Message]) -> list[wire.Message]:
    """The conversation as a model is to see it: no cards, and nothing for the client's display."""
    return [_without_files(message) for message in without_cards(messages)]


def through_user(messages: Sequence[wire.Message]) -> Sequence[wire.Message]:
    """All up to what the user said last."""
    for place in range(len(messages), 0, -1):
        if isinstance(messages[place - 1], wire.UserMessage):
            return messages[:place]
    return []


def is_like(messages: Sequence[wire.Message], thread: Sequence[Wire]) -> bool:
    """Whether the thread holds these messages and no others, as far as a person can see."""
    ours = [one for one in thread if text_of(one) != CONTINUE or one.get("type") != "human"]
    theirs, kept = visible_in_request(messages), visible_in_thread(ours)
    return len(theirs) == len(kept) and all(
        _is_same(one, other) for one, other in zip(theirs, kept, strict=True)
    )


def rest_of(text: str, beginning: str) -> str | None:
    """What a text says beyond its beginning, spaces aside; None if it begins otherwise."""
    expected = list(reversed(_bare(beginning)))
    for place, character in enumerate(text):
        if not expected:
            return text[place:]
        if not character.isspace() and character != expected.pop():
            return None
    return None if expected else ""


def _is_same(sent: Said, kept: Said) -> bool:
    if sent.by_user != kept.by_user:
        return False
    sent_text, kept_text = _bare(sent.text), _bare(kept.text)
    if sent_text == kept_text:
        return True
    return kept.by_user and bool(_WITH_FILES.match(kept.text)) and kept_text.endswith(sent_text)


def _without_files(message: wire.Message) -> wire.Message:
    """Without the list of files that Open WebUI puts before what the user says."""
    if not isinstance(message, wire.UserMessage):
        return message
    if isinstance(message.content, str):
        return message.model_copy(update={"content": _FILES.sub("", message.content)})
    parts = [
        part.model_copy(update={"text": _FILES.sub("", part.text)})
        if isinstance(part, wire.TextPart)
        else part
        for part in message.content
    ]
    return message.model_copy(update={"content": parts})


def _seen(messages: Sequence[wire.Message]) -> list[object]:
    return [(said.by_user, _bare(said.text)) for said in visible_in_request(messages)]


def _bare(text: str) -> str:
    """Without spaces, which clients trim and add, and without what stands in for old images."""
    return "".join(_NO_IMAGE.sub("", text).split())
