"""What lies in deploy/, read as the programs that use it read it."""

import importlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import pytest
from ruamel.yaml import YAML

from potluck.server.draining import LONGEST_S
from potluck.server.lease_terms import AEGRA_SETTINGS
from potluck.server.serve import SHUTDOWN_TIMEOUT_S
from potluck.settings import PROJECT_DIR, Settings

DEPLOY = PROJECT_DIR / "deploy"
# Of `${NAME:-default}` and `${NAME:?what to do}`
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}|\$\$")
# The longest that a server takes to stop: requests, connections, runs
STOP_S = LONGEST_S + SHUTDOWN_TIMEOUT_S + float(AEGRA_SETTINGS["WORKER_DRAIN_TIMEOUT"])
# What compose.yaml and the manifests set for programs that are not ours
FOREIGN = frozenset({"FORWARDED_ALLOW_IPS", "PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"})


def needed(program: str, fix: str) -> str:
    """The path of a program; without it the test is skipped, or fails where all must be there."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    return found or missing(program, fix)


def missing(what: str, fix: str) -> NoReturn:
    """Skip, or fail where everything must be there."""
    if os.environ.get("POTLUCK_TEST_REQUIRE_ALL") == "1":
        pytest.fail(f"{what} is missing: {fix}")
    pytest.skip(f"{what} is missing: {fix}")


def module(name: str, fix: str) -> Any:
    """A module that only these tests use."""
    try:
        return importlib.import_module(name)
    except ImportError:
        missing(name, fix)


def documents(file: Path) -> list[Any]:
    """The documents of a YAML file."""
    return list(YAML(typ="safe").load_all(file.read_text("utf-8")))


@cache
def compose() -> Any:
    """compose.yaml, its anchors resolved and its variables as they stand."""
    [found] = documents(DEPLOY / "compose.yaml")
    return found


def services() -> dict[str, Any]:
    """The services of compose.yaml."""
    found: dict[str, Any] = compose()["services"]
    return found


def server_names() -> list[str]:
    """The services that are Potluck."""
    return [name for name, one in services().items() if "build" in one]


def interpolated(value: Any, env: Mapping[str, str]) -> Any:
    """The value with its variables filled in, as `docker compose` does it."""
    if isinstance(value, dict):
        return {key: interpolated(one, env) for key, one in value.items()}
    if isinstance(value, list):
        return [interpolated(one, env) for one in value]
    if not isinstance(value, str):
        return value

    def fill(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        given = env.get(found[1], "")
        if given or found[2] is None:
            return given
        assert found[2] == "-", f"{found[1]} is not set: {found[3]}"
        return found[3]

    return _VARIABLE.sub(fill, value)


def variables(value: Any) -> Iterator[str]:
    """The variables that stand in a value."""
    if isinstance(value, dict):
        for one in value.values():
            yield from variables(one)
    elif isinstance(value, list):
        for one in value:
            yield from variables(one)
    elif isinstance(value, str):
        yield from (found[1] for found in _VARIABLE.finditer(value) if found[1])


def settings_names() -> set[str]:
    """Every variable that the server reads, those of providers' keys included."""
    example = (PROJECT_DIR / ".env.example").read_text("utf-8")
    listed = re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=", example, re.MULTILINE)
    return {name.upper() for name in Settings.model_fields} | set(listed)


def seccomp() -> Any:
    """The filter of system calls for the container."""
    return json.loads((DEPLOY / "seccomp.json").read_text("utf-8"))
