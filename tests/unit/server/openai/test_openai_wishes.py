"""What of a request goes into the context of the agent's run."""

from typing import Any

import pytest
from pydantic import TypeAdapter
from starlette.datastructures import Headers

from graph.params import MAX_CLIENT_TOOLS
from graph.state import Context
from potluck.server.openai.errors import ApiError
from potluck.server.openai.request import ChatRequest
from potluck.server.openai.wishes import TOOLS_HEADER, wishes_of

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
NAMED = {"type": "function", "function": {"name": "f"}}


def tool(name: str = "f", **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **more}}


def nested(levels: int) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(levels):
        inner = {"type": "object", "properties": {"a": inner}}
    return inner


def wishes(passing: bool = False, **changes: Any) -> dict[str, Any]:
    body = {"model": "potluck", "messages": [{"role": "user", "content": "hi"}], **changes}
    headers = Headers({TOOLS_HEADER: "true"} if passing else {})
    found: Any = wishes_of(ChatRequest.model_validate(body), headers)
    TypeAdapter(Context).validate_python(found)
    return found


def test_nothing_is_wished_for_when_nothing_is_said() -> None:
    assert wishes(stop=[], n=1, user="ada", logit_bias={}) == {}


def test_parameters_in_the_words_of_the_context() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}}
    found = wishes(
        temperature=0,
        top_p=0.5,
        seed=3,
        max_tokens=9,
        max_completion_tokens=7,
        stop="END",
        response_format=form,
        parallel_tool_calls=False,
    )
    assert found == {
        "params": {
            "temperature": 0,
            "top_p": 0.5,
            "seed": 3,
            "max_tokens": 7,
            "stop": ["END"],
            "response_format": form,
            "parallel_tool_calls": False,
        }
    }


def test_tools_are_ignored_unless_the_caller_says_so() -> None:
    assert wishes(tools=[tool()]) == {}
    assert wishes(tools=[tool()], tool_choice="auto") == {}
    offered = {"client_tools": [tool(strict=True, parameters=SCHEMA)]}
    assert wishes(passing=True, tools=[tool(strict=True, parameters=SCHEMA)]) == offered


@pytest.mark.parametrize("said", ["true", "True", "1", True])
def test_metadata_may_say_so_too(said: Any) -> None:
    assert "client_tools" in wishes(tools=[tool()], metadata={"client_tools": said})


@pytest.mark.parametrize("said", ["false", "", 0, None, {}, []])
def test_metadata_may_say_no(said: Any) -> None:
    assert wishes(tools=[tool()], metadata={"client_tools": said}) == {}


@pytest.mark.parametrize(("choice", "name"), [("required", "required"), (NAMED, "f")])
def test_who_chooses_among_its_tools_wants_them_offered(choice: Any, name: str) -> None:
    assert wishes(tools=[tool()], tool_choice=choice)["client_tool_choice"] == name


def test_none_is_no_tools() -> None:
    assert wishes(passing=True, tools=[tool()], tool_choice="none") == {}


def test_the_card_is_not_for_the_model() -> None:
    assert wishes(passing=True, tools=[tool("ask_user")]) == {}
    found = wishes(passing=True, tools=[tool("ask_user"), tool("g")])
    assert [one["function"]["name"] for one in found["client_tools"]] == ["g"]


@pytest.mark.parametrize(
    "tools",
    [
        [tool(), tool()],
        [tool(f"t{n}") for n in range(MAX_CLIENT_TOOLS + 1)],
        [tool(description="x" * 200_000)],
        [tool(parameters={"title": "a\0b"})],
        [tool(parameters={"maximum": 2**64})],
        [tool(parameters=nested(60))],
    ],
)
def test_tools_that_are_too_many_or_alike_are_refused(tools: Any) -> None:
    with pytest.raises(ApiError) as caught:
        wishes(passing=True, tools=tools)
    assert (caught.value.status, caught.value.param) == (400, "tools")


@pytest.mark.parametrize(
    "described",
    [
        {"schema": {"title": "a\0b"}},
        {"schema": {"maximum": 2**64}},
        {"schema": nested(60)},
        {"schema": {}, "strict": "perhaps"},
        {"schema": {}, "name": 3},
    ],
)
def test_a_form_that_cannot_be_kept_is_refused(described: Any) -> None:
    with pytest.raises(ApiError) as caught:
        wishes(response_format={"type": "json_schema", "json_schema": described})
    assert (caught.value.status, caught.value.param) == (400, "response_format")


def test_of_a_form_only_what_is_known_is_kept() -> None:
    described = {"schema": {}, "name": None, "strict": None, "more": [1]}
    given = {"type": "json_schema", "json_schema": described, "extra": 1}
    kept = wishes(response_format=given)["params"]["response_format"]
    assert kept == {"type": "json_schema", "json_schema": {"schema": {}}}
    plain = {"type": "json_object", "json_schema": None}
    assert wishes(response_format=plain) == {"params": {"response_format": {"type": "json_object"}}}
