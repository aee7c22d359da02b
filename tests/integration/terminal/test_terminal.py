"""`potluck chat` on a real terminal: keys go in, and what a person sees is looked at."""

import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pyte
import pytest
from ruamel.yaml import YAML

from potluck.server.turn import thread_id_of
from potluck.simulator.reply import Delay, Reply
from potluck.simulator.request import ModelRequest
from tests.conftest import PROJECT_DIR, PotluckServer, afresh, serving

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

TIMEOUT_S = 60.0
PLAN = [
    {"goal": "Multiply the numbers", "kind": "act", "needs": [], "done_when": ""},
    {"goal": "Say what came of it", "kind": "think", "needs": [1], "done_when": ""},
]
REQUEST = "Multiply 17 by 23 with the calculator, and then write a report about the result."


class Person:
    """Sits at a terminal on which a program runs."""

    def __init__(
        self, server: PotluckServer, args: list[str], *, columns: int, lines: int, **env: str
    ) -> None:
        self.screen = pyte.HistoryScreen(columns, lines, history=1000, ratio=0.5)
        self.screen.write_process_input = self._answer
        self._stream = pyte.Stream(self.screen)
        self.raw = ""
        kept = {k: v for k, v in server.environment().items() if k not in {"NO_COLOR", "COLUMNS"}}
        self.child = pexpect.spawn(
            sys.executable,
            ["-m", "potluck", *args],
            cwd=str(PROJECT_DIR),
            env=kept | {"TERM": "xterm-256color"} | env,
            dimensions=(lines, columns),
            encoding="utf-8",
            timeout=TIMEOUT_S,
        )

    def _answer(self, data: str) -> None:
        # The program asks where the cursor is
        self.child.send(data)

    def types(self, keys: str) -> None:
        self.child.send(keys)

    def sees(self, pattern: str, timeout_s: float = TIMEOUT_S) -> str:
        """Wait until it stands there; gives all that can be seen, from the beginning."""
        deadline = time.monotonic() + timeout_s
        while not re.search(pattern, seen := self.all(), re.MULTILINE):
            assert time.monotonic() < deadline, f"{pattern!r} is not there:\n{seen}"
            self._read()
        return seen

    def all(self) -> str:
        """What stands on the screen, and what has scrolled away."""
        gone = [
            "".join(line[x].data for x in range(self.screen.columns))
            for line in self.screen.history.top
        ]
        return "\n".join(line.rstrip() for line in [*gone, *self.screen.display]).rstrip()

    def is_asked(self, times: int) -> str:
        """Wait for the prompt, for that many times in all."""
        return self.sees(rf"(?s)(?:^|\n)you>(?:.*\nyou>){{{times - 1}}}\s*\Z")

    def leaves(self) -> int:
        """The program ends by itself; its exit code."""
        deadline = time.monotonic() + TIMEOUT_S
        while self.child.isalive():
            assert time.monotonic() < deadline, self.all()
            self._read()
        self._read()
        self.child.close()
        return int(self.child.exitstatus if self.child.exitstatus is not None else -1)

    def _read(self) -> None:
        try:
            data = self.child.read_nonblocking(65536, timeout=0.1)
        except (pexpect.TIMEOUT, pexpect.EOF):
            return
        self.raw += data
        self._stream.feed(data)


Sit = Callable[..., Person]


@pytest.fixture(scope="module")
def shared_asking_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PotluckServer]:
    """A server whose file tool asks first."""
    config = tmp_path_factory.mktemp("terminal") / "config"
    config.mkdir()
    yaml = YAML()
    yaml.dump(
        {"providers": {"box": {"base_url": "http://127.0.0.1:1/v1", "model": "one"}}},
        config / "providers.yaml",
    )
    yaml.dump({"optimization": {"enable_caching": False}}, config / "limits.yaml")
    (config / "tools.yaml").write_text("tools: {write_file: {policy: ask}}\n")
    with serving(config) as server:
        yield server


@pytest.fixture
def box(shared_asking_server: PotluckServer) -> PotluckServer:
    (shared_asking_server.home / "chat_history").unlink(missing_ok=True)
    return afresh(shared_asking_server)


@pytest.fixture
def sit(box: PotluckServer) -> Iterator[Sit]:
    people: list[Person] = []

    def begin(*args: str, columns: int = 80, lines: int = 24, **env: str) -> Person:
        person = Person(box, ["chat", *args], columns=columns, lines=lines, **env)
        people.append(person)
        return person

    yield begin
    for person in people:
        person.child.close(force=True)


def script(box: PotluckServer, reply: Any) -> None:
    box.script.on(reply)


def echo(request: ModelRequest) -> Reply:
    return Reply(text=f"You said **{request.last_user_text.splitlines()[0]}**.")


def test_a_conversation_in_markdown_with_history_and_several_lines(
    box: PotluckServer, sit: Sit
) -> None:
    script(box, lambda request: Reply(text=f"Got *{len(request.last_user_text.splitlines())}*."))
    person = sit()
    person.is_asked(1)
    person.types("one\r")
    assert "\nGot 1.\n" in person.is_asked(2)
    person.types("two\x1b\rthree\r")
    assert "\nGot 2.\n" in person.is_asked(3)
    person.types('"""four\rfive\rsix"""\r')
    assert "\nGot 3.\n" in person.is_asked(4)
    person.types("\x04")
    assert person.leaves() == 0
    assert re.search(r"potluck chat --thread [0-9a-f-]{36}", person.all().replace("\n", ""))
    again = sit()
    again.is_asked(1)
    # Through the lines of the last message to the one before it
    again.types("\x1b[A" * 4)
    again.sees("^you> two")


def test_commands_are_for_the_terminal(box: PotluckServer, sit: Sit, tmp_path: Path) -> None:
    script(box, echo)
    person = sit("--thread", "trip")
    person.is_asked(1)
    person.types("Where to?\r")
    person.sees(r"You said Where to\?\.")
    person.types("/threads\r")
    assert thread_id_of("trip")[:8] in person.sees("/thread NUMBER")
    person.types("/usage\r")
    person.sees(r"today \(UTC\)")
    person.types("/model on\r")
    person.sees("box/one is asked first")
    person.types("/notes\r")
    person.sees("Nothing is noted")
    file = tmp_path / "talk.md"
    person.types(f"/save {file}\r")
    person.sees("Saved in")
    assert "## You\n\nWhere to?" in file.read_text()
    person.types("/copy\r")
    person.sees("Copied")
    person.types("/nonsense\r")
    person.sees("There is no command /nonsense")
    person.types("/new\r")
    person.sees("A new thread")
    person.types("/thread trip\r")
    person.sees(r"(?s)A new thread.*You said Where to\?\.")
    person.types("/quit\r")
    assert person.leaves() == 0


def test_ctrl_c_stops_the_answer_and_not_the_program(box: PotluckServer, sit: Sit) -> None:
    script(
        box,
        lambda request: (
            Reply(text="word " * 400, delay=Delay(per_chunk_s=0.05))
            if "Still" not in request.last_user_text
            else Reply(text="Here.")
        ),
    )
    person = sit()
    person.is_asked(1)
    person.types("Talk\r")
    person.sees("word word")
    person.types("\x03")
    person.sees("^Stopped\\.")
    person.types("Still there?\r")
    assert "\nHere.\n" in person.is_asked(3)
    person.types("half a line\x03")
    person.sees("/quit leaves")
    person.types("\x04")
    assert person.leaves() == 0
    assert "Traceback" not in person.raw


def test_a_plan_and_its_tools_move_and_then_stand(box: PotluckServer, sit: Sit) -> None:
    def reply(request: ModelRequest) -> Reply:
        if request.tool("send_back"):
            return Reply(text="It is **391**.")
        if request.tool("submit_plan") or request.tool("make_plan"):
            name = "submit_plan" if request.tool("submit_plan") else "make_plan"
            return Reply.call(name, steps=PLAN)
        if "Multiply the numbers" in request.last_user_text.partition("this:")[2]:
            found = Reply(text="The product is 391.")
            return found if request.tool_results else Reply.call("calculator", expression="17*23")
        return Reply(text="The result is 391, as multiplied.")

    script(box, reply)
    person = sit(REQUEST)
    assert person.leaves() == 0
    seen = person.all()
    assert "→ calculator(expression='17*23')\n← 17*23 = 391\n" in seen
    assert "  ● 1. Multiply the numbers\n  ● 2. Say what came of it\n= accept: " in seen
    assert "\n\nIt is 391.\n" in seen
    assert "◐" in person.raw
    assert "◐" not in seen


def writes(*paths: str) -> Callable[[ModelRequest], Reply]:
    def reply(request: ModelRequest) -> Reply:
        done = len(request.tool_results)
        if done < len(paths):
            return Reply.call("write_file", path=paths[done], text=f"file {done}")
        return Reply(text="All written.")

    return reply


def workspace(box: PotluckServer, name: str) -> Path:
    return box.home / "workspaces" / thread_id_of(name)


def test_approvals_one_by_one_and_then_for_all_of_the_kind(box: PotluckServer, sit: Sit) -> None:
    script(box, writes("a.txt", "b.txt", "c.txt"))
    person = sit("Write the files a.txt, b.txt, c.txt", "--thread", "approve")
    person.sees(r"\? write_file: .*\n(?s:.*)path: a.txt(?s:.*)\[s\]ame")
    assert not (workspace(box, "approve") / "a.txt").exists()
    person.types("y\r")
    person.sees(r"path: b.txt(?s:.*)\[s\]ame from now on>$")
    person.types("s\r")
    person.sees("Approved, as you said for all of its kind")
    assert person.leaves() == 0
    assert "All written." in person.all()
    assert (workspace(box, "approve") / "c.txt").read_text() == "file 2"


def test_arguments_are_changed_before_a_call_runs(box: PotluckServer, sit: Sit) -> None:
    script(box, writes("a.txt"))
    person = sit("Write the file a.txt", "--thread", "edit", EDITOR="", VISUAL="")
    person.sees(r"\[s\]ame from now on>$")
    person.types("e\r")
    person.sees(r"as JSON")
    person.types('{"path": "other.txt", "text": "mine"}\r')
    assert person.leaves() == 0
    assert (workspace(box, "edit") / "other.txt").read_text() == "mine"


def test_what_was_typed_before_the_question_is_no_answer_to_it(
    box: PotluckServer, sit: Sit
) -> None:
    script(
        box,
        lambda request: (
            Reply.call("write_file", path="a.txt", text="x")
            if not request.tool_results
            else Reply(text="Done.")
        ),
    )
    person = sit()
    person.is_asked(1)
    person.types("Write the file a.txt\ry\ry\r")
    person.sees(r"\[s\]ame from now on>$")
    time.sleep(0.5)
    person.sees(r"\[s\]ame from now on>$")
    person.types("n\r")
    person.sees("done instead")
    person.types("\r")
    person.sees("Done")


def test_a_question_left_waiting_is_answered_later(box: PotluckServer, sit: Sit) -> None:
    script(box, writes("a.txt"))
    person = sit("Write the file a.txt", "--thread", "later")
    person.sees(r"\[s\]ame from now on>$")
    person.types("\x04")
    assert person.leaves() == 4
    again = sit("--last")
    again.sees(r"\[s\]ame from now on>$")
    again.types("y\r")
    again.sees("All written")
    again.is_asked(1)
    again.types("\x04")
    assert again.leaves() == 0


@pytest.mark.parametrize("columns", [24, 40, 120])
def test_every_width_does(box: PotluckServer, sit: Sit, columns: int) -> None:
    script(box, Reply(text="# Tea\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"))
    person = sit("Tell me about tea", columns=columns)
    assert person.leaves() == 0
    for word in ("Tea", "one", "two", "1"):
        assert word in person.all()


def test_no_color_has_no_colour(box: PotluckServer, sit: Sit) -> None:
    script(box, Reply(text="Use `x = 1`:\n\n```python\nx = 1\n```\n"))
    person = sit("Show me", NO_COLOR="1")
    assert person.leaves() == 0
    colours = re.findall(r"\x1b\[[\d;]*m", person.raw)
    assert not [one for one in colours if re.search(r"\b(3[0-7]|38|4[0-7]|48|9[0-7])\b", one)]
    coloured = sit("Show me")
    assert coloured.leaves() == 0
    assert re.search(r"\x1b\[[\d;]*\b3\d", coloured.raw)


def test_a_picture_is_named_with_its_path(box: PotluckServer, sit: Sit) -> None:
    if shutil.which("bwrap") is None and not os.environ.get("POTLUCK_TEST_REQUIRE_ALL"):
        pytest.skip("bubblewrap is not installed")
    code = (
        "import struct, zlib\n"
        "def part(kind, data):\n"
        "    return struct.pack('>I', len(data)) + kind + data"
        " + struct.pack('>I', zlib.crc32(kind + data))\n"
        "head = struct.pack('>IIBBBBB', 1, 1, 8, 0, 0, 0, 0)\n"
        "png = (b'\\x89PNG\\r\\n\\x1a\\n' + part(b'IHDR', head)"
        " + part(b'IDAT', zlib.compress(b'\\0\\0')) + part(b'IEND', b''))\n"
        "from IPython.display import Image, display\n"
        "display(Image(data=png))\n"
    )
    script(
        box,
        lambda request: (
            Reply(text="Drawn.") if request.tool_results else Reply.call("python", code=code)
        ),
    )
    person = sit(
        "Run Python code that draws a plot", "--thread", "draw", columns=200, TERM="xterm-kitty"
    )
    assert person.leaves() == 0
    found = re.search(r"▣ picture: (\S+)", person.all())
    assert found, person.all()
    assert Path(found[1]).is_relative_to(workspace(box, "draw"))
    assert Path(found[1]).read_bytes().startswith(b"\x89PNG")
    assert "\x1b_Ga=T" in person.raw
