"""The file that a backup is: a tar of a manifest and parts, each with its checksum."""

import errno
import hashlib
import io
import tarfile
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Annotated

from pydantic import BaseModel, Field, ValidationError

from potluck.errors import BackupError

FORMAT = 1
MANIFEST = "potluck-backup.json"
MAX_MANIFEST_BYTES = 1_000_000
COPIED_AT_ONCE = 1 << 20
_NO_ROOM = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


class Part(BaseModel):
    """One part as it was written."""

    size_bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """What a backup says of itself: the first member of its tar."""

    format: int
    made_at: datetime
    potluck_version: str
    postgres_version: int
    migrations: list[str]
    """The files of our schema that its database has."""
    parts: dict[str, Part]
    server_revision: str = ""
    """Up to where the tables of the LangGraph API are."""


def part_of(file: Path) -> Part:
    """The size and checksum of a file."""
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return Part(size_bytes=file.stat().st_size, sha256=digest)


def write_archive(target: Path, manifest: Manifest, parts: Mapping[str, Path]) -> None:
    """Write the whole file; only its owner may read it."""
    target.touch(mode=0o600)
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        text = manifest.model_dump_json(indent=2).encode()
        tar.addfile(_member(MANIFEST, len(text)), io.BytesIO(text))
        for name, file in parts.items():
            with file.open("rb") as opened:
                tar.addfile(_member(name, manifest.parts[name].size_bytes), opened)


def read_manifest(source: Path) -> Manifest:
    """What the backup says of itself. Raises BackupError when it is none, or of another kind."""
    try:
        with tarfile.open(source, "r:") as tar:
            first = tar.next()
            if first is None or first.name != MANIFEST or first.size > MAX_MANIFEST_BYTES:
                raise _no_backup(source)
            text = _opened(tar, first, source).read()
    except FileNotFoundError as error:
        raise BackupError(
            f"There is no file {source}.", fix="Give the path of a backup."
        ) from error
    except (tarfile.TarError, EOFError) as error:
        raise _no_backup(source) from error
    except OSError as error:
        raise _unreadable(source, error) from error
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        raise _no_backup(source) from error
    if manifest.format != FORMAT:
        raise BackupError(
            f"{source} has format {manifest.format}; this Potluck reads format {FORMAT}.",
            fix=f"Restore it with Potluck {manifest.potluck_version} or newer.",
        )
    return manifest


def extract_parts(source: Path, manifest: Manifest, folder: Path) -> dict[str, Path]:
    """Every part as a file in `folder`, after its checksum was found right.

    Raises BackupError; OSError when there is no room for them.
    """
    found: dict[str, Path] = {}
    try:
        with tarfile.open(source, "r:") as tar:
            for member in tar:
                part = manifest.parts.get(member.name)
                if part is not None:
                    # By our own count, not by the name: that could lead anywhere
                    file = folder / f"part-{len(found)}"
                    _copy(_opened(tar, member, source), file, part, source)
                    found[member.name] = file
    except (tarfile.TarError, EOFError) as error:
        raise _damaged(source) from error
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise
        raise _unreadable(source, error) from error
    if set(found) != set(manifest.parts):
        raise _damaged(source)
    return found


def _copy(opened: IO[bytes], file: Path, part: Part, source: Path) -> None:
    digest = hashlib.sha256()
    with file.open("wb") as copy:
        while piece := opened.read(COPIED_AT_ONCE):
            digest.update(piece)
            copy.write(piece)
    if digest.hexdigest() != part.sha256:
        raise _damaged(source)


def _opened(tar: tarfile.TarFile, member: tarfile.TarInfo, source: Path) -> IO[bytes]:
    opened = tar.extractfile(member)
    if opened is None:
        raise _damaged(source)
    return opened


def _member(name: str, size_bytes: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size_bytes, 0o600, int(time.time())
    return member


def _no_backup(source: Path) -> BackupError:
    return BackupError(
        f"{source} is no backup of Potluck.", fix="Give a file that `potluck backup` has made."
    )


def _damaged(source: Path) -> BackupError:
    return BackupError(
        f"{source} is damaged or cut short: nothing was changed.", fix="Use another copy of it."
    )


def _unreadable(source: Path, error: OSError) -> BackupError:
    return BackupError(f"{source} cannot be read: {error.strerror}.", fix="Check its permissions.")
