"""What OpenAI would refuse, the simulator refuses in the same words and shape."""

from typing import Any

import pytest

USER = {"role": "user", "content": "Hello"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ASKED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "1"}
TEXT = {"type": "text", "text": "Hi"}
SAID = {"role": "assistant", "content": "Hi"}


def pair(call_id: str) -> tuple[dict[str, object], dict[str, object]]:
    asked = {**ASKED, "tool_calls": [{**CALL, "id": call_id}]}
    return asked, {**RESULT, "tool_call_id": call_id}


NINE_ASKED, NINE_RESULT = pair("abcDEF123")
LONG_ASKED, LONG_RESULT = pair("x" * 41)
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    ("body", "param", "text"),
    [
        ({"messages": None}, "messages", "valid list"),
        ({"messages": []}, "messages", "at least 1"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "Missing"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", "system"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "string"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "null"),
        ({"messages": [USER, RESULT]}, "messages[1].role", "preceeding message"),
        ({"messages": [USER, ASKED]}, "messages[1].role", "c1"),
        ({"messages": [USER, ASKED, USER]}, "messages[1].role", "did not have response"),
        ({"messages": [USER, ASKED, RESULT, RESULT]}, "messages[3].role", "preceeding"),
        ({"messages": [USER, ASKED, {"role": "tool", "content": "1"}]}, None, "tool_call_id"),
        ({"tools": []}, "tools", "empty array"),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "Missing"),
        ({"tools": [{**TOOL, "function": {"name": "a b"}}]}, "tools[0].function.name", "pattern"),
        ({"tool_choice": "auto"}, "tool_choice", "only allowed when"),
        ({"temperature": 3}, "temperature", "less than or equal"),
        ({"max_tokens": 0}, "max_tokens", "greater than or equal"),
        ({"model": ""}, "model", "at least 1"),
    ],
)
async def test_refuses_what_makes_no_sense(
    simulator: Any, body: dict[str, object], param: str | None, text: str
) -> None:
    response = await simulator.chat(**body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert text in error["message"]
    if param is not None:
        assert error["param"] == param
    assert simulator.log.last.outcome == "refused"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
async def test_refuses_what_is_no_json_object(simulator: Any, body: bytes) -> None:
    response = await simulator.client.post("/openai/v1/chat/completions", content=body)
    assert response.status_code == 400
    assert "could not parse the JSON body" in response.json()["error"]["message"]


async def test_accepts_a_tool_round_trip_and_unknown_parameters(simulator: Any) -> None:
    messages = [{"role": "developer", "content": [{"type": "text", "text": "Brief."}]}, USER]
    body = {"messages": [*messages, ASKED, RESULT, USER], "tools": [TOOL], "colour": "red"}
    response = await simulator.chat(**body)
    assert response.status_code == 200
    request = simulator.log.last.request
    assert request.system_text == "Brief."
    assert request.messages[2].tool_calls[0].args == {}
    assert request.body["colour"] == "red"


@pytest.mark.parametrize(
    ("choice", "understood"),
    [
        ("required", "required"),
        ("any", "required"),
        ("none", "none"),
        (None, "auto"),
        ({"type": "function", "function": {"name": "f"}}, "f"),
    ],
)
async def test_reads_the_tool_choice(simulator: Any, choice: object, understood: str) -> None:
    response = await simulator.chat(tools=[TOOL], tool_choice=choice)
    assert response.status_code == 200
    assert simulator.log.last.request.tool_choice == understood


async def test_mistral_takes_only_its_own_tool_call_ids(simulator: Any) -> None:
    refused = await simulator.chat("mistral", messages=[USER, ASKED, RESULT])
    assert refused.status_code == 400
    assert refused.json()["object"] == "error"
    assert "length of 9" in refused.json()["message"]
    own = {**CALL, "id": "abcDEF123"}
    messages = [USER, {**ASKED, "tool_calls": [own]}, {**RESULT, "tool_call_id": "abcDEF123"}]
    assert (await simulator.chat("mistral", messages=messages)).status_code == 200


@pytest.mark.parametrize(
    ("provider", "messages", "status", "text"),
    [
        ("groq", [USER, {**SAID, "refusal": None}, USER], 400, "property 'refusal' is unsupported"),
        ("groq", [USER, {**SAID, "reasoning": "Hm"}, USER], 200, ""),
        ("cerebras", [USER, {**SAID, "audio": None}, USER], 400, "messages.1.assistant.audio"),
        ("cerebras", [USER, {**SAID, "content": [TEXT]}, USER], 400, "valid string"),
        ("mistral", [USER, {**SAID, "refusal": None}, USER], 422, "not permitted"),
        ("mistral", [USER, SAID], 400, "Expected last role"),
        ("mistral", [USER, NINE_ASKED, NINE_RESULT, USER], 400, "'user' after role 'tool'"),
        ("mistral", [USER, NINE_ASKED, NINE_RESULT], 200, ""),
        ("openai", [USER, LONG_ASKED, LONG_RESULT], 400, "maximum length 40"),
        ("together", [USER, LONG_ASKED, LONG_RESULT, {**SAID, "refusal": None}], 200, ""),
    ],
)
async def test_each_provider_is_strict_about_history_in_its_own_way(
    simulator: Any, provider: str, messages: list[object], status: int, text: str
) -> None:
    response = await simulator.chat(provider, messages=messages)
    assert response.status_code == status
    assert text in response.text


@pytest.mark.parametrize(
    ("provider", "message"),
    [
        ("openai", ("error", "message")),
        ("openrouter", ("error", "message")),
        ("mistral", ("message",)),
        ("cerebras", ("message",)),
        ("cohere", ("message",)),
        ("nvidia", ("detail",)),
        ("huggingface", ("error",)),
        ("cloudflare", ("errors", 0, "message")),
        ("my_box", ("error", "message")),
    ],
)
async def test_each_provider_refuses_in_its_own_shape(
    simulator: Any, provider: str, message: tuple[str | int, ...]
) -> None:
    response = await simulator.chat(provider, messages=[])
    assert response.status_code == 400
    found: Any = response.json()
    for step in message:
        found = found[step]
    assert "messages" in found


async def test_unknown_url_is_404(simulator: Any) -> None:
    response = await simulator.client.get("/openai/v1/nothing")
    assert response.status_code == 404
    assert "/v1/nothing" in response.json()["error"]["message"]
