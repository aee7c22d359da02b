import asyncio
import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from potluck.errors import ToolError
from tools import folder as folder_module
from tools.workspace import (
    MAX_FILE_BYTES,
    Workspace,
    current_workspace,
    use_workspace,
)

SECRET = b"not yours"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret.txt").write_bytes(SECRET)
    return folder


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_reads_back_what_was_written(workspace: Workspace) -> None:
    assert workspace.write("a/b/c.txt", b"hello") is True
    assert workspace.read("a/b/c.txt") == b"hello"
    assert workspace.write("./a//b/c.txt", b"again") is False
    assert workspace.read("a/b/c.txt") == b"again"


def test_appends_and_makes_a_missing_file(workspace: Workspace) -> None:
    assert workspace.append("log.txt", b"one\n") is True
    assert workspace.append("log.txt", b"two\n") is False
    assert workspace.read("log.txt") == b"one\ntwo\n"


@pytest.mark.parametrize(
    "path",
    [
        "../outside/secret.txt",
        "a/../../outside/secret.txt",
        "/etc/passwd",
        "//etc/passwd",
        "~/secret.txt",
        "~root",
        "..",
        "a/..",
        "C:\\secret.txt",
        "c:/secret.txt",
        "..\\outside\\secret.txt",
        "\\\\server\\share",
        " ../outside/secret.txt",
    ],
)
def test_refuses_paths_that_lead_out(workspace: Workspace, outside: Path, path: str) -> None:
    for act in (
        lambda: workspace.read(path),
        lambda: workspace.write(path, b"x"),
        lambda: workspace.append(path, b"x"),
        lambda: workspace.edit(path, "a", "b"),
        lambda: list(workspace.entries(path)),
    ):
        with pytest.raises(ToolError, match="leads out of the workspace"):
            act()
    assert snapshot(outside) == {"secret.txt": SECRET}


def test_an_escape_is_answered_with_a_path_that_works(workspace: Workspace) -> None:
    with pytest.raises(ToolError, match=r"such as 'passwd'"):
        workspace.read("/etc/passwd")


@pytest.mark.parametrize("path", ["", " ", ".", "./", "/" * 0])
def test_refuses_to_read_no_name(workspace: Workspace, path: str) -> None:
    with pytest.raises(ToolError, match="No file name"):
        workspace.read(path)


@pytest.mark.parametrize("path", ["a\0b", "a\nb", "a\\b", "x" * 300, "\ud800.txt", "a/" * 20 + "b"])
def test_refuses_names_that_cannot_be(workspace: Workspace, path: str) -> None:
    with pytest.raises(ToolError):
        workspace.write(path, b"x")
    assert snapshot(workspace.root) == {}


def test_does_not_follow_a_link_to_a_file(workspace: Workspace, outside: Path) -> None:
    (workspace.root / "link.txt").symlink_to(outside / "secret.txt")
    for act in (
        lambda: workspace.read("link.txt"),
        lambda: workspace.write("link.txt", b"x"),
        lambda: workspace.append("link.txt", b"x"),
        lambda: workspace.edit("link.txt", "not", "x"),
    ):
        with pytest.raises(ToolError, match="is a link"):
            act()
    assert snapshot(outside) == {"secret.txt": SECRET}


def test_does_not_follow_a_link_to_a_folder(workspace: Workspace, outside: Path) -> None:
    (workspace.root / "door").symlink_to(outside)
    for act in (
        lambda: workspace.read("door/secret.txt"),
        lambda: workspace.write("door/new.txt", b"x"),
        lambda: workspace.write("door/deep/new.txt", b"x"),
        lambda: list(workspace.entries("door")),
    ):
        with pytest.raises(ToolError, match="is a link"):
            act()
    assert snapshot(outside) == {"secret.txt": SECRET}
    assert [(e.path, e.kind) for e in workspace.entries()] == [("door", "link")]


def test_does_not_follow_a_dangling_link(workspace: Workspace, outside: Path) -> None:
    (workspace.root / "new.txt").symlink_to(outside / "made.txt")
    with pytest.raises(ToolError, match="is a link"):
        workspace.write("new.txt", b"x")
    assert not (outside / "made.txt").exists()


def test_does_not_open_a_hard_link(workspace: Workspace, outside: Path) -> None:
    os.link(outside / "secret.txt", workspace.root / "hard.txt")
    for act in (
        lambda: workspace.read("hard.txt"),
        lambda: workspace.write("hard.txt", b"x"),
        lambda: workspace.append("hard.txt", b"x"),
    ):
        with pytest.raises(ToolError, match="second name"):
            act()
    assert snapshot(outside) == {"secret.txt": SECRET}


def test_does_not_wait_on_a_pipe(workspace: Workspace) -> None:
    os.mkfifo(workspace.root / "pipe")
    with pytest.raises(ToolError, match="is not a file"):
        workspace.read("pipe")
    with pytest.raises(ToolError, match="is not a file"):
        workspace.write("pipe", b"x")


def test_a_folder_swapped_for_a_link_in_the_middle_leads_nowhere(
    tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path / "root", anchored=True)
    workspace.write("door/secret.txt", b"mine")
    checked = folder_module.Folder._refuse_unless

    def check_then_swap(self: folder_module.Folder, wanted, name, complaint):
        found = checked(self, wanted, name, complaint)
        if name == "door":
            (workspace.root / "door").rename(workspace.root / "gone")
            (workspace.root / "door").symlink_to(outside)
        return found

    monkeypatch.setattr(folder_module.Folder, "_refuse_unless", check_then_swap)
    with pytest.raises(ToolError):
        workspace.read("door/secret.txt")


def test_a_file_swapped_for_a_link_before_the_rename_is_replaced_not_followed(
    tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path / "root", anchored=True)
    workspace.write("a.txt", b"old")
    created = folder_module.Folder.create

    def create_then_swap(
        self: folder_module.Folder, name: str, content: bytes, *, mode: int
    ) -> None:
        created(self, name, content, mode=mode)
        (workspace.root / "a.txt").unlink()
        (workspace.root / "a.txt").symlink_to(outside / "secret.txt")

    monkeypatch.setattr(folder_module.Folder, "create", create_then_swap)
    workspace.write("a.txt", b"new")
    assert snapshot(outside) == {"secret.txt": SECRET}
    assert not (workspace.root / "a.txt").is_symlink()
    assert workspace.read("a.txt") == b"new"


def test_a_failed_write_leaves_the_old_file_and_no_rest(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.write("a.txt", b"old")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ToolError, match="disk is full"):
        workspace.write("a.txt", b"new")
    assert snapshot(workspace.root) == {"a.txt": b"old"}


def test_keeps_the_mode_of_a_file_it_replaces(workspace: Workspace) -> None:
    workspace.write("run.sh", b"#!/bin/sh\n")
    (workspace.root / "run.sh").chmod(0o755)
    workspace.edit("run.sh", "sh\n", "sh -e\n")
    assert (workspace.root / "run.sh").stat().st_mode & 0o777 == 0o755


def test_refuses_files_that_are_too_large(workspace: Workspace) -> None:
    workspace.write("big.bin", b"x" * MAX_FILE_BYTES)
    with pytest.raises(ToolError, match="Split it"):
        workspace.append("big.bin", b"x")
    with pytest.raises(ToolError, match="too large"):
        workspace.read("big.bin", max_bytes=1_000)


def test_says_what_is_missing_and_what_is_a_folder(workspace: Workspace) -> None:
    workspace.write("notes/a.txt", b"x")
    with pytest.raises(ToolError, match=r"no notes/b\.txt in the workspace.*list_files"):
        workspace.read("notes/b.txt")
    with pytest.raises(ToolError, match="is not a file"):
        workspace.read("notes")
    with pytest.raises(ToolError, match="is a folder"):
        workspace.write("notes", b"x")
    with pytest.raises(ToolError, match="is not a folder"):
        workspace.read("notes/a.txt/b")


def test_edits_the_only_place_unless_told_otherwise(workspace: Workspace) -> None:
    workspace.write("a.txt", b"one two one\r\n")
    assert workspace.edit("a.txt", "two", "2") == 1
    with pytest.raises(ToolError, match="2 times"):
        workspace.edit("a.txt", "one", "1")
    with pytest.raises(ToolError, match="does not contain"):
        workspace.edit("a.txt", "three", "3")
    with pytest.raises(ToolError, match="empty"):
        workspace.edit("a.txt", "", "3")
    assert workspace.edit("a.txt", "one", "1", every=True) == 2
    assert workspace.read("a.txt") == b"1 2 1\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_edit_keeps_the_encoding(workspace: Workspace, encoding: str) -> None:
    workspace.write("a.txt", "grün".encode(encoding))
    workspace.edit("a.txt", "grün", "東京")
    assert workspace.read("a.txt") == "東京".encode(encoding)


def test_entries_come_by_path_with_sizes(workspace: Workspace) -> None:
    for path in ("b.txt", "a/z.txt", "a/b/c.txt"):
        workspace.write(path, b"12345")
    assert [(e.path, e.kind, e.size_bytes) for e in workspace.entries()] == [
        ("a", "folder", None),
        ("a/b", "folder", None),
        ("a/b/c.txt", "file", 5),
        ("a/z.txt", "file", 5),
        ("b.txt", "file", 5),
    ]
    assert [e.path for e in workspace.entries("a/b")] == ["a/b/c.txt"]


def test_edits_at_the_same_time_lose_nothing(workspace: Workspace) -> None:
    threads = [
        threading.Thread(target=workspace.append, args=("log.txt", f"{n}\n".encode()))
        for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(workspace.read("log.txt").split()) == sorted(str(n).encode() for n in range(20))


@pytest.mark.parametrize(
    "thread_id", ["../../etc", "", ".", "..", "a/b", "x" * 65, "\0", "\ud800", "con", "Über", "A"]
)
def test_a_strange_thread_id_is_hashed(tmp_path: Path, thread_id: str) -> None:
    root = Workspace.for_thread(tmp_path, thread_id).root
    assert root.parent == tmp_path / "workspaces"
    assert root.name.startswith("id.")
    assert root.is_dir()
    assert Workspace.for_thread(tmp_path, thread_id + "x").root != root


def test_each_thread_has_its_own_workspace(tmp_path: Path) -> None:
    one = Workspace.for_thread(tmp_path, "0b9e2c2e-one")
    two = Workspace.for_thread(tmp_path, "0b9e2c2e-two")
    one.write("a.txt", b"1")
    assert one.root == tmp_path / "workspaces" / "0b9e2c2e-one"
    assert list(two.entries()) == []


async def test_the_workspace_in_use_is_seen_in_threads_and_ends_with_the_block(
    tmp_path: Path,
) -> None:
    made = Workspace(tmp_path / "root")
    with use_workspace(made):
        assert await asyncio.to_thread(current_workspace) is made
    with pytest.raises(ToolError, match="No workspace"):
        current_workspace()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(path=st.text(alphabet=st.sampled_from("./\\~ab:\0\n é"), max_size=12))
def test_no_path_whatever_writes_outside(tmp_path: Path, path: str) -> None:
    workspace = Workspace(tmp_path / "cage" / "root")
    try:
        workspace.write(path, b"x")
    except ToolError:
        return
    assert {p.name for p in tmp_path.iterdir()} == {"cage"}
    assert {p.name for p in (tmp_path / "cage").iterdir()} == {"root"}
    assert workspace.read(path) == b"x"
