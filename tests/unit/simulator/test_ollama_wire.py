import json
from typing import Any

from potluck.simulator.reply import Reply, Usage
from potluck.simulator.request import ToolCall

USER = {"role": "user", "content": "Sum?"}


async def chat(simulator: Any, **body: object) -> Any:
    asked = {"model": "qwen3:0.6b", "messages": [USER], **body}
    return await simulator.client.post("/ollama/api/chat", json=asked)


async def test_streams_lines_unless_told_not_to(simulator: Any) -> None:
    simulator.script.on(Reply("One two", reasoning="Hm", usage=Usage(5, 4)))
    response = await chat(simulator)
    assert response.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert [line["message"].get("thinking", "") for line in lines] == ["Hm", "", "", ""]
    assert [line["message"]["content"] for line in lines] == ["", "One", " two", ""]
    assert [line["done"] for line in lines] == [False, False, False, True]
    assert (lines[-1]["prompt_eval_count"], lines[-1]["eval_count"]) == (5, 4)
    whole = (await chat(simulator, stream=False)).json()
    assert whole["message"] == {"role": "assistant", "content": "One two", "thinking": "Hm"}


async def test_tool_calls_carry_objects_and_results_go_by_name(simulator: Any) -> None:
    simulator.script.on(Reply.call("f", a=1), results=0)
    simulator.script.on(Reply("Done"), results=1, last_tool="f")
    asked = (await chat(simulator, stream=False)).json()["message"]
    assert asked["tool_calls"][0]["function"]["arguments"] == {"a": 1}
    for call in asked["tool_calls"]:
        del call["id"]
    result = {"role": "tool", "tool_name": "f", "content": "1"}
    done = await chat(simulator, stream=False, messages=[USER, asked, result])
    assert done.json()["message"]["content"] == "Done"


async def test_a_malformed_call_stays_text(simulator: Any) -> None:
    simulator.script.on(Reply(tool_calls=(ToolCall("f", raw_args='{"a": '),)))
    message = (await chat(simulator, stream=False)).json()["message"]
    assert message["content"] == '{"a": '
    assert "tool_calls" not in message


async def test_errors_are_one_sentence(simulator: Any) -> None:
    response = await chat(simulator, model="no-such-model")
    assert response.status_code == 404
    assert response.json() == {"error": "model 'no-such-model' not found"}
    assert (await chat(simulator, messages="x")).status_code == 400


async def test_tells_what_is_installed(simulator: Any) -> None:
    listed = (await simulator.client.get("/ollama/api/tags")).json()
    assert listed["models"][0]["name"] == "qwen3:0.6b"
    shown = await simulator.client.post("/ollama/api/show", json={"model": "qwen3:0.6b"})
    assert "tools" in shown.json()["capabilities"]
    gone = await simulator.client.post("/ollama/api/show", json={"model": "no-such-model"})
    assert gone.status_code == 404
    assert (await simulator.client.post("/ollama/api/show", json={})).status_code == 400
    assert "version" in (await simulator.client.get("/ollama/api/version")).json()


async def test_also_speaks_openai(simulator: Any) -> None:
    simulator.script.on(Reply("Hi"))
    response = await simulator.chat("ollama")
    assert response.json()["choices"][0]["message"]["content"] == "Hi"
