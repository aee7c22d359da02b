"""What we tell users of Open WebUI to use: settings that the server knows, files that are there."""

import json
import re
import shlex
from typing import Any

import pytest
from ruamel.yaml import YAML
from starlette.datastructures import Headers

from potluck.server.openai.caller import is_background
from potluck.server.openai.request import ChatRequest
from potluck.settings import PROJECT_DIR

FOLDER = PROJECT_DIR / "integrations" / "openwebui"
SETTINGS = FOLDER / "openwebui.env"
PAGE = (PROJECT_DIR / "docs" / "clients" / "openwebui.md").read_text()


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    words = shlex.split(SETTINGS.read_text(), comments=True)
    return dict(word.split("=", 1) for word in words)


@pytest.fixture(scope="module")
def services() -> Any:
    return YAML(typ="safe").load(FOLDER / "compose.yaml")["services"]


def headers_in(settings: dict[str, str]) -> dict[str, str]:
    connection = json.loads(settings["OPENAI_API_CONFIGS"])["0"]
    assert connection["enable"] is True
    headers: dict[str, str] = connection["headers"]
    return headers


def test_the_header_of_tasks_is_one_that_the_server_reads(settings: dict[str, str]) -> None:
    assert settings["ENABLE_FORWARD_USER_INFO_HEADERS"] == "True"
    (task,) = [name for name, value in headers_in(settings).items() if value == "{{TASK}}"]
    request = ChatRequest.model_validate(
        {"model": "potluck", "messages": [{"role": "user", "content": "Hello"}]}
    )
    assert is_background(request, Headers({task: "title_generation"}))
    assert not is_background(request, Headers({task: ""}))


def test_the_page_gives_the_same_headers(settings: dict[str, str]) -> None:
    (shown,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert json.loads(shown) == headers_in(settings)


def test_every_file_that_the_image_is_made_of_is_there(services: Any) -> None:
    build = services["potluck"]["build"]
    context = (FOLDER / build["context"]).resolve()
    assert context == PROJECT_DIR
    copied = re.findall(r"^COPY (.*) \S+$", build["dockerfile_inline"], re.MULTILINE)
    sources = [source for line in copied for source in line.split()]
    assert {"pyproject.toml", "uv.lock", "potluck"} <= set(sources)
    assert [source for source in sources if not (context / source).exists()] == []
    assert ".env" not in sources


def test_both_containers_have_the_same_secret_and_are_reached_from_this_machine_alone(
    services: Any,
) -> None:
    potluck, chat = services["potluck"], services["open-webui"]
    secret = chat["environment"]["OPENAI_API_KEY"]
    assert potluck["environment"]["POTLUCK_API_KEYS"] == f"openwebui:{secret}"
    assert chat["env_file"] == SETTINGS.name
    ports = [port for service in services.values() for port in service["ports"]]
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_version_is_the_one_that_the_tests_drive(services: Any) -> None:
    installation = PROJECT_DIR / "tests" / "openwebui" / "installation.py"
    (version,) = re.findall(r'^VERSION = "(.*)"$', installation.read_text(), re.MULTILINE)
    assert services["open-webui"]["image"].endswith(f":v{version}")
    assert f"open-webui=={version}" in PAGE


def test_the_pages_pictures_and_links_are_there() -> None:
    links = re.findall(r"\]\((\.\.[^)#]*)", PAGE)
    assert len(links) >= 7
    assert [link for link in links if not (PROJECT_DIR / "docs" / "clients" / link).exists()] == []
