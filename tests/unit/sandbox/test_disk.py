import os
from pathlib import Path

import pytest

from potluck.sandbox.disk import MAX_DEPTH, contents, file_time_ns
from potluck.sandbox.limits import Limits

LIMITS = Limits(disk_bytes=100_000, files=20, free_disk_bytes=0)


def test_counts_what_lies_in_all_folders(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/x").write_bytes(bytes(50_000))
    found = contents(tmp_path, LIMITS)
    assert found.trouble is None
    assert found.entries == 3
    assert 50_000 <= found.size_bytes < 70_000


def test_names_files_changed_since_a_time(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    since = max(file_time_ns(), (tmp_path / "old").stat().st_ctime_ns + 1)
    os.utime(tmp_path / "old", ns=(0, 0))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/new").write_text("new")
    new = (tmp_path / "sub/new").stat().st_ctime_ns
    listed = contents(tmp_path, LIMITS, since_ns=min(since, new)).made
    assert ("sub/new", 3) in [(file.path, file.size_bytes) for file in listed]
    assert contents(tmp_path, LIMITS, since_ns=new + 10**12).made == []
    assert contents(tmp_path, LIMITS).made == []


def test_too_many_bytes_are_trouble(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_bytes(bytes(40_000))
    assert "100,000 bytes" in str(contents(tmp_path, LIMITS).trouble)


def test_an_empty_hole_takes_no_room(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10**9)
    assert contents(tmp_path, LIMITS).trouble is None


def test_too_many_entries_are_trouble(tmp_path: Path) -> None:
    for number in range(21):
        (tmp_path / str(number)).touch()
    assert "20 files" in str(contents(tmp_path, LIMITS).trouble)


def test_too_deep_is_trouble(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["d"] * (MAX_DEPTH + 2))
    folder.mkdir(parents=True)
    found = contents(tmp_path, Limits(free_disk_bytes=0))
    assert "deep" in str(found.trouble)
    assert "Delete files" in found.advice


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/big").write_bytes(bytes(200_000))
    (tmp_path / "in/link").symlink_to(tmp_path / "out")
    found = contents(tmp_path / "in", LIMITS)
    assert found.trouble is None
    assert found.entries == 1


def test_a_disk_that_is_nearly_full_is_trouble(tmp_path: Path) -> None:
    assert "nearly full" in str(contents(tmp_path, Limits(free_disk_bytes=2**62)).trouble)


def test_a_closed_folder_is_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dark").mkdir()
    opened = os.open

    def refuse(path: str | Path, flags: int, *, dir_fd: int | None = None) -> int:
        if path == "dark":
            raise PermissionError
        return opened(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refuse)
    assert "dark is closed" in str(contents(tmp_path, LIMITS).trouble)
