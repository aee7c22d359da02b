import json
from typing import Any

import pytest

from potluck.simulator.reply import Reply, Usage
from potluck.simulator.request import ToolCall

QUESTION = {"role": "user", "parts": [{"text": "Sum?"}]}
CALL = {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"}
ASKED = {"role": "model", "parts": [CALL]}
RESULT = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"x": 1}}}]}
STREAM_PATH = "/google_gemini/v1beta/models/gemini-3.8-flash:streamGenerateContent"


def declared(**schema: object) -> list[object]:
    return [{"functionDeclarations": [{"name": "f", "parameters": schema}]}]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"contents": []}, "contents is not specified"),
        ({"contents": [{"role": "user", "parts": []}]}, "must not be empty"),
        ({"contents": [{"role": "user", "parts": [{}]}]}, "required oneof field 'data'"),
        ({"contents": [{"role": "robot", "parts": [{"text": "x"}]}]}, "role"),
        ({"contents": [QUESTION, ASKED]}, "function response turn comes after"),
        ({"contents": [QUESTION, ASKED, QUESTION]}, "number of function response parts"),
        ({"contents": [QUESTION, RESULT]}, "number of function response parts"),
        ({"contents": [ASKED, RESULT]}, "function call turn comes immediately after"),
        ({"colour": "red"}, 'Unknown name "colour"'),
        ({"tools": declared(type="object", additionalProp=1)}, 'Unknown name "additionalProp"'),
        (
            {"tools": declared(type="object", properties={"a": {"type": "string", "const": 1}})},
            "parameters.properties[0].value",
        ),
    ],
)
async def test_refuses_what_makes_no_sense(
    simulator: Any, body: dict[str, object], text: str
) -> None:
    response = await simulator.generate(**body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert text in error["message"]


async def test_thinking_models_want_their_signatures_back(simulator: Any) -> None:
    bare = {"role": "model", "parts": [{"functionCall": CALL["functionCall"]}]}
    refused = await simulator.generate(contents=[QUESTION, bare, RESULT])
    assert "thought_signature" in refused.json()["error"]["message"]
    older = await simulator.generate("gemini-2.5-flash", contents=[QUESTION, bare, RESULT])
    assert older.status_code == 200
    past_turn = [QUESTION, bare, RESULT, ASKED_AGAIN, QUESTION]
    assert (await simulator.generate(contents=past_turn)).status_code == 200


ASKED_AGAIN = {"role": "model", "parts": [{"text": "One."}]}


async def test_pairs_results_with_calls_by_name_and_order(simulator: Any) -> None:
    twice = {"role": "model", "parts": [CALL, {"functionCall": {"name": "f", "args": {"a": 2}}}]}
    answered = {"role": "user", "parts": [*RESULT["parts"], *RESULT["parts"]]}
    response = await simulator.generate(contents=[QUESTION, twice, answered])
    assert response.status_code == 200
    request = simulator.log.last.request
    calls = [call.id for call in request.tool_calls]
    assert [result.tool_call_id for result in request.tool_results] == calls
    assert request.tool_results[0].text == "1"


async def test_answers_whole(simulator: Any) -> None:
    simulator.script.on(Reply("Hello", reasoning="Hm", usage=Usage(5, 4, 1)))
    body = (await simulator.generate()).json()
    candidate = body["candidates"][0]
    assert candidate["content"] == {"parts": [{"text": "Hello"}], "role": "model"}
    assert candidate["finishReason"] == "STOP"
    assert body["usageMetadata"]["promptTokenCount"] == 5
    assert body["usageMetadata"]["candidatesTokenCount"] == 3
    assert body["usageMetadata"]["thoughtsTokenCount"] == 1
    thinking = {"thinkingConfig": {"includeThoughts": True}}
    shown = (await simulator.generate(generationConfig=thinking)).json()
    assert shown["candidates"][0]["content"]["parts"][0] == {"text": "Hm", "thought": True}


async def test_calls_carry_a_signature_on_the_first_only(simulator: Any) -> None:
    simulator.script.on(Reply(tool_calls=(ToolCall("f", {"a": 1}), ToolCall("f", {"a": 2}))))
    body = (await simulator.generate(tools=declared(type="object"))).json()
    parts = body["candidates"][0]["content"]["parts"]
    assert [part["functionCall"]["args"] for part in parts] == [{"a": 1}, {"a": 2}]
    assert ["thoughtSignature" in part for part in parts] == [True, False]


async def test_a_malformed_call_is_no_call(simulator: Any) -> None:
    simulator.script.on(Reply(tool_calls=(ToolCall("f", raw_args="{"),)))
    body = (await simulator.generate(tools=declared(type="object"))).json()
    assert body["candidates"][0]["finishReason"] == "MALFORMED_FUNCTION_CALL"
    assert "parts" not in body["candidates"][0]["content"]


async def test_streams_events_and_the_reason_last(simulator: Any) -> None:
    simulator.script.on(Reply("One two"))
    response = await simulator.client.post(
        STREAM_PATH, params={"alt": "sse"}, json={"contents": [QUESTION]}
    )
    events = [
        json.loads(event.removeprefix("data: "))["candidates"][0]
        for event in response.text.split("\r\n\r\n")
        if event
    ]
    texts = [event["content"]["parts"][0]["text"] for event in events]
    assert texts == ["One", " two", ""]
    assert [event.get("finishReason") for event in events] == [None, None, "STOP"]


async def test_streaming_without_sse_is_refused(simulator: Any) -> None:
    response = await simulator.client.post(STREAM_PATH, json={"contents": [QUESTION]})
    assert response.status_code == 400
    assert "alt=sse" in response.text


async def test_reads_system_format_and_choice(simulator: Any) -> None:
    await simulator.generate(
        system_instruction={"parts": [{"text": "Brief."}]},
        tools=declared(type="object"),
        toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        generationConfig={
            "responseMimeType": "application/json",
            "responseSchema": {"type": "OBJECT"},
        },
    )
    request = simulator.log.last.request
    assert request.system_text == "Brief."
    assert request.tool_choice == "f"
    assert request.response_format.kind == "json_schema"


async def test_takes_the_key_from_header_or_query(simulator: Any) -> None:
    path = "/google_gemini/v1beta/models"
    listed = await simulator.client.get(path)
    assert listed.json()["models"][0]["name"].startswith("models/gemini")
    del simulator.client.headers["x-goog-api-key"]
    assert (await simulator.client.get(path)).status_code == 403
    assert (await simulator.client.get(path, params={"key": "k"})).status_code == 200
    bad = await simulator.client.get(path, params={"key": "bad-key"})
    assert bad.status_code == 400
    assert bad.json()["error"]["details"][0]["reason"] == "API_KEY_INVALID"
