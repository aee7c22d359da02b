"""The files of a data folder, into a tar and out of it."""

import io
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from potluck import backup_files
from potluck.backup_files import pack, swapped, unpack
from potluck.errors import BackupError
from potluck.sandbox.deletion import delete_tree


def home(folder: Path) -> Path:
    made = folder / "home"
    inner = made / "workspaces" / "t1" / "deep"
    inner.mkdir(parents=True)
    inner.parent.chmod(0o700)
    inner.chmod(0o755)
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
    assert workspace.stat().st_mode & 0o777 == 0o700
    assert (workspace / "deep").stat().st_mode & 0o777 == 0o755
    assert sorted(path.name for path in out.iterdir()) == ["tombstones.json", "workspaces"]
    assert [path.name for path in (out / "workspaces").iterdir()] == ["t1"]


NAMES = [
    b"caf\xe9", "caf\u00e9".encode(), "cafe\u0301".encode(), "\u2615 tea".encode(), b"two\nlines",
    b"-rf", b" before and after ", b"dot.", b"...", b"a\\b:c*?", b"\x01\x7f", b"x" * 255,
    "\u8336".encode() * 85,
]  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take fewer names")
def test_odd_names_come_back_as_they_were(tmp_path: Path) -> None:
    workspace = tmp_path / "home" / "workspaces" / "t1"
    workspace.mkdir(parents=True)
    for name in NAMES:
        Path(os.fsdecode(os.fsencode(workspace) + b"/" + name)).write_bytes(name)
    (workspace / "empty").mkdir()
    packed = pack(tmp_path / "home", tmp_path / "files.tar.gz")
    assert (packed.files, packed.left_out) == (len(NAMES), 0)
    out = tmp_path / "out"
    out.mkdir()
    unpacked = unpack(tmp_path / "files.tar.gz", out)
    assert (unpacked.files, unpacked.left_out) == (len(NAMES), 0)
    back = {os.fsencode(path.name): path for path in (out / "workspaces" / "t1").iterdir()}
    assert set(back) == {*NAMES, b"empty"}
    assert all(back[name].read_bytes() == name for name in NAMES)
    assert list(back[b"empty"].iterdir()) == []


def test_what_no_path_leads_to_is_left_out(tmp_path: Path) -> None:
    workspace = tmp_path / "home" / "workspaces" / "t1"
    workspace.mkdir(parents=True)
    (workspace / "notes.txt").write_text("tea")
    name = "d" * 250
    here = os.open(workspace, os.O_RDONLY)
    for _ in range(20):
        os.mkdir(name, dir_fd=here)
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    packed = pack(tmp_path / "home", tmp_path / "files.tar.gz")
    assert packed.files == 1
    assert packed.left_out == 1
    delete_tree(tmp_path / "home")


def test_a_file_that_becomes_something_else_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home(tmp_path)
    path = folder / "workspaces" / "t1" / "deep" / "notes.txt"
    changes = iter([path.mkdir, lambda: path.symlink_to("/etc/hostname")])
    opened = backup_files._opened

    def in_between(file: Path) -> Any:
        if file == path:
            path.rmdir() if path.is_dir() else path.unlink()
            next(changes)()
        return opened(file)

    monkeypatch.setattr(backup_files, "_opened", in_between)
    assert pack(folder, tmp_path / "first.tar.gz").left_out == 1
    path.rmdir()
    path.write_text("tea")
    assert pack(folder, tmp_path / "second.tar.gz").left_out == 1
    with tarfile.open(tmp_path / "second.tar.gz") as tar:
        assert "workspaces/t1/deep/run.sh" in tar.getnames()


def test_a_name_that_this_system_does_not_take_is_left_out(tmp_path: Path) -> None:
    file = tar_of(
        tmp_path / "files.tar.gz",
        (tarfile.TarInfo(f"workspaces/t1/{'x' * 300}"), b"x"),
        (tarfile.TarInfo("workspaces/t1/plain"), b"x"),
        link(f"workspaces/t1/{'y' * 300}", "plain"),
    )
    out = tmp_path / "out"
    out.mkdir()
    unpacked = unpack(file, out)
    assert (unpacked.files, unpacked.left_out) == (1, 2)


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
