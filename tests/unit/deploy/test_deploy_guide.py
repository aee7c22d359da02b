"""docs/deploy.md: its commands name what is there, and say what deploy/ does."""

import re
import shlex
from collections.abc import Iterator

import pytest

from potluck.settings import PROJECT_DIR
from tests.unit.deploy.stack import DEPLOY, documents, server_names, services

PAGE = (PROJECT_DIR / "docs" / "deploy.md").read_text("utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def commands() -> Iterator[tuple[str, list[str]]]:
    """Each command with the folder it is run in."""
    for block in BLOCKS:
        folder = "."
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line)
            if words[0] == "cd":
                folder = words[1].removeprefix("/opt/potluck") or "."
            else:
                yield folder, words


def command(*start: str) -> list[str]:
    """The only command that begins so."""
    [found] = [words for _, words in commands() if words[: len(start)] == list(start)]
    return found


def test_files_that_are_named_are_there() -> None:
    named = []
    for folder, words in commands():
        for word in words:
            _, _, value = word.rpartition("=")
            if re.search(r"^(deploy|config)/.*\.|\.(sh|example|json)$|/Dockerfile$", value):
                named.append(value)
                there = PROJECT_DIR / folder / value
                assert list(there.parent.glob(there.name)), value
    assert {"make-env.sh", "deploy/seccomp.json", "potluck.env.example"} <= set(named)


def test_the_container_is_run_as_compose_runs_it() -> None:
    words = command("docker", "run")
    given = {words[n + 1] for n, word in enumerate(words) if word == "--security-opt"}
    told = {
        "=".join(re.split("[:=]", one)) if not one.startswith("no-new") else one
        for one in services()["potluck-1"]["security_opt"]
    }
    assert given == {one.replace("=./", "=deploy/") for one in told}
    assert {"--read-only", "--cap-drop", "--tmpfs"} <= set(words)
    grace_s = services()["potluck-1"]["stop_grace_period"].removesuffix("s")
    assert words[words.index("--stop-timeout") + 1] == grace_s


def test_the_image_that_is_built_is_a_stage_of_the_dockerfile() -> None:
    words = command("docker", "build")
    stages = re.findall(r" AS (\S+)$", (DEPLOY / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert words[words.index("--target") + 1] in stages


def test_services_that_are_named_are_there() -> None:
    numbers = command("for", "n", "in")
    restarted = [f"potluck-{n.strip(';')}" for n in numbers[3 : numbers.index("do")]]
    assert restarted == server_names()
    assert "postgres" in command("docker", "compose", "exec")
    assert "potluck-1" in command("docker", "compose", "run")


def test_the_unit_is_installed_with_what_it_names() -> None:
    unit = (DEPLOY / "systemd" / "potluck.service").read_text("utf-8")
    assert re.search(r"^User=potluck$", unit, re.MULTILINE)
    assert command("useradd")[-1] == "potluck"
    assert "POTLUCK_ENV_FILE=/etc/potluck/potluck.env" in unit
    assert command("install", "-m")[-1] == "/etc/potluck/potluck.env"
    # A Python under /root would be hidden from the server
    [sync] = [words for _, words in commands() if "sync" in words]
    assert sync[0].startswith("UV_PYTHON_INSTALL_DIR=/opt/")


def test_every_component_is_told_of() -> None:
    told = re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE)
    folder = DEPLOY / "kubernetes" / "components"
    assert told == sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("port", ["3000", "8123", "3001"])
def test_addresses_are_ports_of_compose(port: str) -> None:
    assert f"<http://127.0.0.1:{port}>" in PAGE
    ports = [one for service in services().values() for one in service.get("ports", [])]
    assert any(f":{port}:" in one for one in ports)


def test_the_label_of_who_may_ask_is_the_policys() -> None:
    [policy] = documents(DEPLOY / "kubernetes" / "base" / "networkpolicy.yaml")
    [rule] = policy["spec"]["ingress"]
    [selector] = [one["namespaceSelector"] for one in rule["from"] if "namespaceSelector" in one]
    [(name, value)] = selector["matchLabels"].items()
    assert f'`{name}: "{value}"`' in PAGE
