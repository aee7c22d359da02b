"""Files: list, read, write, edit and search what lies in the thread's workspace."""

import fnmatch
from collections.abc import Iterator

from langchain_core.tools import tool

from potluck.errors import ToolError
from tools.workspace import Entry, Workspace, current_workspace, decode, encode

MAX_RESULT_CHARS = 20_000
MAX_LISTED = 200
MAX_FOUND = 100
MAX_LINE_CHARS = 300
MAX_SEARCHED_BYTES = 1_000_000
MAX_SEARCHED_BYTES_IN_ALL = 100_000_000


@tool(parse_docstring=True)
def list_files(path: str = "") -> str:
    """List the workspace's files, with sizes.

    Args:
        path: Only this folder; empty for all.
    """
    lines: list[str] = []
    more = 0
    for entry in current_workspace().entries(path):
        if len(lines) < MAX_LISTED:
            lines.append(_described(entry))
        else:
            more += 1
    if not lines:
        return f"{path or 'The workspace'} is empty."
    if more:
        lines.append(f"[cut: {more:,} more; give `path` to list one folder]")
    return "\n".join(lines)


@tool(parse_docstring=True)
def read_file(path: str, start_line: int = 1) -> str:
    """Read a text file of the workspace; a long one in parts.

    Args:
        path: Such as notes/todo.txt.
        start_line: The first line to read, from 1.
    """
    if start_line < 1:
        raise ToolError(f"start_line is {start_line}, but lines are counted from 1.")
    text = decode(current_workspace().read(path), path)
    if not text:
        return f"[{path} is empty]"
    lines = text.splitlines(keepends=True)
    if start_line > len(lines):
        raise ToolError(f"{path} has {len(lines)} lines; there is no line {start_line}.")
    return _cut(path, lines, start_line)


@tool(parse_docstring=True)
def write_file(path: str, text: str, append: bool = False) -> str:  # noqa: FBT001, FBT002 - the model passes it by name
    """Write a text file into the workspace. Replaces what was there.

    Args:
        path: Such as notes/todo.txt.
        text: All that the file is to hold.
        append: Add to its end instead.
    """
    content = encode(text)
    workspace = current_workspace()
    is_new = workspace.append(path, content) if append else workspace.write(path, content)
    if append and not is_new:
        return f"Added {_sized(len(content))} to {path}."
    return f"Wrote {path} ({_sized(len(content))}, {'new' if is_new else 'replaced'})."


@tool(parse_docstring=True)
def edit_file(path: str, old: str, new: str, every: bool = False) -> str:  # noqa: FBT001, FBT002 - the model passes it by name
    """Replace text in a file of the workspace.

    Args:
        path: The file.
        old: The text there now, exactly; it must occur once.
        new: The text in its place; empty removes it.
        every: Replace every occurrence.
    """
    encode(new)
    places = current_workspace().edit(path, old, new, every=every)
    return f"Edited {path}: replaced {places} {'place' if places == 1 else 'places'}."


@tool(parse_docstring=True)
def search_files(text: str = "", name: str = "", path: str = "") -> str:
    """Find the workspace's files by name, and lines in them by text.

    Args:
        text: Words in the files; plain text, any case.
        name: File names, as in *.py.
        path: Only this folder.
    """
    if not text and not name:
        raise ToolError("Nothing to search for. Give `text`, `name`, or both.")
    workspace = current_workspace()
    files = [entry for entry in workspace.entries(path) if _is_wanted(entry, name)]
    if not text:
        return _found([entry.path for entry in files], f"No file is called {name!r}.")
    hits, skipped = _hits(workspace, files, text)
    note = f"\n[not searched, as not text or too large: {skipped}]" if skipped else ""
    return _found(hits, f"No file contains {text!r}.") + note


def _described(entry: Entry) -> str:
    match entry.kind:
        case "file":
            return f"{entry.path} ({_sized(entry.size_bytes or 0)})"
        case "folder":
            return f"{entry.path}/"
        case _:
            return f"{entry.path} ({entry.kind}, not followed)"


def _sized(count: int) -> str:
    return f"{count:,} {'byte' if count == 1 else 'bytes'}"


def _cut(path: str, lines: list[str], start_line: int) -> str:
    shown: list[str] = []
    room = MAX_RESULT_CHARS
    for line in lines[start_line - 1 :]:
        if len(line) > room:
            break
        shown.append(line)
        room -= len(line)
    last = start_line - 1 + len(shown)
    if last == len(lines):
        return "".join(shown)
    if not shown:
        line = lines[start_line - 1]
        return (
            f"{line[:MAX_RESULT_CHARS]}\n[cut: line {start_line} of {path} has {len(line):,} "
            f"letters, of which the first {MAX_RESULT_CHARS:,} are shown]"
        )
    return (
        f"{''.join(shown)}\n[cut: these are lines {start_line} to {last} of {len(lines)} of {path};"
        f" go on with start_line={last + 1}]"
    )


def _is_wanted(entry: Entry, name: str) -> bool:
    if entry.kind != "file":
        return False
    pattern = name if not name or any(c in name for c in "*?[") else f"*{name}*"
    last = entry.path.rsplit("/", 1)[-1]
    return not name or any(
        fnmatch.fnmatchcase(part.casefold(), pattern.casefold()) for part in (last, entry.path)
    )


def _hits(workspace: Workspace, files: list[Entry], text: str) -> tuple[list[str], int]:
    hits: list[str] = []
    skipped = 0
    room = MAX_SEARCHED_BYTES_IN_ALL
    for number, entry in enumerate(files):
        room -= entry.size_bytes or 0
        if room < 0:
            return hits, skipped + len(files) - number
        try:
            content = decode(workspace.read(entry.path, max_bytes=MAX_SEARCHED_BYTES), entry.path)
        except ToolError:
            skipped += 1
            continue
        hits.extend(_hits_in(entry.path, content, text.casefold()))
        if len(hits) > MAX_FOUND:
            break
    return hits, skipped


def _hits_in(path: str, content: str, wanted: str) -> Iterator[str]:
    for number, line in enumerate(content.splitlines(), start=1):
        if wanted in line.casefold():
            yield f"{path}:{number}: {line.strip()[:MAX_LINE_CHARS]}"


def _found(lines: list[str], otherwise: str) -> str:
    if len(lines) > MAX_FOUND:
        cut = f"[cut: the first {MAX_FOUND} are shown; search for something narrower]"
        lines = [*lines[:MAX_FOUND], cut]
    return "\n".join(lines) or otherwise
