"""How much a workspace holds, and what in it is new."""

import os
import shutil
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path

from potluck.sandbox.limits import Limits
from potluck.sandbox.outcome import MadeFile

MAX_DEPTH = 48
MAX_LISTED = 50
# The clock of the file system, where one can be asked: it lags behind by a tick.
_CLOCK = getattr(time, "CLOCK_REALTIME_COARSE", getattr(time, "CLOCK_REALTIME", 0))
_FOLDER_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


@dataclass(slots=True)
class Contents:
    """What lies in a workspace: bytes on disk, entries, new files, and what is too much."""

    size_bytes: int = 0
    entries: int = 0
    made: list[MadeFile] = field(default_factory=list)
    trouble: str | None = None

    @property
    def advice(self) -> str:
        """What to do about the trouble."""
        return f"Delete files now, or nothing more can be run for long: {self.trouble}."


def file_time_ns() -> int:
    """Now, as a file that is changed now would say it."""
    return time.clock_gettime_ns(_CLOCK)


def contents(folder: Path, limits: Limits, *, since_ns: int | None = None) -> Contents:
    """Look through a folder, links not followed, until something is too much.

    `made` are the plain files changed at or after `since_ns`, by the file system's own clock.
    """
    found = Contents()
    if shutil.disk_usage(folder).free < limits.free_disk_bytes:
        found.trouble = "the disk is nearly full"
    fd = os.open(folder, _FOLDER_FLAGS & ~getattr(os, "O_NOFOLLOW", 0))
    try:
        _Look(found, limits, since_ns).into(fd, "")
    finally:
        os.close(fd)
    found.made.sort(key=lambda made: made.path)
    return found


@dataclass(frozen=True, slots=True)
class _Look:
    found: Contents
    limits: Limits
    since_ns: int | None

    def into(self, fd: int, path: str) -> None:
        with os.scandir(fd) as entries:
            for entry in entries:
                if self.found.trouble:
                    return
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                self._take(fd, f"{path}{entry.name}", status)

    def _take(self, fd: int, path: str, status: os.stat_result) -> None:
        found = self.found
        found.entries += 1
        found.size_bytes += status.st_blocks * 512
        if found.entries > self.limits.files:
            found.trouble = f"there are more than {self.limits.files:,} files"
        elif found.size_bytes > self.limits.disk_bytes:
            found.trouble = f"the files take more than {self.limits.disk_bytes:,} bytes"
        elif stat.S_ISDIR(status.st_mode):
            self._enter(fd, path)
        elif self._is_new(status):
            found.made.append(MadeFile(path, status.st_size))

    def _enter(self, fd: int, path: str) -> None:
        if path.count("/") >= MAX_DEPTH:
            self.found.trouble = f"folders lie in each other more than {MAX_DEPTH} deep"
            return
        try:
            child = os.open(path.rpartition("/")[2], _FOLDER_FLAGS, dir_fd=fd)
        except FileNotFoundError:
            return
        except OSError:
            # Where nobody can look, anything could be kept.
            self.found.trouble = f"the folder {path} is closed"
            return
        try:
            self.into(child, f"{path}/")
        finally:
            os.close(child)

    def _is_new(self, status: os.stat_result) -> bool:
        return (
            self.since_ns is not None
            and stat.S_ISREG(status.st_mode)
            and status.st_ctime_ns >= self.since_ns
        )
