"""The OpenAI wire: chat completions, plain and as server-sent events, and the list of models."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from potluck.simulator.dialect import Incoming, Outgoing, Refusal, Target, WireError
from potluck.simulator.json_body import compact
from potluck.simulator.openai_errors import openai_error
from potluck.simulator.openai_request import parse_chat
from potluck.simulator.profile import DialectName, Profile
from potluck.simulator.reply import Usage
from potluck.simulator.request import ModelRequest, ToolCall

type Json = dict[str, object]


class OpenAIWire:
    """Chat completions as OpenAI and all who copy it speak them."""

    name: DialectName = "openai"
    stream_type = "text/event-stream; charset=utf-8"
    stream_end = b"data: [DONE]\n\n"

    def target(self, method: str, path: str) -> Target | None:
        """What this path asks for; only its end counts, the rest differs by provider."""
        if path.endswith("/chat/completions"):
            return Target("chat") if method == "POST" else None
        if method != "GET":
            return None
        if path.endswith("/models"):
            return Target("models")
        _, found, model = path.partition("/models/")
        return Target("model", model=model) if found else None

    def key(self, incoming: Incoming) -> str | None:
        """The bearer token."""
        scheme, _, token = incoming.headers.get("authorization", "").partition(" ")
        return token.strip() or None if scheme.lower() == "bearer" else None

    def parse(self, incoming: Incoming, target: Target) -> ModelRequest:
        """Read a chat completion request. Raises Refusal."""
        del target
        return parse_chat(incoming, key=self.key(incoming))

    def whole(self, answer: Outgoing) -> object:
        """The answer as one `chat.completion`."""
        reply = answer.reply
        message: Json = {"role": "assistant", "content": reply.text}
        if reply.tool_calls:
            message["content"] = reply.text or None
            message["tool_calls"] = [_call(call) for call in reply.tool_calls]
        if reply.reasoning and answer.profile.reasoning_field:
            message[answer.profile.reasoning_field] = reply.reasoning
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": reply.ending,
        }
        body = self._envelope(answer, "chat.completion") | {"choices": [choice]}
        if reply.usage is not None:
            body["usage"] = _usage(reply.usage)
        if answer.profile.usage_in_groq_field:
            body["x_groq"] = {"id": f"req_{answer.id[-26:]}"}
        return body

    def chunks(self, answer: Outgoing) -> Iterator[bytes]:
        """Deltas: an empty one with the role, then content, then the reason it ended, usage."""
        envelope = self._envelope(answer, "chat.completion.chunk")
        if answer.profile.keep_alive_comment:
            yield f": {answer.profile.keep_alive_comment}\n\n".encode()
        for choice, extra in self._steps(answer):
            yield _event(envelope | {"choices": choice} | extra)

    def _steps(self, answer: Outgoing) -> Iterator[tuple[list[Json], Json]]:
        profile, reply = answer.profile, answer.reply
        groq: Json = {"x_groq": {"id": f"req_{answer.id[-26:]}"}}
        first: Json = {"role": "assistant", "content": ""}
        yield _choice(first), groq if profile.usage_in_groq_field else {}
        for delta in _deltas(answer):
            yield _choice(delta), {}
        usage = _usage(reply.usage) if reply.usage is not None else {}
        last: Json = {}
        if profile.usage_in_groq_field:
            last = {"x_groq": {"id": f"req_{answer.id[-26:]}", "usage": usage}}
        yield _choice({}, reply.ending), last
        if answer.request.include_usage or profile.usage_always:
            yield [], {"usage": usage}

    def models(self, profile: Profile, at: datetime) -> object:
        """The list of models."""
        return {
            "object": "list",
            "data": [self.model(profile, model, at) for model in profile.models],
        }

    def model(self, profile: Profile, model: str, at: datetime) -> object:
        """One model's entry."""
        created = int(at.timestamp())
        return {"id": model, "object": "model", "created": created, "owned_by": profile.id}

    def error(self, profile: Profile, refusal: Refusal) -> WireError:
        """The refusal in the provider's variant of OpenAI's error object."""
        return openai_error(profile, refusal)

    def error_chunk(self, answer: Outgoing, error: WireError) -> bytes:
        """A chunk that carries the error and ends the choice, as OpenRouter sends it."""
        body = error.body if isinstance(error.body, dict) else {"error": error.body}
        envelope = self._envelope(answer, "chat.completion.chunk")
        return _event(envelope | body | {"choices": _choice({"content": ""}, "error")})

    def _envelope(self, answer: Outgoing, kind: str) -> Json:
        return {
            "id": f"chatcmpl-{answer.id}",
            "object": kind,
            "created": int(answer.at.timestamp()),
            "model": answer.request.model,
            "system_fingerprint": "fp_simulated",
        }


def _deltas(answer: Outgoing) -> Iterator[Json]:
    profile, reply = answer.profile, answer.reply
    if reply.reasoning and profile.reasoning_field:
        for piece in reply.reasoning_pieces():
            yield {profile.reasoning_field: piece}
    for piece in reply.text_pieces():
        yield {"content": piece}
    for index, call in enumerate(reply.tool_calls):
        if profile.whole_tool_calls:
            yield {"tool_calls": [{"index": index} | _call(call)]}
        else:
            yield from _fragments(index, call)


def _fragments(index: int, call: ToolCall) -> Iterator[Json]:
    opening: Json = {"name": call.name, "arguments": ""}
    start: Json = {"index": index, "id": call.id, "type": "function", "function": opening}
    yield {"tool_calls": [start]}
    text = call.args_text
    size = max(4, -(-len(text) // 8))
    for begin in range(0, len(text), size):
        part: Json = {"arguments": text[begin : begin + size]}
        yield {"tool_calls": [{"index": index, "function": part}]}


def _choice(delta: Mapping[str, object], ending: str | None = None) -> list[Json]:
    return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": ending}]


def _call(call: ToolCall) -> Json:
    function = {"name": call.name, "arguments": call.args_text}
    return {"id": call.id, "type": "function", "function": function}


def _usage(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _event(body: Mapping[str, object]) -> bytes:
    return b"data: " + compact(body) + b"\n\n"
