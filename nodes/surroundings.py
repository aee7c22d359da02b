"""What a model is told of the world around it: the date, the time, the files at hand."""

import asyncio
import re
from collections.abc import Sequence
from datetime import datetime, tzinfo
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

from graph.state import Context
from nodes.tool_results import FOLDER
from potluck.errors import ToolError
from tools.clock import WEEKDAYS
from tools.workspace import Workspace, folder_of

MAX_FILES = 12
MAX_NAME_CHARS = 60
# The time makes each minute's prompt another one, of which nothing is kept: only who asks gets it.
_ASKS_TIME = re.compile(
    r"\b(?:now|(?:what|local) time|time is it|o'clock|hours? (?:ago|from|until|till|left)"
    r"|minutes? (?:ago|from|until|till|left)|tonight|at the moment)\b"
    r"|何時|現在|時間後|分後|今[、は]|ただいま",
    re.IGNORECASE,
)


def now_told(request: str, context: Context | None, *, now: datetime | None = None) -> str:
    """The date where the user is, else where the server is; the time if the request is about it."""
    zone = _zone_of(context)
    here = (now or datetime.now().astimezone()).astimezone(zone)
    time = f", {here:%H:%M}" if _ASKS_TIME.search(request) else ""
    offset = here.strftime("%z")
    name = f"{zone}, " if isinstance(zone, ZoneInfo) else ""
    weekday = WEEKDAYS[here.weekday()]
    return f"Today: {weekday}, {here:%Y-%m-%d}{time} ({name}UTC{offset[:3]}:{offset[3:5]})."


async def files_at_hand(home: Path, thread_id: str | None) -> list[str]:
    """The files of the thread's workspace, by name; one more than are told when there are more."""
    folder = folder_of(home, thread_id or "default")
    return await asyncio.to_thread(_files_in, folder)


def files_told(files: Sequence[str]) -> str:
    """The files in one line, as data: what a name says is no instruction."""
    if not files:
        return "The workspace has no files yet."
    shown = ", ".join(_quoted(name) for name in files[:MAX_FILES])
    more = " and more" if len(files) > MAX_FILES else ""
    return f"Files in the workspace: {shown}{more}."


def _files_in(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    try:
        entries = Workspace(folder).entries()
        own = (e.path for e in entries if e.kind == "file" and not e.path.startswith(f"{FOLDER}/"))
        return list(islice(own, MAX_FILES + 1))
    except (ToolError, OSError):
        return []


def _quoted(name: str) -> str:
    plain = "".join(c if c.isprintable() else "?" for c in name)
    short = plain if len(plain) <= MAX_NAME_CHARS else f"{plain[:MAX_NAME_CHARS]}…"
    return f"`{short.replace('`', '')}`"


def _zone_of(context: Context | None) -> tzinfo | None:
    name = (context or Context()).get("timezone")
    return ZoneInfo(name) if name else None
