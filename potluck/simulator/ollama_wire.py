"""The Ollama wire: /api/chat with its stream of JSON lines, and the local list of models."""

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from potluck.simulator.dialect import Incoming, Outgoing, Refusal, Target, WireError
from potluck.simulator.json_body import compact, json_object, refuse_wrong
from potluck.simulator.profile import DialectName, Profile
from potluck.simulator.reply import split_text
from potluck.simulator.request import Message, ModelRequest, ResponseFormat, Role, Tool, ToolCall

type Json = dict[str, object]

_DIGEST = "7df6b6e09427a769808717c0a93cadc4ae99ed4eb8bf5ca557c90846becea435"
_PATHS: dict[tuple[str, str], Target] = {
    ("POST", "/api/chat"): Target("chat"),
    ("GET", "/api/tags"): Target("models"),
    ("POST", "/api/show"): Target("model"),
    ("GET", "/api/version"): Target("version"),
}


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Function(_Open):
    name: str
    arguments: dict[str, object] = {}


class _Call(_Open):
    id: str | None = None
    function: _Function


class _Message(_Open):
    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_Call] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None
    images: list[str] | None = None


class _Declaration(_Open):
    name: str
    description: str | None = None
    parameters: dict[str, object] | None = None


class _Tool(_Open):
    function: _Declaration


class _Body(_Open):
    model: str
    messages: list[_Message] = []
    tools: list[_Tool] | None = None
    stream: bool | None = None
    format: dict[str, object] | Literal["", "json"] | None = None
    options: dict[str, object] | None = None
    think: bool | str | None = None


class OllamaWire:
    """Ollama's own API."""

    name: DialectName = "ollama"
    stream_type = "application/x-ndjson"
    stream_end = b""

    def target(self, method: str, path: str) -> Target | None:
        """What this path asks for."""
        return _PATHS.get((method, path))

    def key(self, incoming: Incoming) -> str | None:
        """The bearer token; a local Ollama looks at none."""
        return incoming.headers.get("authorization", "").removeprefix("Bearer ").strip() or None

    def parse(self, incoming: Incoming, target: Target) -> ModelRequest:
        """Read a chat request. Raises Refusal."""
        del target
        raw = json_object(incoming.body, "invalid character looking for beginning of value")
        try:
            body = _Body.model_validate(raw)
        except ValidationError as error:
            refuse_wrong(error)
        return ModelRequest(
            provider=incoming.provider,
            model=body.model,
            messages=_messages(body.messages),
            tools=tuple(_tool(tool.function) for tool in body.tools or ()),
            response_format=_format(body.format),
            stream=body.stream is not False,
            include_usage=True,
            params={**(body.options or {}), "think": body.think},
            key=self.key(incoming),
            headers=incoming.headers,
            body=raw,
            size_bytes=len(incoming.body),
        )

    def whole(self, answer: Outgoing) -> object:
        """The answer as one object with its timings."""
        reply = answer.reply
        message: Json = {"role": "assistant", "content": reply.text + _unread(reply.tool_calls)}
        if reply.reasoning:
            message["thinking"] = reply.reasoning
        calls = _calls(reply.tool_calls)
        if calls:
            message["tool_calls"] = calls
        return _line(answer, message) | _last(answer)

    def chunks(self, answer: Outgoing) -> Iterator[bytes]:
        """One line a piece; the last says `done`."""
        reply = answer.reply
        for piece in reply.reasoning_pieces():
            message: Json = {"role": "assistant", "content": "", "thinking": piece}
            yield _encoded(_line(answer, message))
        for piece in (*reply.text_pieces(), *split_text(_unread(reply.tool_calls))):
            yield _encoded(_line(answer, {"role": "assistant", "content": piece}))
        for call in _calls(reply.tool_calls):
            message = {"role": "assistant", "content": "", "tool_calls": [call]}
            yield _encoded(_line(answer, message))
        yield _encoded(_line(answer, {"role": "assistant", "content": ""}) | _last(answer))

    def models(self, profile: Profile, at: datetime) -> object:
        """The models that are installed."""
        return {"models": [_installed(model, at) for model in profile.models]}

    def model(self, profile: Profile, model: str, at: datetime) -> object:
        """What is known of one model."""
        del profile
        return {
            "details": _details(),
            "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 40_960},
            "capabilities": ["completion", "tools", "thinking"],
            "modified_at": at.isoformat(),
            "model": model,
        }

    def error(self, profile: Profile, refusal: Refusal) -> WireError:
        """The refusal as an object with one sentence."""
        del profile
        return WireError(refusal.status, {"error": refusal.message})

    def error_chunk(self, answer: Outgoing, error: WireError) -> bytes:
        """An error line in the stream."""
        del answer
        return _encoded(error.body)


def _messages(messages: list[_Message]) -> tuple[Message, ...]:
    found: list[Message] = []
    open_calls: list[ToolCall] = []
    for turn, message in enumerate(messages):
        if message.role == "tool":
            found.append(_result(message, open_calls))
            continue
        calls = tuple(
            ToolCall(call.function.name, call.function.arguments, call.id or f"turn-{turn}-{index}")
            for index, call in enumerate(message.tool_calls or ())
        )
        open_calls = list(calls)
        role: Role = message.role
        images = len(message.images or ())
        found.append(Message(role, message.content or "", calls, images=images))
    return tuple(found)


def _result(message: _Message, open_calls: list[ToolCall]) -> Message:
    # Ollama pairs results with calls by name and order, not by id
    fits = [call for call in open_calls if call.id == message.tool_call_id]
    fits += [call for call in open_calls if call.name == message.tool_name]
    call = next(iter(fits + open_calls), None)
    if call is not None:
        open_calls.remove(call)
    call_id = call.id if call else message.tool_call_id
    name = message.tool_name or (call.name if call else None)
    return Message("tool", message.content or "", (), call_id, name)


def _tool(declared: _Declaration) -> Tool:
    return Tool(declared.name, declared.description or "", declared.parameters or {})


def _format(wanted: dict[str, object] | str | None) -> ResponseFormat | None:
    if not wanted:
        return None
    if isinstance(wanted, dict):
        return ResponseFormat("json_schema", wanted)
    return ResponseFormat("json_object")


def _calls(calls: tuple[ToolCall, ...]) -> list[Json]:
    return [
        {"id": call.id, "function": {"index": i, "name": call.name, "arguments": dict(call.args)}}
        for i, call in enumerate(calls)
        if not call.malformed
    ]


def _unread(calls: tuple[ToolCall, ...]) -> str:
    # Ollama reads tool calls out of the model's text; what it cannot read stays text
    return "".join(call.args_text for call in calls if call.malformed)


def _line(answer: Outgoing, message: Json) -> Json:
    return {
        "model": answer.request.model,
        "created_at": answer.at.isoformat(),
        "message": message,
        "done": False,
    }


def _last(answer: Outgoing) -> Json:
    usage = answer.reply.usage
    return {
        "done": True,
        "done_reason": "length" if answer.reply.ending == "length" else "stop",
        "total_duration": 1_000_000,
        "load_duration": 1,
        "prompt_eval_count": usage.input_tokens if usage else 0,
        "prompt_eval_duration": 1,
        "eval_count": usage.output_tokens if usage else 0,
        "eval_duration": 1,
    }


def _installed(model: str, at: datetime) -> Json:
    return {
        "name": model,
        "model": model,
        "modified_at": at.isoformat(),
        "size": 522_653_767,
        "digest": _DIGEST,
        "details": _details(),
    }


def _details() -> Json:
    return {
        "parent_model": "",
        "format": "gguf",
        "family": "qwen3",
        "families": ["qwen3"],
        "parameter_size": "751.63M",
        "quantization_level": "Q4_K_M",
    }


def _encoded(body: object) -> bytes:
    return compact(body) + b"\n"
