"""A key in .env and an address in providers.yaml are all it takes: that model answers."""

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from ruamel.yaml import YAML

from graph.agent import graph
from potluck.engine import Engine, use_engine
from potluck.settings import PROJECT_DIR, Settings
from potluck.simulator.reply import Reply
from potluck.simulator.server import SimulatorServer

pytestmark = pytest.mark.integration

ADDRESSES = {
    "google_gemini": ("GOOGLE_API_KEY", ""),
    "groq": ("GROQ_API_KEY", "/openai/v1"),
    "together": ("TOGETHER_API_KEY", "/v1"),
    "huggingface": ("HF_TOKEN", "/v1"),
    "openrouter": ("OPENROUTER_API_KEY", "/api/v1"),
    "openai": ("OPENAI_API_KEY", "/v1"),
    "ollama": (None, ""),
}


@pytest.mark.parametrize("provider", ADDRESSES)
async def test_that_model_answers_with_tools(
    provider: str, simulator: SimulatorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator.log.clear()
    simulator.script.clear()
    simulator.script.on(Reply.call("calculator", expression="6*7"), results=0)
    simulator.script.on(Reply(text="It is 42."), last_tool="calculator")
    key_name, path = ADDRESSES[provider]
    for name, _ in ADDRESSES.values():
        monkeypatch.delenv(str(name), raising=False)
    (tmp_path / ".env").write_text(f"{key_name}=key-of-{provider}\n" if key_name else "")
    monkeypatch.setenv("POTLUCK_ENV_FILE", str(tmp_path / ".env"))
    monkeypatch.setenv("POTLUCK_HOME", str(tmp_path))
    monkeypatch.setenv("POTLUCK_CONFIG_DIR", str(tmp_path))
    write_catalog(tmp_path, provider, simulator.provider_url(provider, path))

    engine = await Engine.build(Settings.load())
    try:
        with use_engine(engine):
            state: Any = await graph.ainvoke({"messages": [HumanMessage("What is 6*7?")]})
    finally:
        await engine.aclose()

    assert [m.type for m in state["messages"]] == ["human", "ai", "tool", "ai"]
    assert state["messages"][-1].text == "It is 42."
    assert state["messages"][-1].response_metadata["model_provider"] == provider
    requests = simulator.log.requests(provider)
    assert len(requests) == 2
    if key_name:
        assert {request.key for request in requests} == {f"key-of-{provider}"}


def write_catalog(folder: Path, provider: str, base_url: str) -> None:
    """The shipped catalog with one provider's address changed, as a user would."""
    yaml = YAML()
    catalog = yaml.load(PROJECT_DIR / "config" / "providers.yaml")
    catalog["providers"][provider]["base_url"] = base_url
    yaml.dump(catalog, folder / "providers.yaml")
