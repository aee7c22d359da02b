"""A tool that failed for a reason that may pass is tried again, if it changes nothing."""

from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool

from graph.agent import graph
from nodes import tools as tools_node
from potluck.engine import Engine, use_engine
from potluck.errors import ToolError
from tools.registry import ToolSpec
from tools.toolbox import Toolbox


async def call(engine: Engine, chain: Any, failures: list[Exception], retries: int) -> ToolMessage:
    """The result of one call of a tool that fails so before it answers."""

    @tool
    def look() -> str:
        """Look."""
        if failures:
            raise failures.pop(0)
        return "seen"

    ask = AIMessage("", tool_calls=[{"name": "look", "args": {}, "id": uuid4().hex}])
    chain.script = [ask, AIMessage("done")]
    toolbox = Toolbox(specs=(ToolSpec(look, retries=retries),))
    with use_engine(Engine(**{**vars(engine), "toolbox": toolbox})):
        state = await graph.ainvoke({"messages": [HumanMessage("look")]})
    result = state["messages"][2]
    assert isinstance(result, ToolMessage)
    return result


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools_node, "FIRST_RETRY_S", 0.0)


@pytest.mark.parametrize("failure", [ConnectionError("reset"), ToolError("busy", may_pass=True)])
async def test_what_may_pass_is_tried_again(engine: Engine, chain: Any, failure: Any) -> None:
    result = await call(engine, chain, [failure], retries=1)
    assert (result.status, result.text) == ("success", "seen")


async def test_it_is_not_tried_for_ever(engine: Engine, chain: Any) -> None:
    failures: list[Exception] = [ConnectionError("reset") for _ in range(3)]
    result = await call(engine, chain, failures, retries=1)
    assert result.status == "error"
    assert "reset" in result.text
    assert len(failures) == 1


@pytest.mark.parametrize(
    ("failure", "retries"), [(ToolError("no such page"), 1), (ConnectionError("reset"), 0)]
)
async def test_what_stays_wrong_or_has_effects_is_not_tried_again(
    engine: Engine, chain: Any, failure: Exception, retries: int
) -> None:
    result = await call(engine, chain, [failure], retries=retries)
    assert result.status == "error"
