"""The response object: what was asked, and what has come of it so far."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from potluck.server.openai.deltas import Finished, FinishReason
from potluck.server.openai.errors import ApiError
from potluck.server.openai.responses.items import new_id
from potluck.server.openai.responses.request import FunctionTool, ResponsesRequest

Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
Json = dict[str, object]

# Why an answer is not whole, in the words of this API
INCOMPLETE: Mapping[FinishReason, str] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
}
_RATE_LIMITED = 429
_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class Envelope:
    """What stays the same in a response while it is made."""

    asked: ResponsesRequest
    id: str = field(default_factory=lambda: new_id("resp"))
    created_at: int = field(default_factory=lambda: int(time.time()))

    def body(self, status: Status, output: Sequence[Json] = (), **more: object) -> Json:
        """The response as it stands; `more` takes the place of fields that are null until then."""
        asked = self.asked
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created_at,
            "status": status,
            "background": bool(asked.background),
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            "instructions": asked.instructions,
            "conversation": {"id": asked.conversation_id} if asked.conversation_id else None,
            "max_output_tokens": asked.max_output_tokens,
            "max_tool_calls": asked.max_tool_calls,
            "metadata": asked.metadata or {},
            "model": asked.model,
            "output": list(output),
            "parallel_tool_calls": asked.parallel_tool_calls is not False,
            "previous_response_id": asked.previous_response_id,
            "prompt_cache_key": asked.prompt_cache_key,
            "reasoning": _reasoning(asked),
            "safety_identifier": asked.safety_identifier,
            "service_tier": "default",
            "store": asked.is_kept,
            "temperature": asked.temperature,
            "text": _text(asked),
            "tool_choice": _tool_choice(asked),
            "tools": _tools(asked),
            "top_logprobs": 0,
            "top_p": asked.top_p,
            "truncation": asked.truncation or "disabled",
            "usage": None,
            "user": asked.user,
            **more,
        }

    def ended(self, output: Sequence[Json], finished: Finished) -> Json:
        """The response with its whole answer, or as much as there is to be of it."""
        reason = INCOMPLETE.get(finished.reason)
        if reason is not None:
            more: Json = {"incomplete_details": {"reason": reason}}
            return self.body("incomplete", output, usage=usage_body(finished), **more)
        return self.body(
            "completed", output, usage=usage_body(finished), completed_at=int(time.time())
        )

    def failed(self, output: Sequence[Json], error: ApiError) -> Json:
        """The response that came to nothing, with what there is of it."""
        return self.body("failed", output, error=error_body(error))


def error_body(error: ApiError) -> Json:
    """The error in one of the codes that the SDKs know."""
    if error.status == _RATE_LIMITED:
        code = "rate_limit_exceeded"
    else:
        code = "invalid_prompt" if error.status < _SERVER_ERROR else "server_error"
    return {"code": code, "message": error.message}


def usage_body(finished: Finished) -> Json:
    """Tokens, summed over everything that the answer took."""
    return {
        "input_tokens": finished.input_tokens,
        "input_tokens_details": {
            "cached_tokens": finished.cached_tokens,
            "cache_write_tokens": 0,
        },
        "output_tokens": finished.output_tokens,
        "output_tokens_details": {"reasoning_tokens": finished.reasoning_tokens},
        "total_tokens": finished.input_tokens + finished.output_tokens,
    }


def _reasoning(asked: ResponsesRequest) -> Json:
    given = asked.reasoning
    return {
        "effort": given.effort if given else None,
        "summary": given.summary if given else None,
    }


def _text(asked: ResponsesRequest) -> Json:
    given = asked.text
    form = given.format.model_dump() if given and given.format else {"type": "text"}
    verbosity = {"verbosity": given.verbosity} if given and given.verbosity else {}
    return {"format": form, **verbosity}


def _tool_choice(asked: ResponsesRequest) -> object:
    choice = asked.tool_choice
    return "auto" if choice is None else choice if isinstance(choice, str) else choice.model_dump()


def _tools(asked: ResponsesRequest) -> list[Json]:
    # A function's parameters are told even where there are none.
    return [
        tool.model_dump() if isinstance(tool, FunctionTool) else tool.model_dump(exclude_none=True)
        for tool in asked.tools or []
    ]
