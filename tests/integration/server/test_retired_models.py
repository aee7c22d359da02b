"""A model that is retired is asked once, ever; its replacement answers in its place."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from potluck.simulator.server import SimulatorServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

CATALOG = """
providers:
  groq:
    base_url: https://api.groq.com/openai/v1
    api_key_env: GROQ_API_KEY
    models:
      - {id: llama3-70b-8192, replacement: openai/gpt-oss-120b}
      - {id: qwen/qwen3.6-27b}
"""


def ask(url: str) -> str:
    body = {"model": "groq/llama3-70b-8192", "messages": [{"role": "user", "content": "hi"}]}
    response = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=30)
    assert response.status_code == 200, response.text
    return str(response.json()["choices"][0]["message"]["content"])


def asked(simulator: SimulatorServer) -> list[str]:
    paths = [exchange for exchange in simulator.log if "chat/completions" in exchange.path]
    return [str(json.loads(exchange.body)["model"]) for exchange in paths]


def test_its_tombstone_outlives_the_server(
    start_server: Callable[..., Any], simulator: SimulatorServer, tmp_path: Path
) -> None:
    (tmp_path / "providers.yaml").write_text(CATALOG)
    (tmp_path / "limits.yaml").write_text("optimization: {enable_caching: false}")
    simulator.script.clear()
    simulator.log.clear()
    server = start_server(simulator=simulator, env={"POTLUCK_CONFIG_DIR": str(tmp_path)})
    assert ask(server.url)
    assert asked(simulator) == ["llama3-70b-8192", "openai/gpt-oss-120b"]
    server.stop()
    server.start()
    assert ask(server.url)
    assert asked(simulator)[2:] == ["openai/gpt-oss-120b"]
