import json
from typing import Any

import pytest

from potluck.simulator.reply import Reply, Usage
from potluck.simulator.request import ToolCall

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


async def stream(simulator: Any, provider: str, **body: object) -> tuple[list[Any], str]:
    response = await simulator.chat(provider, stream=True, **body)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [line for line in response.text.split("\n\n") if line]
    data = [event.removeprefix("data: ") for event in events if event.startswith("data: ")]
    assert data[-1] == "[DONE]"
    return [json.loads(one) for one in data[:-1]], response.text


async def test_stream_opens_with_an_empty_role_chunk_and_ends_with_the_reason(
    simulator: Any,
) -> None:
    simulator.script.on(Reply("One two"))
    chunks, _ = await stream(simulator, "openai")
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas == [
        {"role": "assistant", "content": ""},
        {"content": "One"},
        {"content": " two"},
        {},
    ]
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert reasons == [None, None, None, "stop"]
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert not any("usage" in chunk for chunk in chunks)


async def test_usage_comes_in_a_chunk_of_its_own_when_asked_for(simulator: Any) -> None:
    simulator.script.on(Reply("One", usage=Usage(3, 4, 1)))
    chunks, _ = await stream(simulator, "openai", stream_options={"include_usage": True})
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] == 7
    assert chunks[-1]["usage"]["completion_tokens_details"] == {"reasoning_tokens": 1}


async def test_groq_puts_usage_into_its_own_field(simulator: Any) -> None:
    simulator.script.on(Reply("One", usage=Usage(3, 4)))
    chunks, _ = await stream(simulator, "groq")
    assert chunks[0]["x_groq"]["id"].startswith("req_")
    assert chunks[-1]["x_groq"]["usage"]["prompt_tokens"] == 3


async def test_openrouter_opens_with_a_comment(simulator: Any) -> None:
    chunks, text = await stream(simulator, "openrouter")
    assert text.startswith(": OPENROUTER PROCESSING\n\n")
    assert chunks[-1]["usage"]["total_tokens"] > 0


async def test_tool_calls_come_in_fragments_that_carry_their_index(simulator: Any) -> None:
    calls = (ToolCall("f", {"text": "x" * 50}), ToolCall("f", {"n": 2}))
    simulator.script.on(Reply(tool_calls=calls))
    chunks, _ = await stream(simulator, "openai", tools=[TOOL])
    fragments = [
        call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", [])
    ]
    assert [one["index"] for one in fragments] == sorted(one["index"] for one in fragments)
    for index, call in enumerate(calls):
        mine = [one for one in fragments if one["index"] == index]
        assert mine[0]["id"].startswith("call_")
        assert mine[0]["function"] == {"name": "f", "arguments": ""}
        assert all("id" not in one and "name" not in one["function"] for one in mine[1:])
        joined = "".join(one["function"]["arguments"] for one in mine)
        assert json.loads(joined) == dict(call.args)
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_groq_sends_a_tool_call_whole(simulator: Any) -> None:
    simulator.script.on(Reply.call("f", text="x" * 50))
    chunks, _ = await stream(simulator, "groq", tools=[TOOL])
    carrying = [c for c in chunks if "tool_calls" in c["choices"][0]["delta"]]
    assert len(carrying) == 1


@pytest.mark.parametrize(
    ("provider", "field"),
    [("groq", "reasoning"), ("openrouter", "reasoning"), ("my_box", "reasoning_content")],
)
async def test_reasoning_comes_before_the_text_in_the_providers_field(
    simulator: Any, provider: str, field: str
) -> None:
    simulator.script.on(Reply("Answer", reasoning="I think"))
    chunks, _ = await stream(simulator, provider)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    assert "".join(delta.get(field, "") for delta in deltas) == "I think"
    keys = [key for delta in deltas for key in delta]
    assert keys.index(field) < len(keys) - 1 - keys[::-1].index("content")
    whole = (await simulator.chat(provider)).json()["choices"][0]["message"]
    assert whole[field] == "I think"


async def test_openai_never_shows_reasoning(simulator: Any) -> None:
    simulator.script.on(Reply("Answer", reasoning="I think"))
    assert "I think" not in (await simulator.chat("openai")).text


async def test_an_error_in_mid_stream_ends_the_choice(simulator: Any) -> None:
    simulator.script.on(Reply("One two three", cut_after=3, cut="error"))
    response = await simulator.chat("openrouter", stream=True)
    assert response.status_code == 200
    last = json.loads(response.text.strip().split("\n\n")[-1].removeprefix("data: "))
    assert last["error"]["code"] == 503
    assert last["choices"][0]["finish_reason"] == "error"
    assert simulator.log.last.chunks == 3


async def test_a_stream_may_end_without_a_reason(simulator: Any) -> None:
    simulator.script.on(Reply("One two three", cut_after=2, cut="end"))
    response = await simulator.chat(stream=True)
    assert "One" in response.text
    assert "[DONE]" not in response.text
    assert '"finish_reason":"stop"' not in response.text


async def test_pieces_are_streamed_as_they_were_cut(simulator: Any) -> None:
    simulator.script.on(Reply(pieces=("a", "b c", "d")))
    chunks, _ = await stream(simulator, "openai")
    texts = [chunk["choices"][0]["delta"].get("content") for chunk in chunks]
    assert texts == ["", "a", "b c", "d", None]


async def test_lists_the_models(simulator: Any) -> None:
    listed = (await simulator.client.get("/groq/openai/v1/models")).json()
    assert "openai/gpt-oss-120b" in [model["id"] for model in listed["data"]]
    one = await simulator.client.get("/groq/openai/v1/models/openai/gpt-oss-20b")
    assert one.json()["id"] == "openai/gpt-oss-20b"
    gone = await simulator.client.get("/groq/openai/v1/models/no-such-model")
    assert gone.json()["error"]["code"] == "model_not_found"


async def test_a_malformed_tool_call_is_an_error_at_groq_alone(simulator: Any) -> None:
    simulator.script.on(Reply(tool_calls=(ToolCall("f", raw_args='{"a": '),)))
    at_groq = await simulator.chat("groq", tools=[TOOL])
    assert at_groq.status_code == 400
    assert at_groq.json()["error"]["code"] == "tool_use_failed"
    elsewhere = (await simulator.chat("together", tools=[TOOL])).json()
    call = elsewhere["choices"][0]["message"]["tool_calls"][0]
    assert call["function"]["arguments"] == '{"a": '
