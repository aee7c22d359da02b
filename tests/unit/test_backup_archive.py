"""The file that a backup is: whole, or refused."""

import io
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from potluck.backup_archive import (
    FORMAT,
    MANIFEST,
    Manifest,
    extract_parts,
    part_of,
    read_manifest,
    write_archive,
)
from potluck.errors import BackupError

CONTENT = bytes(range(256)) * 64


def made(folder: Path, *, number: int = FORMAT) -> tuple[Path, Manifest]:
    part = folder / "part"
    part.write_bytes(CONTENT)
    manifest = Manifest(
        format=number,
        made_at=datetime.now(UTC),
        potluck_version="0.1.0",
        postgres_version=18,
        migrations=["001_ledger.sql"],
        parts={"database.dump": part_of(part)},
    )
    target = folder / "whole"
    write_archive(target, manifest, {"database.dump": part})
    return target, manifest


def test_comes_out_as_it_went_in(tmp_path: Path) -> None:
    file, manifest = made(tmp_path)
    assert read_manifest(file) == manifest
    folder = tmp_path / "out"
    folder.mkdir()
    assert extract_parts(file, manifest, folder)["database.dump"].read_bytes() == CONTENT


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    file, _ = made(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("at", [600, 3000, 9000])
def test_cut_short_it_is_refused(tmp_path: Path, at: int) -> None:
    file, manifest = made(tmp_path)
    file.write_bytes(file.read_bytes()[:at])
    with pytest.raises(BackupError, match=r"no backup|damaged"):
        extract_parts(file, read_manifest(file), tmp_path)
    with pytest.raises(BackupError, match="damaged"):
        extract_parts(file, manifest, tmp_path)


def test_no_room_is_no_fault_of_the_file(tmp_path: Path) -> None:
    file, manifest = made(tmp_path)
    full = tmp_path / "out"
    full.mkdir()
    (full / "part-0").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        extract_parts(file, manifest, full)


def test_with_one_byte_changed_it_is_refused(tmp_path: Path) -> None:
    file, manifest = made(tmp_path)
    content = bytearray(file.read_bytes())
    content[content.index(CONTENT[:64]) + 5000] ^= 1
    file.write_bytes(content)
    with pytest.raises(BackupError, match="damaged"):
        extract_parts(file, manifest, tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 10_240])
def test_another_file_is_no_backup(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "photo.jpg"
    file.write_bytes(content)
    with pytest.raises(BackupError, match="no backup of Potluck"):
        read_manifest(file)


def test_another_tar_is_no_backup(tmp_path: Path) -> None:
    file = tmp_path / "other.tar"
    with tarfile.open(file, "w") as tar:
        member = tarfile.TarInfo(MANIFEST)
        member.size = 2
        tar.addfile(member, io.BytesIO(b"{}"))
    with pytest.raises(BackupError, match="no backup of Potluck"):
        read_manifest(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="There is no file"):
        read_manifest(tmp_path / "none")


def test_a_later_format_is_refused_with_the_version_that_reads_it(tmp_path: Path) -> None:
    file, _ = made(tmp_path, number=FORMAT + 1)
    with pytest.raises(BackupError, match=r"format 2.*Potluck 0\.1\.0 or newer"):
        read_manifest(file)
