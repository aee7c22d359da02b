"""The files of a data folder, into a tar and out of it."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from potluck.backup_files import pack, swapped, unpack
from potluck.errors import BackupError


def home(folder: Path) -> Path:
    made = folder / "home"
    inner = made / "workspaces" / "t1" / "deep"
    inner.mkdir(parents=True)
    (inner / "notes.txt").write_text("tea")
    (inner / "run.sh").write_text("#!/bin/sh\n")
    (inner / "run.sh").chmod(0o755)
    (inner.parent / "link").symlink_to("deep/notes.txt")
    (inner.parent / "out").symlink_to("/etc/hostname")
    (made / "workspaces" / ".spare-1").mkdir()
    (made / "tombstones.json").write_text("{}")
    (made / ".env").write_text("GROQ_API_KEY=secret")
    return made


def tar_of(target: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(target, "w:gz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return target


def link(name: str, to: str) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, to
    return member, b""


def test_come_back_with_modes_and_links_and_without_keys(tmp_path: Path) -> None:
    packed = pack(home(tmp_path), tmp_path / "files.tar.gz")
    assert (packed.files, packed.left_out) == (3, 0)
    out = tmp_path / "out"
    out.mkdir()
    unpacked = unpack(tmp_path / "files.tar.gz", out)
    assert (unpacked.files, unpacked.left_out) == (3, 0)
    workspace = out / "workspaces" / "t1"
    assert (workspace / "link").read_text() == "tea"
    assert (workspace / "out").readlink() == Path("/etc/hostname")
    assert (workspace / "deep" / "run.sh").stat().st_mode & 0o777 == 0o755
    assert sorted(path.name for path in out.iterdir()) == ["tombstones.json", "workspaces"]
    assert [path.name for path in (out / "workspaces").iterdir()] == ["t1"]


def test_pipes_are_left_out(tmp_path: Path) -> None:
    folder = home(tmp_path)
    os.mkfifo(folder / "workspaces" / "t1" / "pipe")
    assert pack(folder, tmp_path / "files.tar.gz").left_out == 1


def test_nothing_leads_out_of_the_folder(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    out.mkdir(parents=True)
    file = tar_of(
        tmp_path / "bad.tar.gz",
        (tarfile.TarInfo("other/file"), b"x"),
        link("workspaces/t1", str(tmp_path)),
        link("workspaces/t1/evil", "/etc"),
        link("workspaces/../../evil", "/etc"),
        (tarfile.TarInfo("workspaces/plain"), b"x"),
    )
    assert unpack(file, out).left_out == 3
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "a" / "evil").exists()
    assert (out / "workspaces" / "plain").read_bytes() == b"x"


@pytest.mark.parametrize("name", ["workspaces/../../evil", "workspaces/t1/../../../evil"])
def test_a_path_that_climbs_is_refused(tmp_path: Path, name: str) -> None:
    out = tmp_path / "a" / "b"
    out.mkdir(parents=True)
    with pytest.raises(BackupError, match="cannot be unpacked"):
        unpack(tar_of(tmp_path / "bad.tar.gz", (tarfile.TarInfo(name), b"x")), out)
    assert not list(tmp_path.rglob("evil"))


def test_swapping_puts_all_back_when_the_block_fails(tmp_path: Path) -> None:
    folder = home(tmp_path)
    new, old = tmp_path / "new", tmp_path / "old"
    (new / "workspaces" / "t2").mkdir(parents=True)
    old.mkdir()

    def fail() -> None:
        with swapped(folder, new, old):
            assert [one.name for one in (folder / "workspaces").iterdir()] == ["t2"]
            assert not (folder / "tombstones.json").exists()
            raise OSError(28, "No space left")

    with pytest.raises(OSError, match="No space left"):
        fail()
    assert (folder / "workspaces" / "t1" / "deep" / "notes.txt").read_text() == "tea"
    assert (folder / "tombstones.json").exists()
    assert (new / "workspaces" / "t2").is_dir()
