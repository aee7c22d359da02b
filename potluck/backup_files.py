"""The files of a data folder that belong into a backup: into one tar, and out of it."""

import contextlib
import errno
import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path, PurePosixPath

from potluck.errors import BackupError

WORKSPACES = "workspaces"
KEPT = (WORKSPACES, "mcp", "tombstones.json", "chat_history")
"""What is kept of a data folder, beside its database. No keys stand in it."""
COMPRESSION = 6
MAX_DEPTH = 64
# What code may have done to a name, or is doing while it is read
_NOT_READ = {
    errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR,
    errno.EISDIR, errno.ENXIO,
}  # fmt: skip
# A name that the system where it was made has taken, and this one does not
_NOT_NAMED = {errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL}
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@dataclass(slots=True)
class Packed:
    """What came into a tar, or out of it."""

    files: int = 0
    size_bytes: int = 0
    left_out: int = 0
    """What could not be read or written: it was closed, gone in between, neither file, folder nor
    link, or has a name that this system does not take.
    """


def pack(home: Path, target: Path) -> Packed:
    """Write the kept files of the data folder into a compressed tar. Links are not followed."""
    packed = Packed()
    with tarfile.open(target, "w:gz", compresslevel=COMPRESSION, format=tarfile.PAX_FORMAT) as tar:
        for name in KEPT:
            if (home / name).exists():
                # The user may have moved it to another disk, and left a link
                _add(tar, (home / name).resolve(), name, packed, levels_left=MAX_DEPTH)
    return packed


def unpack(source: Path, folder: Path) -> Packed:
    """Write what is in the tar into an empty folder, out of which nothing leads.

    Links come last, so that nothing is written through one. Raises BackupError.
    """
    unpacked = Packed()
    links: list[tarfile.TarInfo] = []
    try:
        with tarfile.open(source, "r:gz") as tar:
            for member in tar:
                if PurePosixPath(member.name).parts[:1] not in {(name,) for name in KEPT}:
                    unpacked.left_out += 1
                elif member.issym():
                    links.append(member)
                else:
                    _extract(tar, member, folder, unpacked)
    except (tarfile.TarError, EOFError) as error:
        raise BackupError(
            f"The files of the backup cannot be unpacked: {error}.",
            fix="Use another copy of it.",
        ) from error
    for link in links:
        unpacked.left_out += not _linked(folder, link)
    return unpacked


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, unpacked: Packed) -> None:
    try:
        tar.extract(member, folder, filter="data")
        if member.isdir():
            # The filter leaves a folder open to everybody
            (folder / member.name).chmod(member.mode & 0o755 | stat.S_IRWXU)
    except UnicodeEncodeError:
        unpacked.left_out += 1
    except OSError as error:
        if error.errno not in _NOT_NAMED:
            raise
        unpacked.left_out += 1
    else:
        unpacked.files += member.isreg()
        unpacked.size_bytes += member.size


def _add(tar: tarfile.TarFile, path: Path, name: str, packed: Packed, *, levels_left: int) -> None:
    try:
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            member = _member(name, found, tarfile.SYMTYPE)
            member.linkname = str(path.readlink())
            tar.addfile(member)
        elif stat.S_ISREG(found.st_mode):
            _add_file(tar, path, name, packed)
        elif stat.S_ISDIR(found.st_mode) and levels_left:
            tar.addfile(_member(name, found, tarfile.DIRTYPE))
            for inner in _names(path, is_top=name == WORKSPACES):
                _add(tar, path / inner, f"{name}/{inner}", packed, levels_left=levels_left - 1)
        else:
            packed.left_out += 1
    except UnicodeEncodeError:
        packed.left_out += 1
    except OSError as error:
        if error.errno not in _NOT_READ:
            raise
        packed.left_out += 1


def _add_file(tar: tarfile.TarFile, path: Path, name: str, packed: Packed) -> None:
    with _opened(path) as (opened, found):
        member = _member(name, found, tarfile.REGTYPE)
        member.size = found.st_size
        tar.addfile(member, _Whole(opened, found.st_size))  # type: ignore[arg-type] # only read is used
        packed.files += 1
        packed.size_bytes += found.st_size


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[BufferedReader, os.stat_result]]:
    fd = os.open(path, _OPEN_FLAGS)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EISDIR, "no file any more", str(path))
        with os.fdopen(fd, "rb", closefd=False) as opened:
            yield opened, found
    finally:
        os.close(fd)


class _Whole:
    """A file as long as it was: one that shrinks while it is read ends in zeros."""

    def __init__(self, opened: BufferedReader, size_bytes: int) -> None:
        self._opened = opened
        self._left = size_bytes

    def read(self, count: int) -> bytes:
        count = min(count, self._left)
        self._left -= count
        return self._opened.read(count).ljust(count, b"\0")


def _member(name: str, found: os.stat_result, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode = kind, stat.S_IMODE(found.st_mode)
    member.mtime, member.uid, member.gid = int(found.st_mtime), found.st_uid, found.st_gid
    return member


def _names(folder: Path, *, is_top: bool) -> list[str]:
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries)
    # The sandbox keeps folders of its own beside the workspaces
    return [one for one in names if not (is_top and one.startswith("."))]


def _linked(folder: Path, link: tarfile.TarInfo) -> bool:
    """Make the link, wherever it leads: the tools never follow one. Whether it could be made."""
    parts = PurePosixPath(link.name).parts
    if ".." in parts or PurePosixPath(link.name).is_absolute():
        return False
    place = folder.joinpath(*parts)
    inner = [folder.joinpath(*parts[:count]) for count in range(1, len(parts))]
    if any(one.is_symlink() or not one.is_dir() for one in inner) or os.path.lexists(place):
        return False
    try:
        place.symlink_to(link.linkname)
    except (OSError, UnicodeEncodeError):
        return False
    return True


@contextlib.contextmanager
def swapped(home: Path, new: Path, old: Path) -> Iterator[None]:
    """Put the kept files of `new` into the data folder, and what was there into `old`.

    When the block raises, all is put back.
    """
    with contextlib.ExitStack() as undo:
        for name in KEPT:
            if os.path.lexists(home / name):
                (home / name).rename(old / name)
                undo.callback((old / name).rename, home / name)
            if os.path.lexists(new / name):
                (new / name).rename(home / name)
                undo.callback((home / name).rename, new / name)
        yield
        undo.pop_all()
