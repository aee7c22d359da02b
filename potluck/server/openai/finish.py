"""How an answer ends: why, and with which calls for the client."""

import json
from collections.abc import Mapping, Sequence

from graph.state import FOR_CLIENT
from potluck.server.openai.deltas import Called, FinishReason
from potluck.server.turn import Wire

_REASONS: Mapping[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
    "safety": "content_filter",
}


def reason_in(metadata: Wire) -> FinishReason | None:
    """Why a model stopped, in OpenAI's words, where it did not stop by itself."""
    told = str(metadata.get("finish_reason") or metadata.get("done_reason") or "").lower()
    return _REASONS.get(told)


def end_of(thread: Sequence[Wire]) -> tuple[FinishReason, list[Called]]:
    """Why a run on the thread ended, and the calls that are left to the client."""
    last = thread[-1] if thread else {}
    metadata = last.get("response_metadata") or {}
    if last.get("type") != "ai":
        return "stop", []
    if metadata.get(FOR_CLIENT):
        return "tool_calls", [_called(place, call) for place, call in enumerate(_calls(last))]
    return reason_in(metadata) or "stop", []


def _calls(message: Wire) -> Sequence[Wire]:
    return message.get("tool_calls") or ()


def _called(place: int, call: Wire) -> Called:
    arguments = json.dumps(call["args"], ensure_ascii=False)
    return Called(place, arguments, id=str(call["id"]), name=str(call["name"]))
