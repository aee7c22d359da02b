"""What a model gets of a tool's result."""

from pathlib import Path

import pytest
from langchain_core.messages import ToolMessage

from nodes.tool_results import MAX_CHARS, checked
from potluck.settings import know_secret
from tools.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "root")


def result(content: object) -> ToolMessage:
    return ToolMessage(content, tool_call_id="call/../1", name="fetch")


def test_a_short_result_stays_as_it_is(workspace: Workspace) -> None:
    assert checked(result("391"), workspace).content == "391"


@pytest.mark.parametrize("nothing", ["", " \n", []])
def test_an_empty_result_says_so(workspace: Workspace, nothing: object) -> None:
    assert checked(result(nothing), workspace).text == "[fetch gave no output]"


def test_a_long_result_keeps_both_ends_and_stands_whole_in_a_file(workspace: Workspace) -> None:
    whole = "".join(f"line {number}\n" for number in range(20_000))

    text = checked(result(whole), workspace).text

    assert len(text) < MAX_CHARS + 300
    assert text.startswith("line 0\n")
    assert text.endswith("line 19999")
    assert f"of {len(whole):,} characters; all of it is in tool_results/call1.txt" in text.replace(
        "call..1", "call1"
    )
    assert workspace.read("tool_results/call1.txt").decode() == whole


def test_text_blocks_share_the_room_and_images_pass(workspace: Workspace) -> None:
    image = {"type": "image", "base64": "AAAA", "mime_type": "image/png"}
    long = {"type": "text", "text": "x" * MAX_CHARS}

    content = checked(result([image, long, {"type": "text", "text": "tail" * 50}]), workspace)

    blocks = content.content
    assert isinstance(blocks, list)
    assert blocks[0] == image
    assert blocks[1] == long
    assert "cut" in blocks[2]["text"]  # type: ignore[index] # a block


KEY = "planted5ecret-of-a-tool"


def test_a_secret_that_a_tool_tells_goes_no_further(workspace: Workspace) -> None:
    know_secret(KEY)
    told = result([{"type": "text", "text": f"your key {KEY}"}, {"type": "x", "in": {"deep": KEY}}])
    told.artifact = {"structured": [f"?key={KEY}"]}
    message = checked(told, workspace)
    assert "your key [key]" in message.text
    assert KEY not in message.model_dump_json()


def test_nor_does_it_stand_in_the_file_of_what_was_cut(workspace: Workspace) -> None:
    know_secret(KEY)
    checked(result(f"{'x' * MAX_CHARS}{KEY}{'y' * MAX_CHARS}"), workspace)
    assert KEY not in workspace.read("tool_results/call1.txt").decode()
