import json
from dataclasses import replace
from pathlib import Path

import pytest
from langchain_core.utils.function_calling import convert_to_openai_tool

from tools import registry
from tools.registry import REGISTRY, spec, tools

SNAPSHOT = Path(__file__).parent / "snapshots" / "tools.json"


def test_what_models_read_of_the_tools_is_as_reviewed() -> None:
    """A changed prompt is a changed product: look at the difference, then renew the snapshot."""
    shown = {entry.tool.name: convert_to_openai_tool(entry.tool)["function"] for entry in REGISTRY}
    assert shown == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_every_argument_tells_the_model_its_type_and_meaning() -> None:
    for tool in tools():
        for name, shape in convert_to_openai_tool(tool)["function"]["parameters"][
            "properties"
        ].items():
            assert {"type", "description"} <= shape.keys(), f"{tool.name}({name})"


def test_tools_are_found_by_name() -> None:
    assert [tool.name for tool in tools()] == [
        "calculator",
        "current_time",
        "list_files",
        "read_file",
        "write_file",
        "edit_file",
        "search_files",
    ]
    found = spec("calculator")
    assert found is not None
    assert found.policy == "allow"
    assert found.timeout_s > 0
    assert spec("rm_rf") is None


def test_a_denied_tool_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    denied = replace(REGISTRY[0], policy="deny")
    monkeypatch.setattr(registry, "REGISTRY", (denied, *REGISTRY[1:]))
    assert "calculator" not in [tool.name for tool in tools()]
    assert spec("calculator") == denied
