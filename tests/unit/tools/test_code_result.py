import base64
from pathlib import Path

import pytest
from langchain_core.messages import ToolMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

from potluck.errors import SandboxError, ToolError
from potluck.sandbox.outcome import Image, MadeFile, Outcome, Tell
from potluck.sandbox.runner import use_runner
from tools.code_result import MAX_SHOWN_BYTES, told
from tools.python import python
from tools.shell import shell
from tools.workspace import Workspace, use_workspace


class Recorder:
    """Stands in for a sandbox: keeps what it is asked, prints, and answers as it was told to."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.asked: list[tuple[str, Path, str, float | None]] = []

    async def python(
        self, workspace: Path, code: str, *, timeout_s: float | None = None, tell: Tell
    ) -> Outcome:
        self.asked.append(("python", workspace, code, timeout_s))
        tell("live")
        return self.outcome

    async def shell(
        self, workspace: Path, command: str, *, timeout_s: float | None = None, tell: Tell
    ) -> Outcome:
        self.asked.append(("shell", workspace, command, timeout_s))
        tell("live")
        return self.outcome


async def called(
    recorder: Recorder,
    workspace: Workspace,
    name: str,
    args: dict[str, object],
    context: dict[str, object] | None = None,
) -> tuple[ToolMessage, list[object]]:
    found: list[ToolMessage] = []

    async def node(_: MessagesState) -> dict[str, object]:
        runner = ToolNode([python, shell], handle_tool_errors=str)
        with use_runner(recorder), use_workspace(workspace):  # type: ignore[arg-type] # stands in
            call = {"name": name, "args": args, "id": "call-1", "type": "tool_call"}
            found.extend((await runner.ainvoke([call]))["messages"])
        return {}

    graph = StateGraph(MessagesState, context_schema=dict)
    graph.add_node(node)
    graph.add_edge(START, "node")
    run = graph.compile().astream({}, context=context, stream_mode="custom")
    events = [event async for event in run]
    return found[0], events


@pytest.mark.parametrize(("name", "argument"), [("python", "code"), ("shell", "command")])
async def test_code_runs_in_the_threads_workspace_and_prints_live(
    workspace: Workspace, name: str, argument: str
) -> None:
    recorder = Recorder(Outcome("42\n"))
    message, events = await called(recorder, workspace, name, {argument: "x", "timeout_s": 5})
    assert message.content == "42"
    assert message.status == "success"
    assert recorder.asked == [(name, workspace.root, "x", 5)]
    assert events == [{"type": "tool_output", "id": "call-1", "name": name, "text": "live"}]


@pytest.mark.parametrize(("name", "argument"), [("python", "code"), ("shell", "command")])
async def test_a_run_with_a_context_draws_no_warning(
    workspace: Workspace, name: str, argument: str
) -> None:
    recorder = Recorder(Outcome("42\n"))
    context: dict[str, object] = {"can_ask": False}
    message, _ = await called(recorder, workspace, name, {argument: "x"}, context)
    assert message.content == "42"


async def test_code_that_fails_gives_an_error_with_what_it_printed(workspace: Workspace) -> None:
    recorder = Recorder(Outcome("before\n", error="Traceback:\nZeroDivisionError"))
    message, _ = await called(recorder, workspace, "python", {"code": "1/0"})
    assert message.status == "error"
    assert message.content == "before\nTraceback:\nZeroDivisionError"


async def test_without_a_sandbox_the_model_is_told_why(workspace: Workspace) -> None:
    with use_workspace(workspace), pytest.raises(SandboxError, match="potluck serve"):
        await python.coroutine(code="1", runtime=None)  # type: ignore[misc] # not reached


def test_everything_worth_knowing_is_told(workspace: Workspace) -> None:
    outcome = Outcome(
        "out\n",
        exit_code=2,
        note="It is so.",
        state_lost="it was idle",
        files=(MadeFile("a.csv", 1234),),
    )
    assert told(outcome, workspace) == (
        "out\n[exit code 2]\n[files made or changed: a.csv (1,234 bytes)]\n[It is so.]\n"
        "[The Python session is new, as it was idle: variables and imports are gone, "
        "files are still there.]"
    )


def test_silence_is_told_as_success(workspace: Workspace) -> None:
    assert told(Outcome(""), workspace) == "[done, without output]"


def test_what_was_stopped_is_an_error(workspace: Workspace) -> None:
    with pytest.raises(ToolError, match="It was stopped: it took too long"):
        told(Outcome("", stopped="time", note="It was stopped: it took too long."), workspace)


def test_images_are_saved_and_shown(workspace: Workspace) -> None:
    outcome = Outcome("text", images=(Image("image/png", b"png"), Image("image/jpeg", b"jpg")))
    blocks = told(outcome, workspace)
    assert isinstance(blocks, list)
    text, first, second = blocks
    assert isinstance(text, dict)
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert first["mime_type"] == "image/png"
    assert base64.b64decode(str(first["base64"])) == b"png"
    names = str(text["text"]).partition("[shown: ")[2].rstrip("]").split(", ")
    assert [workspace.read(name) for name in names] == [b"png", b"jpg"]
    assert [name.rpartition(".")[2] for name in names] == ["png", "jpg"]


def test_an_image_tells_where_it_is_saved(workspace: Workspace) -> None:
    blocks = told(Outcome("", images=(Image("image/png", b"png"),)), workspace)
    assert isinstance(blocks, list)
    image = blocks[1]
    assert isinstance(image, dict)
    path = str(image["extras"]["path"])  # type: ignore[index] # a dictionary
    assert workspace.read(path) == b"png"


@pytest.mark.parametrize(
    ("contents", "shown"),
    [
        ([bytes([number]) for number in range(6)], [0, 1, 2, 3]),
        ([b"a" * MAX_SHOWN_BYTES, b"b"], [0]),
        ([b"a" * (MAX_SHOWN_BYTES + 1), b"b"], [1]),
    ],
)
def test_images_beyond_what_clients_are_sent_are_only_saved(
    workspace: Workspace, contents: list[bytes], shown: list[int]
) -> None:
    images = tuple(Image("image/png", content) for content in contents)
    blocks = told(Outcome("", images=images), workspace)
    assert isinstance(blocks, list)
    text, *pictures = blocks
    sent = [base64.b64decode(str(one["base64"])) for one in pictures if isinstance(one, dict)]
    assert sent == [contents[number] for number in shown]
    assert isinstance(text, dict)
    kept = str(text["text"]).partition("only saved: ")[2].rstrip("]").split(", ")
    left_out = [content for number, content in enumerate(contents) if number not in shown]
    assert [workspace.read(path) for path in kept] == left_out


def test_an_image_that_cannot_be_saved_is_shown_all_the_same(workspace: Workspace) -> None:
    workspace.write("images", b"a file where the folder should be")
    blocks = told(Outcome("", images=(Image("image/png", b"png"),)), workspace)
    assert isinstance(blocks, list)
    assert "could not be saved" in str(blocks[0])
    assert len(blocks) == 2
