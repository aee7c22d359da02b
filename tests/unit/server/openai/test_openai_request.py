import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from potluck.server.openai.checks import check
from potluck.server.openai.errors import ApiError, from_validation
from potluck.server.openai.request import ChatRequest

USER = {"role": "user", "content": "hi"}


def call(call_id: str = "c1", arguments: str = "{}") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "f", "arguments": arguments}}


def tool(call_id: str = "c1") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": "42"}


def calling(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(calls)}


def read(body: Any) -> ChatRequest:
    """The request as the door reads it."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        request = ChatRequest.model_validate_json(raw)
    except ValidationError as error:
        raise from_validation(error) from error
    check(request)
    return request


def body(**changes: Any) -> dict[str, Any]:
    return {"model": "potluck", "messages": [USER], **changes}


def schema(given: dict[str, Any]) -> dict[str, Any]:
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": given}}
    return body(response_format=form)


def refusal(wrong: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        read(wrong)
    assert caught.value.status == 400
    assert caught.value.type == "invalid_request_error"
    return caught.value


def test_accepts_every_role_and_unknown_parameters() -> None:
    messages = [
        {"role": "system", "content": "a"},
        {"role": "developer", "content": [{"type": "text", "text": "b"}]},
        USER | {"name": "Ada"},
        calling(call()),
        tool(),
        {"role": "assistant", "content": "done", "refusal": None, "reasoning_content": "x"},
        {"role": "user", "content": [{"type": "text", "text": "and?"}]},
    ]
    request = read(
        body(
            messages=messages,
            logit_bias={},
            anything=[1],
            n=1,
            logprobs=False,
            modalities=["text"],
            functions=[],
        )
    )
    assert len(request.messages) == 7


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"messages": [USER]}, "model"),
        (body(model=5), "model"),
        (body(model=""), "model"),
        ({"model": "potluck"}, "messages"),
        (body(messages=[]), "messages"),
        (body(messages="hi"), "messages"),
        (body(messages=[USER] * 4_001), "messages"),
        (body(messages=["hi"]), "messages[0]"),
        (body(messages=[{"content": "hi"}]), "messages[0].role"),
        (body(messages=[{"role": "wizard", "content": "hi"}]), "messages[0].role"),
        (body(messages=[USER, {"role": "user"}]), "messages[1].content"),
        (body(messages=[{"role": "user", "content": 5}]), "messages[0].content"),
        (body(messages=[{"role": "user", "content": "a\0b"}]), "messages[0].content"),
        (
            body(messages=[{"role": "user", "content": [{"type": "video"}]}]),
            "messages[0].content[0].type",
        ),
        (body(messages=[USER, {"role": "assistant", "content": None}]), "messages[1]"),
        (
            body(messages=[calling(call(arguments="{"))]),
            "messages[0].tool_calls[0].function",
        ),
        (
            body(messages=[calling(call(arguments="[1]"))]),
            "messages[0].tool_calls[0].function",
        ),
        *(
            (body(messages=[calling(call(arguments=given))]), "messages[0].tool_calls[0].function")
            for given in (
                '{"a": "\\u0000"}',
                '{"a": "\\ud800"}',
                '{"a": [99999999999999999999]}',
                '{"a":' * 99 + "1" + "}" * 99,
            )
        ),
        (body(seed=2**63), "seed"),
        (body(max_tokens=2**31), "max_tokens"),
        (body(temperature="hot"), "temperature"),
        (body(temperature=9), "temperature"),
        (body(max_tokens=0), "max_tokens"),
        (body(stop=["a"] * 5), "stop"),
        (body(response_format={"type": "json_schema"}), "response_format"),
        (body(response_format={"type": "xml"}), "response_format.type"),
        (body(n=2), "n"),
        (body(logprobs=True), "logprobs"),
        (body(top_logprobs=3), "top_logprobs"),
        (body(audio={"voice": "alloy"}), "audio"),
        (body(modalities=["text", "audio"]), "modalities"),
        (body(functions=[{"name": "f"}]), "functions"),
        (body(function_call={"name": "f"}), "function_call"),
        (schema({"type": "objct"}), "response_format.json_schema.schema"),
        (schema({"$ref": "http://127.0.0.1/a"}), "response_format.json_schema.schema"),
        (schema({"title": "x" * 70_000}), "response_format.json_schema.schema"),
        (body(metadata=[1]), "metadata"),
        (body(metadata={"thread_id": 7}), "metadata.thread_id"),
        (body(tool_choice="required"), "tool_choice"),
    ],
)
def test_names_the_parameter_that_is_wrong(wrong: Any, param: str) -> None:
    error = refusal(wrong)
    assert error.param == param
    assert error.message


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"\xff\xfe{", b'{"a":"\\ud800"}', b"[" * 10_000, b'{"model": NaN'],
)
def test_says_when_the_body_is_no_json(raw: bytes) -> None:
    assert refusal(raw).code == "bad_json"


@pytest.mark.parametrize("raw", [b"[]", b"null", b'"hi"', b"7"])
def test_says_when_the_body_is_no_object(raw: bytes) -> None:
    error = refusal(raw)
    assert error.param is None
    assert "object" in error.message


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([USER, tool()], "messages[1].tool_call_id"),
        ([USER, calling(call()), tool("c2")], "messages[2].tool_call_id"),
        ([USER, calling(call()), tool(), tool()], "messages[3].tool_call_id"),
        ([USER, calling(call()), USER], "messages[1].tool_calls[0].id"),
        ([USER, calling(call())], "messages[1].tool_calls[0].id"),
        ([USER, calling(call(), call()), tool()], "messages[1].tool_calls[1].id"),
    ],
)
def test_every_tool_result_has_its_call_and_every_call_its_result(
    messages: list[dict[str, Any]], param: str
) -> None:
    assert refusal(body(messages=messages)).param == param


def test_parallel_calls_may_be_answered_in_any_order() -> None:
    read(body(messages=[USER, calling(call("a"), call("b")), tool("b"), tool("a")]))


def test_a_named_tool_must_be_offered() -> None:
    offered = [{"type": "function", "function": {"name": "f"}}]
    choice = {"type": "function", "function": {"name": "g"}}
    assert refusal(body(tools=offered, tool_choice=choice)).param == "tool_choice"
    choice["function"]["name"] = "f"  # type: ignore[index]
    read(body(tools=offered, tool_choice=choice))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "tool_calls", "id", "function"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(messages=JSON, extra=st.dictionaries(st.sampled_from(list(ChatRequest.model_fields)), JSON))
def test_anything_is_read_or_refused_with_a_reason(messages: Any, extra: Any) -> None:
    with suppress(ApiError):
        read({"model": "potluck", "messages": messages} | extra)
