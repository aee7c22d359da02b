"""Whose a workspace is when the server runs as root: a user that nobody else is."""

import os
import secrets
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

if sys.platform != "win32":
    import fcntl

# The range that systemd, too, sets aside for users made up on the spot.
FIRST_USER = 61_184
LAST_USER = 65_519
_MAX_DEPTH = 64
_FOLDER_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


def owner_of(folder: Path) -> int:
    """The user of a workspace that was adopted."""
    return folder.stat().st_uid


def adopt(folder: Path, *, whole: bool) -> int:
    """Give a workspace to a user of its own, unless it has one; `whole`: and all that is in it.

    Links are given, not what they lead to; a file with a second name stays as it is. Two that adopt
    it at the same time, in whatever process, give it to the same user.
    """
    fd = os.open(folder, _FOLDER_FLAGS)
    try:
        if sys.platform != "win32":
            # Let go when the folder is closed
            fcntl.flock(fd, fcntl.LOCK_EX)
        user = os.fstat(fd).st_uid
        if not FIRST_USER <= user <= LAST_USER:
            user = FIRST_USER + secrets.randbelow(LAST_USER - FIRST_USER + 1)
            whole = True
        if whole:
            # The root goes last: as long as it is not given, an adoption cut short is begun again.
            _give(fd, user, _MAX_DEPTH)
            os.fchown(fd, user, user)
    finally:
        os.close(fd)
    return user


def _give(fd: int, user: int, levels_left: int) -> None:
    for name, found in _entries(fd):
        if found.st_uid != user and (stat.S_ISDIR(found.st_mode) or found.st_nlink == 1):
            os.chown(name, user, user, dir_fd=fd, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode) and levels_left:
            child = os.open(name, _FOLDER_FLAGS, dir_fd=fd)
            try:
                _give(child, user, levels_left - 1)
            finally:
                os.close(child)


def _entries(fd: int) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(fd) as listed:
        for entry in listed:
            yield entry.name, entry.stat(follow_symlinks=False)
