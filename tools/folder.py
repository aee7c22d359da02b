"""Folders held open: every step goes from one to its child, and never through a link."""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from potluck.errors import ToolError

# Without these (Windows) each step is checked before it is opened and again after.
ANCHORED = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_CLOSE_ON_EXEC = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOINHERIT", 0)
_FOLDER_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _NO_FOLLOW | _CLOSE_ON_EXEC
# Not to block on a pipe that somebody put in the place of a file.
_READ_FLAGS = (
    os.O_RDONLY
    | _NO_FOLLOW
    | _CLOSE_ON_EXEC
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)
_CREATE_FLAGS = (
    os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | _CLOSE_ON_EXEC | getattr(os, "O_BINARY", 0)
)


@contextlib.contextmanager
def explained(shown: str) -> Iterator[None]:
    """Turn what the system says about `shown` into a ToolError that tells what to do."""
    try:
        yield
    except FileNotFoundError as error:
        raise ToolError(
            f"There is no {shown} in the workspace. Call list_files to see what there is."
        ) from error
    except OSError as error:
        raise ToolError(_explanation(error, shown)) from error


def _explanation(error: OSError, shown: str) -> str:
    match error.errno:
        case errno.ELOOP | errno.EMLINK:
            return f"{shown} is a link; links are not followed in the workspace."
        case errno.ENOTDIR:
            return f"{shown} is not a folder."
        case errno.EISDIR:
            return f"{shown} is a folder, not a file."
        case errno.ENAMETOOLONG:
            return "The path is too long. Use shorter names."
        case errno.ENOSPC | errno.EDQUOT:
            return f"The disk is full: {shown} could not be written."
        case _:
            return f"{shown}: {error.strerror or type(error).__name__}."


def refuse_unless_plain(found: os.stat_result, shown: str) -> None:
    """Raise ToolError unless this is a plain file with one name: another may lie outside."""
    if not stat.S_ISREG(found.st_mode):
        raise ToolError(f"{shown} is not a file.")
    if found.st_nlink > 1:
        raise ToolError(f"{shown} has a second name (a hard link), so it is not opened.")


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder inside a workspace; `fd` anchors it where the system can, `shown` names it."""

    path: Path
    shown: str
    fd: int | None

    @classmethod
    @contextlib.contextmanager
    def root(cls, path: Path, *, anchored: bool = ANCHORED) -> Iterator["Folder"]:
        """Open the root of a workspace, which is trusted; what lies in it is not."""
        fd = os.open(path, _FOLDER_FLAGS & ~_NO_FOLLOW) if anchored else None
        try:
            yield cls(path=path, shown="", fd=fd)
        finally:
            if fd is not None:
                os.close(fd)

    @contextlib.contextmanager
    def child(self, name: str, *, create: bool = False) -> Iterator["Folder"]:
        """Open a folder in this one. Raises ToolError when it is missing, a file, or a link."""
        shown = self.shown_name(name)
        if create:
            with explained(shown), contextlib.suppress(FileExistsError):
                os.mkdir(self._at(name), 0o755, dir_fd=self.fd)
                self._give_away(name)
        with explained(shown):
            self._refuse_unless(stat.S_ISDIR, name, "is not a folder")
            fd = os.open(name, _FOLDER_FLAGS, dir_fd=self.fd) if self.fd is not None else None
        try:
            yield Folder(path=self.path / name, shown=shown, fd=fd)
        finally:
            if fd is not None:
                os.close(fd)

    def shown_name(self, name: str) -> str:
        """The path of `name` as the model knows it: relative to the workspace, with slashes."""
        return f"{self.shown}/{name}" if self.shown else name

    def status(self, name: str) -> os.stat_result | None:
        """What is known of `name` itself, links not followed; None if there is no such thing."""
        try:
            return os.stat(self._at(name), dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        """The names in this folder, sorted."""
        with explained(self.shown or "the workspace"):
            return sorted(os.listdir(self.path if self.fd is None else self.fd))  # noqa: PTH208 - pathlib cannot list an open folder

    def read(self, name: str, *, max_bytes: int) -> bytes:
        """The bytes of a file that has no second name. Raises ToolError for anything else."""
        shown = self.shown_name(name)
        with explained(shown):
            before = self._refuse_unless(stat.S_ISREG, name, "is not a file")
            fd = os.open(self._at(name), _READ_FLAGS, dir_fd=self.fd)
        with os.fdopen(fd, "rb") as file:
            opened = os.fstat(fd)
            refuse_unless_plain(opened, shown)
            if self.fd is None and not os.path.samestat(before, opened):
                raise ToolError(f"{shown} changed while it was opened. Try again.")
            content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise ToolError(f"{shown} is larger than {max_bytes:,} bytes, too large to read here.")
        return content

    def create(self, name: str, content: bytes, *, mode: int) -> None:
        """Make a new file that holds `content`, safely on disk."""
        fd = os.open(self._at(name), _CREATE_FLAGS, mode, dir_fd=self.fd)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(fd)
        self._give_away(name)

    def rename(self, name: str, target: str) -> None:
        """Give `name` the name `target`, in place of what had it."""
        os.replace(self._at(name), self._at(target), src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def remove(self, name: str) -> None:
        """Remove a file; that it is gone already is fine."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._at(name), dir_fd=self.fd)

    def _give_away(self, name: str) -> None:
        """What root makes in a folder belongs to the folder's owner, as whom code runs there."""
        if self.fd is None or os.geteuid() != 0:
            return
        owner = os.fstat(self.fd)
        if owner.st_uid != 0:
            uid, gid = owner.st_uid, owner.st_gid
            os.chown(name, uid, gid, dir_fd=self.fd, follow_symlinks=False)

    def _at(self, name: str) -> str | Path:
        return self.path / name if self.fd is None else name

    def _refuse_unless(
        self, wanted: Callable[[int], bool], name: str, complaint: str
    ) -> os.stat_result:
        shown = self.shown_name(name)
        found = os.stat(self._at(name), dir_fd=self.fd, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode) or (self.fd is None and (self.path / name).is_junction()):
            raise ToolError(f"{shown} is a link; links are not followed in the workspace.")
        if not wanted(found.st_mode):
            raise ToolError(f"{shown} {complaint}.")
        return found
