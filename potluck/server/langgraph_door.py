"""What comes in over the LangGraph API is checked before it is used, not when it has failed."""

import json
import re
from collections.abc import Iterator

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from potluck import engine
from potluck.server.langgraph_wire import Mistake, mistakes_in_run, mistakes_in_state
from potluck.server.run_marks import STATELESS
from potluck.server.stored_text import unstorable_in
from potluck.server.turn import UNATTENDED

# The images of a chat come through here from the OpenAI door
MAX_BODY_BYTES = 40_000_000
_CHECKED_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_MOST = 2**31 - 1
_OURS = re.compile(r"/(threads|runs|assistants|store|crons)(/|$)")
_RUN = re.compile(r"(?P<thread>/threads/[^/]+)?/runs(/stream|/wait)?/?")
_OPERATORS = frozenset({"$eq", "$ne", "$gt", "$gte", "$lt", "$lte"})
_STATE = re.compile(r"/threads/[^/]+/state/?")


class LangGraphDoor:
    """ASGI middleware: answers 422 to what makes no sense for this graph.

    Bodies that are no JSON objects are left to the server behind it, which refuses them itself.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request of the LangGraph API; pass everything else on."""
        if scope["type"] != "http" or _OURS.match(scope["path"]) is None:
            await self.app(scope, receive, send)
            return
        if "\x00" in scope["path"]:
            await _refusal(404, [(("path",), "holds NUL")])(scope, receive, send)
            return
        if scope["method"] not in _CHECKED_METHODS:
            await self.app(scope, receive, send)
            return
        body, rest = await _read(receive)
        if body is None:
            text = f"is over {MAX_BODY_BYTES:,} bytes"
            await _refusal(413, [(("body",), text)])(scope, receive, send)
            return
        parsed = _parsed(body)
        mistakes = await _mistakes(scope["path"], parsed)
        if mistakes:
            await _refusal(422, mistakes)(scope, receive, send)
            return
        completed = _completed(scope["path"], parsed) if isinstance(parsed, dict) else None
        if completed is not None:
            scope, rest = _with_body(scope, json.dumps(completed).encode(), receive)
        await self.app(scope, rest, send)


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


async def _mistakes(path: str, body: object) -> list[Mistake]:
    unstorable = unstorable_in(body)
    if unstorable is not None:
        return [(("body",), unstorable)]
    if not isinstance(body, dict):
        return []
    if _RUN.fullmatch(path):
        models = (await engine.current()).chain.models()
        return mistakes_in_run(body, frozenset(model.ref for model in models if model.on))
    if _STATE.fullmatch(path):
        return mistakes_in_state(body)
    return list(_mistakes_of_form(body))


def _mistakes_of_form(body: dict[str, object]) -> Iterator[Mistake]:
    """What Aegra takes on trust."""
    for name in ("limit", "offset"):
        count = body.get(name)
        if isinstance(count, int) and count > _MOST:
            yield ("body", name), f"is over {_MOST}"
    config = body.get("config")
    given = config.get("configurable") if isinstance(config, dict) else None
    if given is not None and not isinstance(given, dict):
        yield ("body", "config", "configurable"), "is no object"
    wanted = body.get("filter")
    for name, value in wanted.items() if isinstance(wanted, dict) else ():
        if isinstance(value, dict) and (unknown := sorted(value.keys() - _OPERATORS)):
            text = f"has {', '.join(unknown)}, not one of {', '.join(sorted(_OPERATORS))}"
            yield ("body", "filter", name), text


def _completed(path: str, run: dict[str, object]) -> dict[str, object] | None:
    """The run with what Aegra must be told of it; None when there is nothing to tell."""
    found = _RUN.fullmatch(path)
    if found is None:
        return None
    if found["thread"] is None:
        return _marked_stateless(run)
    starts = ("input", "command", "checkpoint", "checkpoint_id")
    if any(run.get(key) is not None for key in starts):
        return None
    # Without input it goes on from the last checkpoint, as on LangGraph's own server.
    return {**run, "checkpoint": {}}


def _marked_stateless(run: dict[str, object]) -> dict[str, object] | None:
    """Marked as one whose thread goes with it: nobody waits for it once the server has died."""
    metadata = run.get("metadata") or {}
    if run.get("on_completion") == "keep" or not isinstance(metadata, dict):
        return None
    return {**_unattended(run), "metadata": {**metadata, STATELESS: True}}


def _unattended(run: dict[str, object]) -> dict[str, object]:
    """The run, which is neither parked nor asks for approval: nobody could pick it up later."""
    context = run.get("context")
    if isinstance(context, dict) and context:
        return {**run, "context": {**UNATTENDED, **context}}
    config = run.get("config") or {}
    configurable = config.get("configurable") or {} if isinstance(config, dict) else None
    if not isinstance(config, dict) or not isinstance(configurable, dict):
        return run
    # Without a context, Aegra takes what is configurable for it.
    return {**run, "config": {**config, "configurable": {**UNATTENDED, **configurable}}}


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
    return body, _replay(body, receive)


def _replay(body: bytes, receive: Receive) -> Receive:
    once: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return once.pop() if once else await receive()

    return again


def _with_body(scope: Scope, body: bytes, receive: Receive) -> tuple[Scope, Receive]:
    headers = [(k, v) for k, v in scope["headers"] if k.lower() != b"content-length"]
    headers.append((b"content-length", str(len(body)).encode()))
    return {**scope, "headers": headers}, _replay(body, receive)


def _refusal(status: int, mistakes: list[Mistake]) -> JSONResponse:
    """FastAPI's own shape, which the clients of the LangGraph API know."""
    detail = [{"type": "value_error", "loc": list(place), "msg": text} for place, text in mistakes]
    return JSONResponse({"detail": detail}, status)
