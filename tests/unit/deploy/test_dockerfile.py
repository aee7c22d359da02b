"""The image is made of files that are there, and runs as nobody special."""

import json
import re
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import PurePath

import pytest
import typer.main

from potluck.cli import app
from potluck.server.guard import OPEN_PATHS
from potluck.settings import PROJECT_DIR
from tests.unit.deploy.stack import DEPLOY, FOREIGN, needed, settings_names

TEXT = (DEPLOY / "Dockerfile").read_text("utf-8")
LINES = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE)).splitlines()
IGNORED = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
PROJECT = tomllib.loads((PROJECT_DIR / "pyproject.toml").read_text("utf-8"))


def lines(word: str) -> list[str]:
    return [line.removeprefix(word).strip() for line in LINES if line.startswith(f"{word} ")]


def stage(name: str) -> list[str]:
    """The instructions of one stage."""
    [start] = [n for n, line in enumerate(LINES) if re.fullmatch(rf"FROM .* AS {name}", line)]
    rest = LINES[start + 1 :]
    end = next((n for n, line in enumerate(rest) if line.startswith("FROM ")), len(rest))
    return rest[:end]


def copied() -> list[str]:
    """What comes from the project's folder."""
    taken = [line.split()[:-1] for line in lines("COPY") if not line.startswith("--from")]
    return [source for line in taken for source in line]


def is_sent(path: str) -> bool:
    """Whether .dockerignore lets a path into the build."""
    sent = True
    for rule in filter(None, IGNORED):
        pattern = rule.removeprefix("!").replace("**/", "*")
        # A folder stands for what is in it
        if any(fnmatch(one, pattern) for one in (path, *map(str, PurePath(path).parents[:-1]))):
            sent = rule.startswith("!")
    return sent


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = needed("hadolint", "`uv sync --group deploy`")
    done = subprocess.run(
        [hadolint, "--no-color", str(DEPLOY / "Dockerfile")],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("source", copied())
def test_what_is_copied_is_there_and_sent_to_the_build(source: str) -> None:
    assert (PROJECT_DIR / source).exists()
    assert is_sent(source)


def test_no_secret_is_sent_to_the_build() -> None:
    for path in (".env", "deploy/.env", ".venv/bin/python", ".git/config", "potluck/__pycache__/a"):
        assert not is_sent(path), path
    assert not any(fnmatch(".env", source) for source in copied())


def test_everything_that_the_server_needs_is_in_the_image() -> None:
    code = set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    inside = {
        source for line in stage("server") if line.startswith("COPY") for source in line.split()
    }
    assert code | {"config", "langgraph.json", ".env.example", "pyproject.toml"} <= inside


def test_what_was_installed_does_not_hang_on_the_code() -> None:
    before = [line for line in stage("build") if line.startswith("COPY")]
    assert " ".join(before).count("potluck/__init__.py") == 1
    assert not {"graph", "nodes", "tools", "config"} & set(" ".join(before).split())


def test_python_is_the_one_that_the_lock_is_for() -> None:
    versions = set(re.findall(r"FROM python:(\d+\.\d+)-", TEXT))
    assert versions == {(PROJECT_DIR / ".python-version").read_text().strip()}


def test_it_runs_as_a_user_with_a_number() -> None:
    *_, user = [line for line in stage("server") if line.startswith("USER")]
    # Kubernetes cannot tell from a name that it is not root
    assert re.fullmatch(r"USER [1-9]\d+:[1-9]\d+", user)


def test_the_versions_of_base_images_and_tools_are_fixed() -> None:
    images = re.findall(r"^FROM (\S+)", TEXT, re.MULTILINE)
    stages = set(re.findall(r" AS (\S+)$", TEXT, re.MULTILINE))
    assert all(re.search(r":\d", image) for image in images if image not in stages)
    assert re.search(r"pip install --no-cache-dir uv==\d", TEXT)


def test_its_variables_are_settings() -> None:
    named = {
        name for line in lines("ENV") for name in re.findall(r"(?:^|\s)([A-Z_]+)=", line)
    }  # fmt: skip
    assert {"POTLUCK_HOME", "POTLUCK_ENV_FILE"} <= named
    assert {n for n in named if not n.startswith("UV_")} <= settings_names() | FOREIGN


def test_it_asks_a_door_that_is_open_without_a_key() -> None:
    [health] = lines("HEALTHCHECK")
    [path] = re.findall(r"http://127\.0\.0\.1:8123(/\w+)", health)
    assert path in OPEN_PATHS
    [command] = re.findall(r"CMD (\[.*\])", health)
    compile(json.loads(command)[-1], "HEALTHCHECK", "exec")


def test_what_it_starts_is_a_command_with_these_options() -> None:
    [entry], [command] = lines("ENTRYPOINT"), lines("CMD")
    assert json.loads(entry)[-1] == "potluck"
    name, *words = json.loads(command)
    known = {
        one
        for parameter in typer.main.get_group(app).commands[name].params
        for one in parameter.opts
    }
    assert {word for word in words if word.startswith("-")} <= known
    assert words[words.index("--host") + 1] == "0.0.0.0"  # noqa: S104 # in a container of its own


def test_programs_for_the_sandbox_are_in_it() -> None:
    installed = " ".join(stage("server"))
    assert "bubblewrap" in installed
    assert "tini" in installed


def test_packages_for_code_are_fixed_and_hold_a_kernel() -> None:
    written = (DEPLOY / "analysis.txt").read_text("utf-8").splitlines()
    packages = [line.split(";")[0].strip() for line in written if line[:1].isalpha()]
    assert {"ipykernel", "numpy", "pandas", "matplotlib"} <= {
        one.split("==")[0] for one in packages
    }
    assert all("==" in one for one in packages)
