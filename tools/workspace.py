"""The workspace: one folder a thread, out of which no path leads."""

import contextlib
import hashlib
import os
import re
import secrets
import stat
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from potluck.errors import ToolError
from tools.folder import ANCHORED, Folder, explained, refuse_unless_plain

MAX_FILE_BYTES = 5_000_000
MAX_DEPTH = 16
MAX_ENTRIES = 10_000

# No capitals: on Windows and macOS `A` and `a` would be one folder.
_SAFE_THREAD_ID = re.compile(r"[a-z0-9_-]{1,64}")
_TEMPORARY = ".potluck-new-"
_WINDOWS_ROOT = re.compile(r"[A-Za-z]:|\\\\")
_WINDOWS_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
# Reading, changing and writing back is one act; steps of a plan run side by side.
_changing = threading.Lock()


@dataclass(frozen=True, slots=True)
class Entry:
    """Something in a workspace: its path with slashes, and its size (None: not a plain file)."""

    path: str
    kind: str
    size_bytes: int | None


def folder_of(home: Path, thread_id: str) -> Path:
    """Where the workspace of a thread is, or would be."""
    name = thread_id
    if not _SAFE_THREAD_ID.fullmatch(name) or _WINDOWS_DEVICE.fullmatch(name):
        digest = hashlib.sha256(thread_id.encode("utf-8", "surrogatepass")).hexdigest()
        name = f"id.{digest}"  # with a dot, which no plain id can have
    return home / "workspaces" / name


class Workspace:
    """Files under one root; every path is relative to it. Raises ToolError for anything else.

    Paths are walked folder by folder from the open root and links are never followed, so that
    neither `..` nor a link, made before or in the middle of a call, leads out. `anchored=False` is
    for systems that cannot open relative to a folder: there each step is checked instead.
    """

    def __init__(self, root: Path, *, anchored: bool = ANCHORED) -> None:
        self.root = root
        self._anchored = anchored
        root.mkdir(mode=0o700, parents=True, exist_ok=True)

    @classmethod
    def for_thread(cls, home: Path, thread_id: str) -> Self:
        """The workspace of a thread; an id that is no plain name is replaced by its hash."""
        return cls(folder_of(home, thread_id))

    def read(self, path: str, *, max_bytes: int = MAX_FILE_BYTES) -> bytes:
        """The bytes of a file. Raises ToolError when it is missing, no file, or too large."""
        with self._parent(path) as (folder, name):
            return folder.read(name, max_bytes=max_bytes)

    def write(self, path: str, content: bytes) -> bool:
        """Make or replace a file in one step, with its folders. True if it is new."""
        with _changing:
            return self._write(path, content)

    def append(self, path: str, content: bytes) -> bool:
        """Add to the end of a file, which is made when missing. True if it is new."""
        with _changing:
            return self._write(path, (self._read_if_there(path) or b"") + content)

    def edit(self, path: str, old: str, new: str, *, every: bool = False) -> int:
        """Replace `old` by `new` in a text file; gives the number of places, one unless `every`."""
        if not old:
            raise ToolError("The text to replace is empty. Give the exact text that is there now.")
        with _changing:
            content = self.read(path)
            text = decode(content, path)
            places = text.count(old)
            if places == 0:
                raise ToolError(
                    f"{path} does not contain that text. Call read_file and copy it exactly, "
                    "with its spaces and line ends."
                )
            if places > 1 and not every:
                raise ToolError(
                    f"{path} contains that text {places} times. Give more of the text around "
                    "the place that you mean, or set `every` to true."
                )
            self._write(path, text.replace(old, new).encode(_encoding(content)))
        return places

    def entries(self, path: str = "") -> Iterator[Entry]:
        """Everything under a folder, by path, folders before what they hold; at most MAX_ENTRIES.

        Deeper than MAX_DEPTH is not looked at. Links are named, not followed.
        """
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(self._root())
            for part in _parts(path, may_be_root=True):
                folder = stack.enter_context(folder.child(part))
            left = MAX_ENTRIES
            for entry in _walk(folder, MAX_DEPTH):
                if left == 0:
                    return
                left -= 1
                yield entry

    def _write(self, path: str, content: bytes) -> bool:
        if len(content) > MAX_FILE_BYTES:
            raise ToolError(
                f"{path} would be {len(content):,} bytes; the most is {MAX_FILE_BYTES:,}. "
                "Split it into several files."
            )
        with self._parent(path, create=True) as (folder, name):
            shown = folder.shown_name(name)
            with explained(shown):
                there = folder.status(name)
                mode = _mode_to_keep(there, shown)
                temporary = _TEMPORARY + secrets.token_hex(8)
                try:
                    folder.create(temporary, content, mode=mode)
                    folder.rename(temporary, name)
                except BaseException:
                    folder.remove(temporary)
                    raise
            return there is None

    def _read_if_there(self, path: str) -> bytes | None:
        with self._parent(path, create=True) as (folder, name):
            if folder.status(name) is None:
                return None
            return folder.read(name, max_bytes=MAX_FILE_BYTES)

    @contextlib.contextmanager
    def _root(self) -> Iterator[Folder]:
        with contextlib.ExitStack() as stack:
            with explained("the workspace"):
                folder = stack.enter_context(Folder.root(self.root, anchored=self._anchored))
            yield folder

    @contextlib.contextmanager
    def _parent(self, path: str, *, create: bool = False) -> Iterator[tuple[Folder, str]]:
        *folders, name = _parts(path)
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(self._root())
            for part in folders:
                folder = stack.enter_context(folder.child(part, create=create))
            yield folder, name


_current: ContextVar[Workspace | None] = ContextVar("workspace", default=None)


@contextlib.contextmanager
def use_workspace(workspace: Workspace) -> Iterator[None]:
    """Make this the workspace of the tools called inside, also in threads they run in."""
    token = _current.set(workspace)
    try:
        yield
    finally:
        _current.reset(token)


def current_workspace() -> Workspace:
    """The workspace of the tool call that is running. Raises ToolError outside of one."""
    workspace = _current.get()
    if workspace is None:
        raise ToolError("No workspace is open here, so there are no files. Go on without files.")
    return workspace


def decode(content: bytes, path: str) -> str:
    """The text in these bytes: UTF-8, or UTF-16 with its mark. Raises ToolError for others."""
    try:
        text = content.decode(_encoding(content))
    except UnicodeDecodeError as error:
        raise ToolError(f"{path} is not a text file in UTF-8 ({len(content):,} bytes).") from error
    if "\0" in text:
        raise ToolError(f"{path} is not a text file ({len(content):,} bytes).")
    return text


def encode(text: str) -> bytes:
    """The text as UTF-8. Raises ToolError for half characters, which models do write."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ToolError("The text holds half of a character. Write it without.") from error


def _encoding(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    return "utf-8-sig" if content.startswith(b"\xef\xbb\xbf") else "utf-8"


def _walk(folder: Folder, levels_left: int) -> Iterator[Entry]:
    for name in folder.names():
        found = folder.status(name)
        if found is None or name.startswith(_TEMPORARY):
            continue
        shown = folder.shown_name(name)
        if stat.S_ISREG(found.st_mode):
            yield Entry(path=shown, kind="file", size_bytes=found.st_size)
        elif stat.S_ISDIR(found.st_mode):
            yield Entry(path=shown, kind="folder", size_bytes=None)
            if levels_left:
                yield from _walk_child(folder, name, levels_left - 1)
        else:
            kind = "link" if stat.S_ISLNK(found.st_mode) else "special"
            yield Entry(path=shown, kind=kind, size_bytes=None)


def _walk_child(folder: Folder, name: str, levels_left: int) -> Iterator[Entry]:
    with contextlib.ExitStack() as stack:
        try:
            child = stack.enter_context(folder.child(name))
        except ToolError:  # it went away, or is closed to us: its name was listed already
            return
        yield from _walk(child, levels_left)


def _mode_to_keep(there: os.stat_result | None, shown: str) -> int:
    if there is None:
        return 0o644
    if stat.S_ISLNK(there.st_mode):
        raise ToolError(f"{shown} is a link; links are not written through. Take another name.")
    if stat.S_ISDIR(there.st_mode):
        raise ToolError(f"{shown} is a folder. Give the name of a file.")
    refuse_unless_plain(there, shown)
    return stat.S_IMODE(there.st_mode) & 0o777


def _parts(path: str, *, may_be_root: bool = False) -> list[str]:
    """The names along a path. Raises ToolError for one that could lead out or cannot exist."""
    parts = [part for part in path.strip().split("/") if part not in {"", "."}]
    if _leads_out(path.strip(), parts):
        hint = next((p for p in reversed(parts) if p not in {"..", "~"}), "notes.txt")
        raise ToolError(
            f"The path {path!r} leads out of the workspace, which is not allowed. "
            f"Give a path relative to the workspace, such as {re.split(r'[\\/:]', hint)[-1]!r}."
        )
    if not parts and not may_be_root:
        raise ToolError("No file name was given. Give a path such as 'notes.txt'.")
    if len(parts) > MAX_DEPTH:
        raise ToolError(f"The path has more than {MAX_DEPTH} levels. Use fewer folders.")
    for part in parts:
        _refuse_bad_name(part)
    return parts


def _leads_out(path: str, parts: list[str]) -> bool:
    absolute = path.startswith(("/", "~", "\\")) or bool(_WINDOWS_ROOT.match(path))
    return absolute or ".." in parts or any(".." in part.split("\\") for part in parts)


def _refuse_bad_name(name: str) -> None:
    if any(ord(letter) < 32 or letter in "\\\x7f" for letter in name):
        raise ToolError(
            f"The name {name!r} has a letter that file names may not have. "
            "Put / between folders, and use plain letters."
        )
    if len(encode(name)) > 255:
        raise ToolError("The file name is too long. Use a shorter one.")
    if name.startswith(_TEMPORARY):
        raise ToolError(f"Names that begin with {_TEMPORARY!r} are taken. Use another one.")
    if os.name == "nt" and (":" in name or _WINDOWS_DEVICE.fullmatch(name)):
        raise ToolError(f"{name!r} is not a file name on this system. Use another one.")
