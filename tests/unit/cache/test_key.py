"""Two requests are the same when a model would be told the same."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from potluck.cache.key import Conditions, family_of, is_of_family, request_key

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


def key(*messages: BaseMessage, tenant: str = "", family: str = "", **options: Any) -> bytes:
    made = request_key(messages, options, Conditions(tenant, family))
    assert made is not None
    return made


def call(name: str, call_id: str, **args: Any) -> Any:
    return {"name": name, "args": args, "id": call_id}


def called(first: str, second: str, **facts: Any) -> list[BaseMessage]:
    """A conversation with two calls under these ids."""
    return [
        HumanMessage("look"),
        AIMessage("", tool_calls=[call("look", first, at=1), call("look", second, at=2)], **facts),
        ToolMessage("one", tool_call_id=first),
        ToolMessage("two", tool_call_id=second),
    ]


def test_ids_usage_and_vendors_notes_do_not_count() -> None:
    used = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    noted = called(
        "x", "y", id="m1", usage_metadata=used, response_metadata={"model_name": "groq"},
        additional_kwargs={"reasoning_content": "hm"},
    )  # fmt: skip
    assert key(*called("a", "b")) == key(*noted)


def test_results_belong_to_their_calls() -> None:
    swapped = called("a", "b")
    swapped[2:] = [ToolMessage("two", tool_call_id="a"), ToolMessage("one", tool_call_id="b")]
    assert key(*called("a", "b")) != key(*swapped)


@pytest.mark.parametrize(
    "other",
    [
        [HumanMessage("Hi")],
        [HumanMessage("hi"), HumanMessage("")],
        [SystemMessage("hi")],
        [HumanMessage("hi", name="Ann")],
        [HumanMessage([{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": "x"}])],
    ],
)
def test_other_words_are_another_request(other: list[BaseMessage]) -> None:
    assert key(HumanMessage("hi")) != key(*other)


def test_text_is_the_same_in_a_block() -> None:
    block = {"type": "text", "text": "hi", "index": 0, "id": "b1"}
    assert key(HumanMessage("hi")) == key(HumanMessage([block]))
    thought = [{"type": "thinking", "thinking": "hm", "signature": "s"}, block]
    assert key(AIMessage("hi")) == key(AIMessage(thought))


@pytest.mark.parametrize(
    "options",
    [
        {"tools": [TOOL]},
        {"tools": [TOOL], "tool_choice": "look"},
        {"temperature": 0.0},
        {"max_tokens": 10},
        {"stop": ["\n"]},
        {"response_format": {"type": "json_object"}},
    ],
)
def test_tools_and_parameters_count(options: dict[str, Any]) -> None:
    assert key(HumanMessage("hi")) != key(HumanMessage("hi"), **options)


def test_what_says_nothing_does_not_count() -> None:
    plain = key(HumanMessage("hi"), tools=[TOOL])
    assert plain == key(HumanMessage("hi"), tools=[TOOL], tool_choice="auto", stop=None)


def test_tenants_and_families_do_not_share() -> None:
    hi = HumanMessage("hi")
    assert len({key(hi), key(hi, tenant="ann"), key(hi, family="ann")}) == 3


def test_what_has_no_name_in_json_has_no_key() -> None:
    assert request_key([HumanMessage("hi")], {"stop": object()}, Conditions()) is None


def test_text_that_utf_8_cannot_hold_has_a_key() -> None:
    assert key(HumanMessage("\ud800")) != key(HumanMessage("\ud801"))


@pytest.mark.parametrize(
    ("ref", "family"),
    [
        ("groq/openai/gpt-oss-120b", "gpt-oss-120b"),
        ("cerebras/gpt-oss-120b", "gpt-oss-120b"),
        ("openrouter/openai/GPT-OSS-120b:free", "gpt-oss-120b"),
        ("cloudflare/@cf/openai/gpt-oss-120b", "gpt-oss-120b"),
        ("ollama/qwen3:0.6b", "qwen3:0.6b"),
        ("groq", "groq/"),
        ("", ""),
        (None, ""),
    ],
)
def test_a_model_is_one_family_at_all_providers(ref: str | None, family: str) -> None:
    assert family_of(ref) == family


def test_a_provider_is_the_family_of_its_models() -> None:
    assert is_of_family("groq/", provider="Groq", model="openai/gpt-oss-20b")
    assert not is_of_family("groq/", provider="together", model="openai/gpt-oss-20b")
    assert is_of_family("gpt-oss-20b", provider="together", model="openai/gpt-oss-20b")
    assert not is_of_family("gpt-oss-20b", provider="together", model="openai/gpt-oss-120b")


@settings(max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.text(max_size=5)), max_size=4), st.text(), st.text())
def test_no_text_can_pass_for_other_messages(
    said: list[tuple[bool, str]], first: str, second: str
) -> None:
    before = [HumanMessage(text) if by_user else AIMessage(text) for by_user, text in said]
    split = key(*before, HumanMessage(first), HumanMessage(second))
    assert split != key(*before, HumanMessage(first + second))
