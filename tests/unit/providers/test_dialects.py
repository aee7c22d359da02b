"""What a call says in OpenAI's words reaches each vendor's class in the words it knows."""

from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk

from potluck.providers.catalog import Api
from potluck.providers.dialects import to_vendor

SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}}
PARAMS = {"temperature": 0.2, "max_tokens": 50, "seed": 7, "top_p": 0.9}
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {}}}]
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}


@pytest.fixture
def inner(world: Any) -> Any:
    return world.add("p/m", AIMessageChunk(content="x"))


def options(inner: Any, api: Api, base_url: str | None = None, **given: Any) -> dict[str, Any]:
    return to_vendor(inner, api, base_url, given)[1]


@pytest.mark.parametrize("api", ["groq", "huggingface"])
def test_openai_shaped_classes_take_the_words_as_they_are(inner: Any, api: Api) -> None:
    given = {**PARAMS, "response_format": {"type": "json_object"}}
    assert options(inner, api, **given) == given


def test_hugging_face_gets_what_its_class_does_not_know_past_it(inner: Any) -> None:
    found = options(inner, "huggingface", seed=7, reasoning_effort="low")
    assert found == {"seed": 7, "extra_body": {"reasoning_effort": "low"}}


def test_openai_itself_gets_max_tokens(inner: Any) -> None:
    assert options(inner, "openai", "https://api.openai.com/v1", max_tokens=5) == {"max_tokens": 5}


def test_others_behind_the_openai_class_get_max_tokens_past_its_renaming(inner: Any) -> None:
    found = options(inner, "openai", "https://openrouter.ai/api/v1", max_tokens=5, seed=7)
    assert found == {"extra_body": {"max_tokens": 5}, "seed": 7}


@pytest.mark.parametrize("api", ["openai", "together"])
def test_the_openai_sdk_is_kept_from_parsing_json_answers(inner: Any, api: Api) -> None:
    given = {"response_format": JSON_SCHEMA, "seed": 7}
    expected = {"extra_body": {"response_format": JSON_SCHEMA}, "seed": 7}
    assert options(inner, api, "https://api.openai.com/v1", **given) == expected


def test_together_takes_max_tokens_as_it_is(inner: Any) -> None:
    assert options(inner, "together", "https://api.together.xyz/v1", **PARAMS) == PARAMS


def test_gemini_gets_its_own_words_and_no_others(inner: Any) -> None:
    assert options(inner, "gemini", **PARAMS, logprobs=True) == {
        "temperature": 0.2,
        "max_output_tokens": 50,
        "seed": 7,
        "top_p": 0.9,
    }


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"type": "text"}, {}),
        ({"type": "json_object"}, {"response_mime_type": "application/json"}),
        (
            JSON_SCHEMA,
            {"response_mime_type": "application/json", "response_json_schema": SCHEMA},
        ),
    ],
)
def test_gemini_gets_the_form_of_the_answer(
    inner: Any, asked: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert options(inner, "gemini", response_format=asked) == expected


def test_ollama_gets_parameters_on_a_copy_of_the_model() -> None:
    from langchain_ollama import ChatOllama  # noqa: PLC0415 # the only test that needs it

    model = ChatOllama(model="qwen3:0.6b", num_ctx=8192, temperature=1.0)
    copy, given = to_vendor(
        model, "ollama", None, {**PARAMS, "response_format": {"type": "json_object"}}
    )
    assert isinstance(copy, ChatOllama)
    assert (copy.temperature, copy.num_predict, copy.seed, copy.top_p) == (0.2, 50, 7, 0.9)
    assert copy.num_ctx == 8192
    assert model.temperature == 1.0
    assert given == {"response_format": {"type": "json_object"}}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        ("auto", "auto"),
        ("none", "none"),
        ("any", "any"),
        ("required", "any"),
        (True, "any"),
        ("look", "look"),
        ({"type": "function", "function": {"name": "look"}}, "look"),
    ],
)
def test_every_way_to_choose_a_tool_is_one(inner: Any, choice: Any, expected: str | None) -> None:
    found = options(inner, "groq", tools=TOOLS, tool_choice=choice)
    assert found == {"vendor_tools": TOOLS, "vendor_choice": expected}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, {}),
        ("auto", {"tool_choice": "auto"}),
        ("any", {"tool_choice": "required"}),
        ("look", {"tool_choice": {"type": "function", "function": {"name": "look"}}}),
    ],
)
def test_hugging_face_may_be_told_to_choose_among_several_tools(
    inner: Any, choice: str | None, expected: dict[str, Any]
) -> None:
    tools = TOOLS * 2
    found = options(inner, "huggingface", tools=tools, tool_choice=choice)
    assert found == {"tools": tools, **expected}


def test_a_choice_without_tools_is_not_sent(inner: Any) -> None:
    assert options(inner, "groq", tools=[], tool_choice="any") == {}


def test_parameters_mean_nothing_to_the_offline_model(inner: Any) -> None:
    assert options(inner, "offline", **PARAMS) == {}
