"""The Gemini wire: generateContent, its stream of server-sent events, and the list of models."""

import base64
import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from potluck.simulator.dialect import Incoming, Outgoing, Refusal, Target, WireError
from potluck.simulator.gemini_request import parse_generate
from potluck.simulator.json_body import compact
from potluck.simulator.profile import DialectName, Profile
from potluck.simulator.reply import FinishReason, Reply
from potluck.simulator.request import ModelRequest, ToolCall

type Json = dict[str, object]

_CALL = re.compile(r"/v1(?:alpha|beta)?/models/(?P<model>[^:]+):(?P<method>\w+)")
_LIST = re.compile(r"/v1(?:alpha|beta)/models(?:/(?P<model>[^:]+))?")
_ENDINGS: dict[FinishReason, str] = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "SAFETY",
}
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


class GeminiWire:
    """The Generative Language API of Google."""

    name: DialectName = "gemini"
    stream_type = "text/event-stream"
    stream_end = b""

    def target(self, method: str, path: str) -> Target | None:
        """What this path asks for; the path names the model and whether to stream."""
        call = _CALL.fullmatch(path)
        if call and method == "POST":
            streams = {"generateContent": False, "streamGenerateContent": True}
            if call["method"] in streams:
                return Target("chat", model=call["model"], stream=streams[call["method"]])
            return None
        listed = _LIST.fullmatch(path) if method == "GET" else None
        if listed is None:
            return None
        return Target("model" if listed["model"] else "models", model=listed["model"])

    def key(self, incoming: Incoming) -> str | None:
        """The key in `x-goog-api-key` or in the query."""
        return incoming.headers.get("x-goog-api-key") or incoming.query.get("key")

    def parse(self, incoming: Incoming, target: Target) -> ModelRequest:
        """Read a generateContent request. Raises Refusal."""
        if target.stream and incoming.query.get("alt") != "sse":
            raise Refusal("The simulator streams as server-sent events only: add ?alt=sse.")
        return parse_generate(incoming, target, key=self.key(incoming))

    def whole(self, answer: Outgoing) -> object:
        """The answer as one response with one candidate."""
        reply = answer.reply
        if _malformed(reply):
            return _response(answer, [], "MALFORMED_FUNCTION_CALL")
        parts: list[Json] = []
        if reply.reasoning and _wants_thoughts(answer.request):
            parts.append({"text": reply.reasoning, "thought": True})
        if reply.text or not reply.tool_calls:
            parts.append({"text": reply.text})
        parts += _call_parts(reply.tool_calls)
        return _response(answer, parts, _ENDINGS[reply.ending])

    def chunks(self, answer: Outgoing) -> Iterator[bytes]:
        """One event a piece; the last carries the reason it ended."""
        reply = answer.reply
        if reply.reasoning and _wants_thoughts(answer.request):
            for piece in reply.reasoning_pieces():
                yield _event(_response(answer, [{"text": piece, "thought": True}], None))
        for piece in reply.text_pieces():
            yield _event(_response(answer, [{"text": piece}], None))
        if _malformed(reply):
            yield _event(_response(answer, [], "MALFORMED_FUNCTION_CALL"))
            return
        if reply.tool_calls:
            yield _event(_response(answer, _call_parts(reply.tool_calls), None))
        yield _event(_response(answer, [{"text": ""}], _ENDINGS[reply.ending]))

    def models(self, profile: Profile, at: datetime) -> object:
        """The list of models."""
        return {"models": [self.model(profile, model, at) for model in profile.models]}

    def model(self, profile: Profile, model: str, at: datetime) -> object:
        """One model's entry."""
        del profile, at
        return {
            "name": f"models/{model}",
            "version": "001",
            "displayName": model,
            "inputTokenLimit": 1_048_576,
            "outputTokenLimit": 65_536,
            "supportedGenerationMethods": ["generateContent", "countTokens"],
        }

    def error(self, profile: Profile, refusal: Refusal) -> WireError:
        """The refusal as Google's error object."""
        del profile
        error: Json = {
            "code": refusal.status,
            "message": refusal.message,
            "status": _STATUS.get(refusal.status, "UNKNOWN"),
        }
        return WireError(refusal.status, {"error": error})

    def error_chunk(self, answer: Outgoing, error: WireError) -> bytes:
        """An error object as an event of the stream."""
        del answer
        return _event(error.body)


def _response(answer: Outgoing, parts: list[Json], ending: str | None) -> Json:
    content: Json = {"parts": parts, "role": "model"} if parts else {}
    candidate: Json = {"content": content, "index": 0}
    if ending is not None:
        candidate["finishReason"] = ending
    return {
        "candidates": [candidate],
        "usageMetadata": _usage(answer),
        "modelVersion": answer.request.model,
        "responseId": answer.id,
    }


def _usage(answer: Outgoing) -> Json:
    usage = answer.reply.usage
    if usage is None:
        return {}
    body: Json = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
        "totalTokenCount": usage.total_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.input_tokens}],
    }
    if usage.reasoning_tokens:
        body["thoughtsTokenCount"] = usage.reasoning_tokens
    return body


def _call_parts(calls: tuple[ToolCall, ...]) -> list[Json]:
    parts: list[Json] = []
    for index, call in enumerate(calls):
        part: Json = {"functionCall": {"name": call.name, "args": dict(call.args), "id": call.id}}
        if index == 0:
            signature = f"simulated thought before {call.id}".encode()
            part["thoughtSignature"] = base64.b64encode(signature).decode()
        parts.append(part)
    return parts


def _malformed(reply: Reply) -> bool:
    return any(call.malformed for call in reply.tool_calls)


def _wants_thoughts(request: ModelRequest) -> bool:
    thinking = request.params.get("thinkingConfig")
    return isinstance(thinking, Mapping) and bool(thinking.get("includeThoughts"))


def _event(body: object) -> bytes:
    return b"data: " + compact(body) + b"\r\n\r\n"
