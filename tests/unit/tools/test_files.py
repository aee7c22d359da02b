import pytest

from potluck.errors import ToolError
from tools.files import (
    MAX_FOUND,
    MAX_LISTED,
    MAX_RESULT_CHARS,
    edit_file,
    list_files,
    read_file,
    search_files,
    write_file,
)
from tools.workspace import Workspace


def test_writes_reads_and_edits(workspace: Workspace) -> None:
    assert write_file.invoke({"path": "hello.txt", "text": "hi"}) == (
        "Wrote hello.txt (2 bytes, new)."
    )
    assert read_file.invoke({"path": "hello.txt"}) == "hi"
    assert edit_file.invoke({"path": "hello.txt", "old": "hi", "new": "ho"}) == (
        "Edited hello.txt: replaced 1 place."
    )
    assert read_file.invoke({"path": "hello.txt"}) == "ho"
    assert "replaced" in write_file.invoke({"path": "hello.txt", "text": "x"})


def test_appends(workspace: Workspace) -> None:
    write_file.invoke({"path": "a.txt", "text": "1", "append": True})
    assert write_file.invoke({"path": "a.txt", "text": "2", "append": True}) == (
        "Added 1 byte to a.txt."
    )
    assert workspace.read("a.txt") == b"12"


async def test_works_when_awaited(workspace: Workspace) -> None:
    await write_file.ainvoke({"path": "a.txt", "text": "1"})
    assert await read_file.ainvoke({"path": "a.txt"}) == "1"


def test_lists_with_sizes_and_marks_what_is_not_followed(workspace: Workspace) -> None:
    assert list_files.invoke({}) == "The workspace is empty."
    workspace.write("notes/a.txt", b"x" * 1234)
    (workspace.root / "way-out").symlink_to("/etc")
    assert list_files.invoke({}).splitlines() == [
        "notes/",
        "notes/a.txt (1,234 bytes)",
        "way-out (link, not followed)",
    ]
    assert list_files.invoke({"path": "notes"}) == "notes/a.txt (1,234 bytes)"


def test_a_long_list_is_cut_with_a_note(workspace: Workspace) -> None:
    for number in range(MAX_LISTED + 7):
        (workspace.root / f"{number:04}.txt").touch()
    lines = list_files.invoke({}).splitlines()
    assert len(lines) == MAX_LISTED + 1
    assert lines[-1] == "[cut: 7 more; give `path` to list one folder]"


def test_a_long_file_is_cut_and_can_be_read_on(workspace: Workspace) -> None:
    lines = [f"line {number} {'x' * 90}\n" for number in range(1, 501)]
    workspace.write("long.txt", "".join(lines).encode())
    seen: list[str] = []
    start = 1
    while len(seen) < 500:
        page = read_file.invoke({"path": "long.txt", "start_line": start})
        assert len(page) <= MAX_RESULT_CHARS + 200
        body, _, note = page.partition("\n[cut: ")
        seen += body.splitlines(keepends=True)
        start = len(seen) + 1
        assert not note or note.endswith(f"go on with start_line={start}]")
    assert seen == lines


def test_a_single_line_that_is_too_long_is_cut(workspace: Workspace) -> None:
    workspace.write("one.txt", b"x" * (MAX_RESULT_CHARS + 5))
    page = read_file.invoke({"path": "one.txt"})
    assert page.startswith("x" * MAX_RESULT_CHARS + "\n[cut: line 1 of one.txt has 20,005 letters")


def test_says_that_a_file_is_empty(workspace: Workspace) -> None:
    workspace.write("none.txt", b"")
    assert read_file.invoke({"path": "none.txt"}) == "[none.txt is empty]"


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\0\0", b"\xff\xfeodd"[:5], b"caf\xe9"])
def test_refuses_what_is_not_text(workspace: Workspace, content: bytes) -> None:
    workspace.write("a.bin", content)
    with pytest.raises(ToolError, match="not a text file"):
        read_file.invoke({"path": "a.bin"})


@pytest.mark.parametrize("start_line", [0, -1, 3])
def test_refuses_lines_that_are_not_there(workspace: Workspace, start_line: int) -> None:
    workspace.write("a.txt", b"1\n2\n")
    with pytest.raises(ToolError, match="line"):
        read_file.invoke({"path": "a.txt", "start_line": start_line})


def test_finds_lines_and_names(workspace: Workspace) -> None:
    workspace.write("src/main.py", b"import os\nprint('Hello')\n")
    workspace.write("src/note.md", b"say hello\n")
    workspace.write("img.bin", b"\0hello")
    assert search_files.invoke({"text": "HELLO"}).splitlines() == [
        "src/main.py:2: print('Hello')",
        "src/note.md:1: say hello",
        "[not searched, as not text or too large: 1]",
    ]
    assert search_files.invoke({"text": "hello", "name": "*.py"}) == "src/main.py:2: print('Hello')"
    assert search_files.invoke({"name": "note"}) == "src/note.md"
    assert search_files.invoke({"name": "src/*.py"}) == "src/main.py"
    assert search_files.invoke({"name": "*.txt"}) == "No file is called '*.txt'."
    assert search_files.invoke({"text": "absent", "path": "src"}) == "No file contains 'absent'."
    with pytest.raises(ToolError, match="Nothing to search for"):
        search_files.invoke({})


def test_many_hits_are_cut_with_a_note(workspace: Workspace) -> None:
    workspace.write("a.txt", b"hit\n" * (MAX_FOUND + 50))
    lines = search_files.invoke({"text": "hit"}).splitlines()
    assert len(lines) == MAX_FOUND + 1
    assert lines[-1].startswith("[cut: the first 100")


def test_does_not_search_through_links(workspace: Workspace, tmp_path_factory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "a.txt").write_text("hello")
    (workspace.root / "door").symlink_to(outside)
    (workspace.root / "a.txt").symlink_to(outside / "a.txt")
    assert search_files.invoke({"text": "hello"}) == "No file contains 'hello'."


def test_half_characters_are_refused(workspace: Workspace) -> None:
    with pytest.raises(ToolError, match="half of a character"):
        write_file.invoke({"path": "a.txt", "text": "\ud83d"})
