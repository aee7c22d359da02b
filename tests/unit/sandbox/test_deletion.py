"""Folders where code has worked, deleted."""

import os
from pathlib import Path

import pytest

from potluck.sandbox.deletion import delete_tree

# Beyond what a path may have (4,096 bytes), and what Python calls within one another
DEEP = 3_000


def test_with_folders_that_code_has_closed_and_not_through_links(tmp_path: Path) -> None:
    folder, outside = tmp_path / "closed", tmp_path / "outside"
    (folder / "inner" / "deeper").mkdir(parents=True)
    (folder / "inner" / "deeper" / "data.bin").write_bytes(b"x")
    outside.mkdir()
    (outside / "kept.txt").write_text("kept")
    (folder / "link").symlink_to(outside)
    (folder / "inner" / "lost").symlink_to("nowhere")
    (folder / "inner" / "deeper").chmod(0)
    (folder / "inner").chmod(0)
    folder.chmod(0)
    delete_tree(folder)
    assert not folder.exists()
    assert (outside / "kept.txt").read_text() == "kept"


def test_deeper_than_any_path_leads(tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    here = os.open(folder, os.O_RDONLY)
    for _ in range(DEEP):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    delete_tree(folder)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "link").symlink_to("inner")
    (tmp_path / "file").write_text("x")
    for name in ("link", "file"):
        with pytest.raises(NotADirectoryError):
            delete_tree(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        delete_tree(tmp_path / "none")
    assert len(list(tmp_path.iterdir())) == 3


def test_a_link_put_in_a_folders_place_meanwhile_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    (folder / "inner").mkdir(parents=True)
    outside.mkdir()
    (outside / "kept.txt").write_text("kept")
    rename = os.rename

    def swapped(name: str, to: Path, *, src_dir_fd: int) -> None:
        (folder / "inner").rmdir()
        (folder / "inner").symlink_to(outside)
        rename(name, to, src_dir_fd=src_dir_fd)

    monkeypatch.setattr(os, "rename", swapped)
    with pytest.raises(NotADirectoryError):
        delete_tree(folder)
    assert (outside / "kept.txt").read_text() == "kept"
