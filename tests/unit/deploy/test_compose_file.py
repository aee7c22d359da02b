"""compose.yaml follows its specification, and its parts fit each other and the server."""

import json
import re
import shlex
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from potluck.settings import PROJECT_DIR, Settings
from tests.unit.deploy.stack import (
    DEPLOY,
    FOREIGN,
    STOP_S,
    compose,
    documents,
    interpolated,
    module,
    server_names,
    services,
    settings_names,
    variables,
)

INTEGRATION = PROJECT_DIR / "integrations" / "openwebui"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """What `sh make-env.sh` writes."""
    for name in ("make-env.sh", ".env.example"):
        shutil.copy(DEPLOY / name, tmp_path)
    subprocess.run(["sh", str(tmp_path / "make-env.sh")], check=True, timeout=10)
    words = shlex.split((tmp_path / ".env").read_text("utf-8"), comments=True)
    return dict(word.split("=", 1) for word in words)


@pytest.fixture
def filled(env: dict[str, str]) -> Any:
    """compose.yaml with these secrets."""
    return interpolated({key: one for key, one in compose().items() if key[:2] != "x-"}, env)


def server() -> Any:
    [first, *others] = [services()[name] for name in server_names()]
    assert all(one == first for one in others)
    return first


def environment() -> dict[str, str]:
    found: dict[str, str] = server()["environment"]
    return found


def test_it_follows_the_specification(filled: Any) -> None:
    checker = module("compose_spec", "`uv sync --group deploy`")
    # By its JSON schema, and by a parser
    checker.ComposeSpecification.model_validate(filled)
    parsed = checker.PyCompose.from_json(json.dumps(filled))
    assert set(parsed.service_names()) == set(services())


def test_there_are_three_servers_alike() -> None:
    assert len(server_names()) == 3
    assert server()["build"]["dockerfile"] == "deploy/Dockerfile"
    assert (DEPLOY / server()["build"]["context"]).resolve() == PROJECT_DIR


def test_the_image_has_the_stages_that_can_be_chosen() -> None:
    stages = set(
        re.findall(r" AS (\S+)$", (DEPLOY / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    )
    default = interpolated(server()["build"]["target"], {})
    told = re.search(r"^# (\w+): with .* (\w+): without", _example(), re.MULTILINE)
    assert told is not None
    assert default == told[1]
    assert {told[1], told[2]} <= stages


def test_variables_of_the_servers_are_settings() -> None:
    assert {"DATABASE_URL", "REDIS_URL", "POTLUCK_API_KEYS", "POTLUCK_HOME"} <= set(environment())
    assert set(environment()) <= settings_names() | FOREIGN


def test_the_settings_are_ones_that_the_server_takes(
    filled: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in filled["services"]["potluck-1"]["environment"].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("POTLUCK_ENV_FILE", str(tmp_path / "none"))
    loaded = Settings.load()
    assert [(key.name, key.role) for key in loaded.api_keys] == [
        ("openwebui", "user"), ("metrics", "metrics"), ("admin", "admin"),
    ]  # fmt: skip
    assert loaded.database_url is not None
    assert loaded.redis_url is not None


def test_make_env_makes_every_secret_and_no_two_alike(env: dict[str, str]) -> None:
    wanted = {name for name in variables(compose()) if interpolated_needs(name)}
    assert wanted == set(env)
    assert all(re.fullmatch(r"[0-9a-f]{48}", secret) for secret in env.values())
    assert len(set(env.values())) == len(env)


def interpolated_needs(name: str) -> bool:
    """Whether compose.yaml cannot do without a variable, or hands it on as a secret."""
    text = (DEPLOY / "compose.yaml").read_text("utf-8")
    return f"${{{name}:-" not in text


def test_make_env_keeps_what_is_there(env: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / ".env"
    before = file.read_text("utf-8")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    subprocess.run(["sh", str(tmp_path / "make-env.sh")], check=True, timeout=10)
    assert file.read_text("utf-8") == before


def test_every_variable_is_told_of() -> None:
    told = set(re.findall(r"^(?:# )?([A-Z_]+)=", _example(), re.MULTILINE))
    secrets = {one["environment"] for one in compose()["secrets"].values()}
    assert set(variables(compose())) | secrets | {"COMPOSE_PROFILES"} == told


def test_the_database_and_redis_are_those_of_the_file(filled: Any) -> None:
    own = filled["services"]["potluck-1"]["environment"]
    postgres = filled["services"]["postgres"]["environment"]
    user, password = postgres["POSTGRES_USER"], postgres["POSTGRES_PASSWORD"]
    assert own["DATABASE_URL"] == f"postgresql://{user}:{password}@postgres:5432/potluck"
    secret = filled["services"]["redis"]["environment"]["REDIS_PASSWORD"]
    assert own["REDIS_URL"] == f"redis://:{secret}@redis:6379/0"
    assert '--requirepass "$REDIS_PASSWORD"' in filled["services"]["redis"]["command"][-1]


def test_redis_refuses_what_is_too_much_before_it_is_killed_for_it() -> None:
    redis = services()["redis"]
    [most] = re.findall(r"--maxmemory (\d+)mb", redis["command"][-1])
    limit = redis["deploy"]["resources"]["limits"]["memory"]
    # Writing its file down anew takes a copy of what changes meanwhile
    assert int(most) <= 0.8 * int(limit.removesuffix("m"))


def test_open_webui_works_at_once(filled: Any) -> None:
    """Its key is one of the servers', who asks is signed, and the rest is as the guide says."""
    chat = filled["services"]["open-webui"]
    own = filled["services"]["potluck-1"]["environment"]
    assert f"openwebui:{chat['environment']['OPENAI_API_KEY']}," in own["POTLUCK_API_KEYS"]
    signed = chat["environment"]["FORWARD_USER_INFO_HEADER_JWT_SECRET"]
    assert own["POTLUCK_OPENWEBUI_JWT_SECRET"] == signed
    assert (DEPLOY / chat["env_file"]).resolve() == INTEGRATION / "openwebui.env"
    assert chat["environment"]["OPENAI_API_BASE_URL"] == "http://balancer:8123/v1"
    [other] = documents(INTEGRATION / "compose.yaml")
    assert chat["image"] == other["services"]["open-webui"]["image"]


def test_only_this_machine_reaches_the_ports(filled: Any) -> None:
    ports = [port for one in filled["services"].values() for port in one.get("ports", [])]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert {name for name, one in services().items() if "ports" in one} == {
        "balancer", "open-webui", "grafana",
    }  # fmt: skip


def test_every_service_has_limits_and_comes_back() -> None:
    for name, one in services().items():
        assert {"cpus", "memory"} <= set(one["deploy"]["resources"]["limits"]), name
        assert one["restart"] == "unless-stopped"
        assert one["logging"]["options"]["max-size"]


def test_every_image_has_a_version() -> None:
    for one in services().values():
        _, _, version = one["image"].partition(":")
        assert version not in {"", "latest"}


def test_files_that_are_mounted_are_there() -> None:
    for one in services().values():
        for volume in one.get("volumes", []):
            outside, mark, _ = volume.partition(":")
            if mark and outside.startswith("."):
                assert (DEPLOY / outside).exists(), outside
            elif mark:
                assert outside in compose()["volumes"]


def test_nobody_waits_for_a_service_that_says_nothing_of_its_health() -> None:
    waits = [one["depends_on"] for one in services().values() if "depends_on" in one]
    awaited = {
        name
        for wait in waits
        if isinstance(wait, dict)
        for name, how in wait.items()
        if how["condition"] == "service_healthy"
    }
    assert {"postgres", "redis", "balancer"} < awaited
    of_the_image = "HEALTHCHECK" in (DEPLOY / "Dockerfile").read_text("utf-8")
    for name in awaited:
        assert "healthcheck" in services()[name] or ("build" in services()[name] and of_the_image)


class TestServer:
    def test_it_changes_nothing_but_its_data(self) -> None:
        assert server()["read_only"] is True
        assert server()["cap_drop"] == ["ALL"]
        inside = [volume.partition(":")[2] or volume for volume in server()["volumes"]]
        assert [path for path in inside if not path.endswith(":ro")] == [
            environment()["POTLUCK_HOME"], f"{environment()['POTLUCK_HOME']}/workspaces",
        ]  # fmt: skip

    def test_servers_share_workspaces_and_nothing_else(self) -> None:
        # Two servers on one data folder refuse to start
        shared = [v for v in server()["volumes"] if v.partition(":")[0] in compose()["volumes"]]
        assert shared == ["workspaces:/var/lib/potluck/workspaces"]

    def test_the_sandbox_may_make_its_walls(self) -> None:
        options = dict(re.split("[:=]", one) for one in server()["security_opt"])
        assert options["systempaths"] == "unconfined"
        assert options["apparmor"] == "unconfined"
        assert (DEPLOY / options["seccomp"]).is_file()
        assert options["no-new-privileges"] == "true"

    def test_it_has_the_time_that_it_takes_to_stop(self) -> None:
        assert int(server()["stop_grace_period"].removesuffix("s")) > STOP_S

    def test_the_database_has_connections_for_all(self) -> None:
        [most] = re.findall(r"max_connections=(\d+)", " ".join(services()["postgres"]["command"]))
        # As docs/replicas.md says: 30 for each server, and 10 more
        assert int(most) >= len(server_names()) * 30 + 10


def _example() -> str:
    return (DEPLOY / ".env.example").read_text("utf-8")
