"""The worked examples of docs/extend, done step by step in a copy of the project."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import httpx
import pytest
from ruamel.yaml import YAML

from potluck.settings import PROJECT_DIR
from potluck.simulator.server import SimulatorServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

COPIED = ("graph", "nodes", "tools", "potluck", "config", "tests", "examples", "docs")
FILES = ("pyproject.toml", "README.md", "CONTRIBUTING.md", "langgraph.json", ".env.example")
BLOCK = re.compile(
    r'^```(?P<language>\w+)(?: title="(?P<file>[^"]+)")?\n(?P<text>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)


class Workshop:
    """A copy of the project in which a page's steps are done."""

    def __init__(self, folder: Path, page: str) -> None:
        self.folder = folder
        text = (PROJECT_DIR / "docs" / "extend" / page).read_text("utf-8")
        self.blocks = [
            (found["language"], found["file"], found["text"]) for found in BLOCK.finditer(text)
        ]

    def follow(self) -> None:
        """Write each file that the page shows, and make each change."""
        for language, file, text in self.blocks:
            if file is None:
                continue
            place = self.folder / file
            if language == "diff":
                place.write_text(changed(place.read_text("utf-8"), text), "utf-8")
            else:
                assert not place.exists(), file
                place.write_text(text, "utf-8")

    def commands(self, beginning: str) -> list[str]:
        lines = [line for one in self.shown("sh") for line in one.splitlines()]
        return [line for line in lines if line.startswith(beginning)]

    def shown(self, language: str) -> list[str]:
        return [text for kind, file, text in self.blocks if kind == language and file is None]

    def run(self, command: str, *, codes: Collection[int] = (0,), **env: str) -> str:
        """What `uv run ...` prints, by this very Python, in the copy."""
        assert command.startswith("uv run ")
        words = command.removeprefix("uv run ")
        programs = {"python ": "", "pytest ": "-m pytest ", "potluck ": "-m potluck "}
        name = next(name for name in programs if words.startswith(name))
        line = f"{sys.executable} {programs[name]}{words.removeprefix(name)}"
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.folder,
            env=environment(self.folder) | env,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode in codes, done.stdout + done.stderr
        return done.stdout


def environment(folder: Path) -> dict[str, str]:
    kept = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    return kept | {
        "PYTHONPATH": str(folder),
        "POTLUCK_HOME": str(folder / "home"),
        "POTLUCK_ENV_FILE": str(folder / ".env"),
    }


def changed(text: str, patch: str) -> str:
    """The text with the lines of a diff, whose place must be clear."""
    lines = patch.splitlines(keepends=True)
    before = "".join(line[1:] or "\n" for line in lines if not line.startswith("+"))
    after = "".join(line[1:] or "\n" for line in lines if not line.startswith("-"))
    assert text.count(before) == 1, f"not there once:\n{before}"
    return text.replace(before, after)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    # Not pytest's own folder: PostgreSQL's user must get in
    for name in COPIED:
        leave = shutil.ignore_patterns("__pycache__", "pictures", "data")
        shutil.copytree(PROJECT_DIR / name, tmp_path / name, ignore=leave)
    for name in FILES:
        shutil.copy(PROJECT_DIR / name, tmp_path)
    return tmp_path


@pytest.fixture
def simulated() -> Iterator[SimulatorServer]:
    with SimulatorServer() as running:
        yield running


def test_the_tool_is_offered_and_used(copy: Path, simulated: SimulatorServer) -> None:
    workshop = Workshop(copy, "tool.md")
    workshop.follow()
    [tests] = workshop.commands("uv run pytest")
    assert "2 passed" in workshop.run(tests)
    [renew] = workshop.commands("uv run python")
    workshop.run(renew)
    known = "uv run pytest -q -n0 tests/unit/tools/test_registry.py"
    assert "3 passed" in workshop.run(known)
    snapshot = json.loads((copy / "tests/unit/tools/snapshots/tools.json").read_text("utf-8"))
    assert "days_between" in snapshot

    question = workshop.commands("uv run potluck chat")[0].partition('"')[2].rstrip('"')
    (copy / "use.py").write_text(USE_TOOL, "utf-8")
    printed = workshop.run(f"uv run python use.py '{question}'", POTLUCK_SIMULATOR=simulated.url)
    assert "From 2026-11-21 to 2026-12-24: 33 days." in printed
    assert "days_between" in printed.splitlines()[0]


USE_TOOL = """\
import asyncio, sys
from graph.agent import graph
from nodes.offering import offer
from nodes.request import Request, need_of
from nodes.task_type import task_type_of
from potluck.settings import Settings
from tools.dates import days_between
from tools.toolbox import load_toolbox

text = sys.argv[1]
need = need_of(Request(text), task_type_of(text))
offered = offer(Request(text), need, load_toolbox(Settings.load()), [], plan=False)
print([getattr(one, "name", "") for one in offered])
print(days_between.invoke({"first": "2026-11-21", "last": "2026-12-24"}))
"""


def test_the_node_answers_without_a_call(copy: Path) -> None:
    workshop = Workshop(copy, "node.md")
    workshop.follow()
    [tests] = workshop.commands("uv run pytest")
    assert "2 passed" in workshop.run(tests)
    [draw] = [one for one in workshop.commands("uv run python") if "draw_mermaid" in one]
    drawn = workshop.run(draw)
    assert "__start__ --> greeting;" in drawn
    assert "greeting -.-> triage;" in drawn


def test_the_providers_load_and_the_three_lines_are_asked(
    copy: Path, simulated: SimulatorServer
) -> None:
    workshop = Workshop(copy, "provider.md")
    small, routes, full, _ = workshop.shown("yaml")
    yaml = YAML(typ="safe", pure=True)
    catalog = copy / "config" / "providers.yaml"
    entry = small.replace("http://127.0.0.1:9000", simulated.provider_url("my_box"))
    providers = {**yaml.load(entry), **yaml.load(full)}
    written = {"providers": providers, "routes": {"code_generation": ["my_box", "acme"]}}
    assert yaml.load(routes) == {"routes": {"code_generation": ["my_box", "groq"]}}
    yaml.dump(written, catalog)
    (copy / ".env").write_text("ACME_API_KEY=\n", "utf-8")

    rows = json.loads(workshop.run("uv run potluck models --json"))
    listed = json.dumps(rows)
    assert "my_box" in listed
    assert "some-model" in listed
    assert "ACME_API_KEY" in listed
    # Whatever else is to be mended on this machine
    checked = workshop.run("uv run potluck check --json", codes=(0, 1))
    facts = {fact["name"]: fact for fact in json.loads(checked)["facts"]}
    assert next(one for name, one in facts.items() if "my_box" in name)["state"] == "ok", checked
    assert len(simulated.log.requests("my_box")) == 1


def test_the_provider_is_played_and_its_headers_are_read(copy: Path) -> None:
    workshop = Workshop(copy, "provider.md")
    workshop.follow()
    stated = copy / "potluck" / "providers" / "stated_limits.yaml"
    entry = workshop.shown("yaml")[-1]
    indented = "".join(f"  {line}" for line in entry.splitlines(keepends=True))
    stated.write_text(stated.read_text("utf-8").replace("headers:\n", f"headers:\n{indented}", 1))
    (copy / "play.py").write_text(PLAY, "utf-8")
    printed = workshop.run("uv run python play.py").splitlines()
    assert printed[0] == "200 requests day 200.0 199.0"
    assert printed[1] == "429 daily_limit"


PLAY = """\
from datetime import UTC, datetime
import httpx
from potluck.providers.stated_limits import stated_in_headers
from potluck.simulator.server import SimulatorServer

body = {"model": "acme-large", "messages": [{"role": "user", "content": "hi"}]}
with SimulatorServer(limits=True) as simulator, httpx.Client() as client:
    ask = lambda: client.post(
        simulator.provider_url("acme", "/v1/chat/completions"), json=body,
        headers={"Authorization": "Bearer any"})
    first = ask()
    [stated] = stated_in_headers("acme", "openai", first.headers, datetime.now(UTC))
    print(first.status_code, stated.unit, stated.period, stated.limit, stated.remaining)
    last = [ask() for _ in range(200)][-1]
    print(last.status_code, last.json()["error"]["code"])
"""


def test_a_change_whose_place_is_not_clear_is_no_change() -> None:
    with pytest.raises(AssertionError, match="not there once"):
        changed("a\na\n", " a\n+b\n")
    assert changed("a\nc\n", " a\n+b\n-c\n") == "a\nb\n"


def test_the_simulator_needs_no_file_for_a_plain_endpoint(simulated: SimulatorServer) -> None:
    url = simulated.provider_url("my_box", "/v1/chat/completions")
    body = {"model": "some-model", "messages": [{"role": "user", "content": "hi"}]}
    assert httpx.post(url, json=body).status_code == 200
