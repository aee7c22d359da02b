"""Runs of the LangGraph API are checked before they are made, not when they have failed."""

import json
import re
from collections.abc import Mapping

from langchain_core.messages import convert_to_messages
from pydantic import TypeAdapter, ValidationError
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graph.state import Context

MAX_BODY_BYTES = 20_000_000
STREAM_MODES = frozenset(
    {
        "values", "updates", "messages", "messages-tuple", "custom", "events", "debug", "tasks",
        "checkpoints",
    }
)  # fmt: skip
_RUN_PATHS = re.compile(r"(/threads/[^/]+)?/runs(/stream|/wait)?/?")
_CONTEXT = TypeAdapter(Context)

Mistake = tuple[tuple[str, ...], str]


class RunInput:
    """ASGI middleware: answers 422 to a run whose input, context or stream mode makes no sense.

    Bodies that are no JSON objects are left to the server behind it, which refuses them itself.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a run that is to be made; pass everything else on."""
        if not _makes_run(scope):
            await self.app(scope, receive, send)
            return
        body, rest = await _read(receive)
        if body is None:
            await _refusal(413, [((), f"The body is over {MAX_BODY_BYTES:,} bytes.")])(
                scope, receive, send
            )
            return
        mistakes = _mistakes(body)
        answer = _refusal(422, mistakes) if mistakes else self.app
        await answer(scope, rest, send)


def _makes_run(scope: Scope) -> bool:
    return (
        scope["type"] == "http"
        and scope["method"] == "POST"
        and _RUN_PATHS.fullmatch(scope["path"]) is not None
    )


async def _read(receive: Receive) -> tuple[bytes | None, Receive]:
    """The whole body (None: too large), and a `receive` that gives it once more."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            break
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY_BYTES:
            return None, receive
        if not message.get("more_body"):
            break
    body = b"".join(parts)
    replay: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return replay.pop() if replay else await receive()

    return body, again


def _mistakes(body: bytes) -> list[Mistake]:
    try:
        run = json.loads(body)
    except (ValueError, RecursionError):
        return []
    if not isinstance(run, dict):
        return []
    return [
        *_input_mistakes(run.get("input")),
        *_context_mistakes(run),
        *_stream_mode_mistakes(run.get("stream_mode")),
    ]


def _input_mistakes(given: object) -> list[Mistake]:
    if not isinstance(given, dict):
        return []
    messages = given.get("messages")
    place = ("body", "input", "messages")
    if not messages:
        text = 'is missing: send {"messages": [{"role": "user", "content": "..."}]}'
        # An empty input beside a command is how some clients resume.
        return [(place, text)] if given or messages is not None else []
    try:
        convert_to_messages(messages if isinstance(messages, list) else [messages])
    except (ValueError, TypeError, NotImplementedError, AttributeError, KeyError) as error:
        return [(place, f"cannot be read as messages: {str(error).splitlines()[0]}")]
    return []


def _context_mistakes(run: Mapping[str, object]) -> list[Mistake]:
    config = run.get("config")
    configurable = config.get("configurable") if isinstance(config, dict) else None
    mistakes: list[Mistake] = []
    for place, given in (
        (("body", "context"), run.get("context")),
        (("body", "config", "configurable"), configurable),
    ):
        if not isinstance(given, dict):
            continue
        try:
            _CONTEXT.validate_python(given)
        except ValidationError as error:
            mistakes += [
                ((*place, *(str(part) for part in item["loc"])), item["msg"])
                for item in error.errors()
            ]
    return mistakes


def _stream_mode_mistakes(given: object) -> list[Mistake]:
    modes = given if isinstance(given, list) else [given]
    unknown = [mode for mode in modes if mode is not None and mode not in STREAM_MODES]
    if not unknown:
        return []
    known = ", ".join(sorted(STREAM_MODES))
    return [(("body", "stream_mode"), f"{unknown[0]!r} is none of {known}")]


def _refusal(status: int, mistakes: list[Mistake]) -> JSONResponse:
    """FastAPI's own shape, which the clients of the LangGraph API know."""
    detail = [{"type": "value_error", "loc": list(place), "msg": text} for place, text in mistakes]
    return JSONResponse({"detail": detail}, status)
