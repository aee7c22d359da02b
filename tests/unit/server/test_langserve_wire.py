"""Every form in which a caller may send messages, and what is none of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    AnyMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langserve.serialization import WellKnownLCSerializer
from pydantic import ValidationError

from potluck.server.langserve_config import AgentConfig, Asker
from potluck.server.langserve_wire import AgentInput, messages_from


@pytest.mark.parametrize(
    ("value", "kinds"),
    [
        ("hi", ["human"]),
        (["user", "hi"], ["human"]),
        (("system", "be brief"), ["system"]),
        (["one", "two"], ["human", "human"]),
        ({"role": "developer", "content": "be brief"}, ["system"]),
        ({"messages": "hi"}, ["human"]),
        ({"messages": ["user", "hi"]}, ["human"]),
        ([["system", "s"], {"role": "user", "content": "u"}, "t"], ["system", "human", "human"]),
        ([{"role": "user", "content": [{"type": "text", "text": "hi"}]}], ["human"]),
        ([{"role": "assistant", "content": None}, "hi"], ["ai", "human"]),
        ([HumanMessage("hi"), AIMessageChunk("hello")], ["human", "ai"]),
    ],
    ids=repr,
)
def test_reads_every_form(value: object, kinds: list[str]) -> None:
    assert [message.type for message in messages_from(value)] == kinds


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1)
messages: st.SearchStrategy[AnyMessage] = st.one_of(
    texts.filter(str.strip).map(HumanMessage),
    texts.map(SystemMessage),
    st.builds(
        AIMessage,
        content=texts,
        usage_metadata=st.just({"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}),
        id=texts,
    ),
    st.builds(ToolMessage, content=texts, tool_call_id=texts),
)


@given(st.lists(messages, min_size=1, max_size=4))
def test_what_remote_runnable_sends_is_read_back_whole(sent: list[AnyMessage]) -> None:
    on_the_wire = WellKnownLCSerializer().dumpd(sent)
    assert messages_from(on_the_wire) == sent


@pytest.mark.parametrize(
    "value",
    [None, 5, True, {}, [], {"messages": []}, {"messages": 5}, [None], [["user"]], "", "  \n", [[]]]
    + [[{"role": role, "content": "x"}] for role in ("nobody", "remove", "function", 5, ["user"])]
    + [[{"type": kind, "content": "x"}] for kind in ("nobody", "remove", "chat", 5)]
    + [{"role": "user"}, {"role": "user", "content": {"a": 1}}, {"role": "tool", "content": "x"}],
    ids=repr,
)
def test_anything_else_is_refused_with_a_reason(value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        AgentInput.model_validate(value)
    (error,) = caught.value.errors()
    assert error["type"] == "value_error"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["messages", "role", "type", "content", "id"]), inner)
        ),
        max_leaves=8,
    )
)
def test_no_input_gets_past_as_another_error(value: Any) -> None:
    try:
        AgentInput.model_validate(value)
    except ValidationError:
        return


def test_config_keeps_what_was_set_and_drops_blanks() -> None:
    config = AgentConfig.of({"thread_id": "t", "model": "groq/x", "privacy": "any", "other": 1})
    assert config.thread_id == "t"
    assert config.context(Asker()) == {"model": "groq/x"}
    assert AgentConfig.of({}).context(Asker()) == {}


@pytest.mark.parametrize(
    "configurable", [{"max_calls": 0}, {"privacy": "maybe"}, {"thread_id": 5}, {"model": None}]
)
def test_config_that_makes_no_sense_is_refused(configurable: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AgentConfig.of(configurable)


def test_the_schema_ends_with_a_plain_text_and_has_no_null() -> None:
    assert AgentInput.model_json_schema()["anyOf"][-1]["type"] == "string"
    assert "null" not in str(AgentConfig.model_json_schema()["properties"])
