"""What a model sees of a tool's result: checked, cut to size, with the whole kept in a file."""

import json
import re
from collections.abc import Mapping

from langchain_core.messages import ToolMessage

from potluck.errors import ToolError
from potluck.settings import hide_secrets
from tools.workspace import Workspace

# About 6,000 tokens: a free tier's minute often has 8,000.
MAX_CHARS = 24_000
KEPT_END_CHARS = 4_000
FOLDER = "tool_results"
SHORTEST_SECRET_CHARS = 12
"""What is shorter may stand in a text by chance."""

Block = str | dict[str, object]


def checked(message: ToolMessage, workspace: Workspace) -> ToolMessage:
    """The result as it goes to the model: never empty, never longer than a model can take.

    What is cut stands whole in a file of the workspace, which the note names. A secret that a tool
    was given, and tells, stands nowhere.
    """
    update = {"content": _hidden(message.content), "artifact": _hidden(message.artifact)}
    return _fitting(message.model_copy(update=update), workspace)


def _hidden(value: object) -> object:
    """JSON without secrets."""
    if isinstance(value, str):
        return hide_secrets(value, shortest_chars=SHORTEST_SECRET_CHARS)
    if isinstance(value, list):
        return [_hidden(one) for one in value]
    if isinstance(value, dict):
        return {name: _hidden(one) for name, one in value.items()}
    return value


def _fitting(message: ToolMessage, workspace: Workspace) -> ToolMessage:
    content = message.content
    if isinstance(content, str):
        return message.model_copy(update={"content": _fitted(content, message, workspace)})
    left = MAX_CHARS
    blocks: list[Block] = []
    for block in content:
        fitted = _fitted_block(block, message, workspace, left)
        left = max(0, left - _length(fitted))
        blocks.append(fitted)
    return message.model_copy(update={"content": blocks or _nothing(message)})


def _fitted(text: str, message: ToolMessage, workspace: Workspace) -> str:
    if not text.strip():
        return _nothing(message)
    return text if len(text) <= MAX_CHARS else _cut(text, message, workspace, MAX_CHARS)


def _fitted_block(
    block: Block | Mapping[str, object], message: ToolMessage, workspace: Workspace, left: int
) -> Block:
    if isinstance(block, str):
        return block if len(block) <= left else _cut(block, message, workspace, left)
    text = block.get("text")
    if isinstance(text, str) and len(text) > left:
        return {**block, "text": _cut(text, message, workspace, left)}
    return dict(block)


def _length(block: Block) -> int:
    if isinstance(block, str):
        return len(block)
    text = block.get("text")
    return len(text) if isinstance(text, str) else 0


def _nothing(message: ToolMessage) -> str:
    return f"[{message.name} gave no output]"


def _cut(text: str, message: ToolMessage, workspace: Workspace, room: int) -> str:
    """Beginning and end of the text, and where the whole is."""
    end = text[-KEPT_END_CHARS:] if room > 2 * KEPT_END_CHARS else ""
    start = text[: max(0, room - len(end))]
    missing = len(text) - len(start) - len(end)
    place = _keep(text, message, workspace)
    where = f"; all of it is in {place}, read it with read_file" if place else ""
    return f"{start}\n[cut: {missing:,} of {len(text):,} characters{where}]\n{end}".rstrip("\n")


def _keep(text: str, message: ToolMessage, workspace: Workspace) -> str | None:
    """Write the whole result into the workspace; None when it does not take it."""
    path = f"{_stem(message)}.{'json' if _is_json(text) else 'txt'}"
    try:
        workspace.write(path, text.encode("utf-8", "replace"))
    except ToolError:
        return None
    return path


def kept_path(message: ToolMessage, text: str) -> str:
    """Where the whole of a result is that has this text, or where it would be kept."""
    stem = _stem(message)
    found = re.search(rf"all of it is in ({re.escape(stem)}\.(?:json|txt)), read it", text)
    return found[1] if found else f"{stem}.{'json' if _is_json(text) else 'txt'}"


def _stem(message: ToolMessage) -> str:
    safe = "".join(c for c in message.tool_call_id if c.isalnum() or c in "-_")[:64] or "result"
    return f"{FOLDER}/{safe}"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
