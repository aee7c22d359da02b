import json
from pathlib import Path

from langchain_core.utils.function_calling import convert_to_openai_tool

from tools.registry import REGISTRY

SNAPSHOT = Path(__file__).parent / "snapshots" / "tools.json"


def shown() -> dict[str, object]:
    return {entry.tool.name: convert_to_openai_tool(entry.tool)["function"] for entry in REGISTRY}


def renew() -> None:
    """Keep what models read now as the snapshot: `docs/extend/tool.md`."""
    SNAPSHOT.write_text(f"{json.dumps(shown(), indent=2, ensure_ascii=False)}\n", "utf-8")


def test_what_models_read_of_the_tools_is_as_reviewed() -> None:
    """A changed prompt is a changed product: look at the difference, then renew the snapshot."""
    assert shown() == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_every_argument_tells_the_model_its_type_and_meaning() -> None:
    for tool in (entry.tool for entry in REGISTRY):
        for name, shape in convert_to_openai_tool(tool)["function"]["parameters"][
            "properties"
        ].items():
            assert {"type", "description"} <= shape.keys(), f"{tool.name}({name})"


def test_no_two_tools_have_one_name_and_each_has_a_time_limit() -> None:
    names = [entry.tool.name for entry in REGISTRY]
    assert len(names) == len(set(names))
    assert all(entry.timeout_s > 0 for entry in REGISTRY)
