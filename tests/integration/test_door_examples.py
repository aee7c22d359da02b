"""The programs on the pages of the doors, run as they stand there."""

import re
from typing import Any

import httpx
import pytest

from potluck.settings import PROJECT_DIR

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def programs(page: str) -> list[str]:
    text = (PROJECT_DIR / "docs" / "clients" / page).read_text("utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def run(program: str, server: Any) -> None:
    assert "http://127.0.0.1:8123" in program
    written = program.replace("http://127.0.0.1:8123", server.url)
    exec(compile(written, "guide", "exec"), {})  # noqa: S102 - our own guide


def test_the_langgraph_api_answers(offline_server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run(programs("langgraph.md")[0], offline_server)
    printed = capsys.readouterr().out
    assert "'type': 'tool_call'" in printed
    assert "392.41" in printed.partition("'answer_ended'")[2]


def test_the_paths_of_the_langgraph_api_that_pages_name_are_there(offline_server: Any) -> None:
    described = httpx.get(f"{offline_server.url}/openapi.json", timeout=30).json()["paths"]
    there = {
        (method.upper(), plain(path)) for path, methods in described.items() for method in methods
    }
    pages = [page.read_text("utf-8") for page in (PROJECT_DIR / "docs").rglob("*.md")]
    nouns = "threads|runs|assistants|store|crons|health|live|ready|info"
    pattern = rf"`(GET|POST|PUT|PATCH|DELETE) (/(?:{nouns})[^\s?`]*)"
    named = {(method, plain(path)) for text in pages for method, path in re.findall(pattern, text)}
    assert named <= there


def plain(path: str) -> str:
    """The path without the names of its parts."""
    return re.sub(r"\{\w+\}", "{}", path)


def test_time_travel_takes_another_way(
    offline_server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    [_, travel] = programs("langgraph.md")
    run(travel, offline_server)
    assert "6" in capsys.readouterr().out


def test_langserve_answers(server: Any) -> None:
    [program] = programs("langserve.md")
    run(program, server)
    asked = [request.last_user_text for request in server.simulator.log.requests()]
    assert asked[0] == "What is 17*23?"
    assert asked[-1] == "Three words on tea"


def test_responses_go_on_from_each_other(
    offline_server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    [program] = programs("responses.md")
    run(program, offline_server)
    assert capsys.readouterr().out.strip()
