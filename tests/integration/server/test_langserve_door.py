"""The real RemoteRunnable against a real server."""

import asyncio
import json
import time
import uuid
from typing import Any

import httpx
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate
from langgraph_sdk import get_sync_client
from langserve import RemoteRunnable
from langserve.lzstring import LZString

from potluck.server.langserve_wire import AgentInput, AgentOutput
from potluck.simulator.reply import Delay, Reply

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@pytest.fixture
def agent(server: Any) -> RemoteRunnable[Any, Any]:
    return RemoteRunnable(f"{server.url}/agent")


def say(server: Any, text: str) -> None:
    server.simulator.script.on(Reply(text=text))


def last_user_text(server: Any) -> str:
    return str(server.simulator.log.requests()[-1].last_user_text)


@pytest.mark.parametrize(
    "given",
    [
        "Name a colour",
        ["user", "Name a colour"],
        {"role": "user", "content": "Name a colour"},
        HumanMessage("Name a colour"),
        [HumanMessage("Name a colour")],
        [SystemMessage("Be brief"), ("user", "Name a colour")],
        {"messages": "Name a colour"},
        {"messages": [{"role": "user", "content": "Name a colour"}]},
        {"messages": [["user", "Name a colour"]]},
        {"messages": [HumanMessage("hi"), AIMessageChunk("hello"), ("human", "Name a colour")]},
        ChatPromptTemplate.from_template("Name a {what}").invoke({"what": "colour"}),
    ],
    ids=repr,
)
def test_answers_every_form_of_input(
    server: Any, agent: RemoteRunnable[Any, Any], given: object
) -> None:
    say(server, "Teal.")
    output = agent.invoke(given)
    assert output["content"] == "Teal."
    assert isinstance(output["messages"][-1], AIMessage)
    assert output["messages"][-1].content == "Teal."
    assert output["messages"][-1].usage_metadata["output_tokens"] > 0
    assert output["usage"]["calls"] == 1
    assert last_user_text(server) == "Name a colour"


async def test_streams_the_answer_piece_by_piece(
    server: Any, agent: RemoteRunnable[Any, Any]
) -> None:
    say(server, "one two three four five six")
    chunks = [chunk async for chunk in agent.astream("Count")]
    texts = [chunk["content"] for chunk in chunks if chunk["content"]]
    assert len(texts) > 3
    assert "".join(texts) == "one two three four five six"
    assert [m.type for m in chunks[-1]["messages"]] == ["human", "ai"]


def test_answers_a_batch_in_order(server: Any, agent: RemoteRunnable[Any, Any]) -> None:
    server.simulator.script.on(lambda request: Reply(text=request.last_user_text.upper()))
    outputs = agent.batch(["a", "b", "c"])
    assert [output["content"] for output in outputs] == ["A", "B", "C"]


async def test_events_show_models_tools_and_steps(
    server: Any, agent: RemoteRunnable[Any, Any]
) -> None:
    call = Reply.call("calculator", expression="6*7")
    server.simulator.script.on(call, Reply(text="It is 42."))
    events = [event async for event in agent.astream_events("What is 6*7?")]
    kinds = [event["event"] for event in events]
    assert kinds[0] == "on_chain_start"
    assert kinds[-1] == "on_chain_end"
    assert kinds.count("on_chat_model_start") == kinds.count("on_chat_model_end") == 2
    tool = next(event for event in events if event["event"] == "on_tool_end")
    assert tool["name"] == "calculator"
    assert "42" in tool["data"]["output"].content
    assert tool["data"]["input"] == {"expression": "6*7"}
    streamed = [
        event["data"]["chunk"].content
        for event in events
        if event["event"] == "on_chat_model_stream" and event["metadata"]["audience"] == "user"
    ]
    assert "".join(streamed) == "It is 42."
    custom = [event["name"] for event in events if event["event"] == "on_custom_event"]
    assert custom[:3] == ["step", "tool_call", "tool_result"]
    assert events[-1]["data"]["output"]["content"] == "It is 42."


async def test_stream_log_ends_with_the_whole_output(
    server: Any, agent: RemoteRunnable[Any, Any]
) -> None:
    say(server, "one two three")
    patches = [patch async for patch in agent.astream_log("Count")]
    total = patches[0]
    for patch in patches[1:]:
        total += patch
    assert total.state["final_output"]["content"] == "one two three"  # type: ignore[attr-defined]


def test_a_thread_remembers_and_is_a_langgraph_thread(
    server: Any, agent: RemoteRunnable[Any, Any]
) -> None:
    say(server, "Noted.")
    thread_id = str(uuid.uuid4())
    config: Any = {"configurable": {"thread_id": thread_id}}
    agent.invoke("My name is Ada", config)
    output = agent.invoke("What is my name?", config)
    texts = [message.content for message in output["messages"]]
    assert texts == ["My name is Ada", "Noted.", "What is my name?", "Noted."]
    with get_sync_client(url=server.url) as client:
        state: Any = client.threads.get_state(thread_id)
    assert len(state["values"]["messages"]) == 4


def test_a_thread_may_have_any_name(server: Any, agent: RemoteRunnable[Any, Any]) -> None:
    say(server, "Noted.")
    config: Any = {"configurable": {"thread_id": f"ada's notes {uuid.uuid4()}"}}
    agent.invoke("one", config)
    assert len(agent.invoke("two", config)["messages"]) == 4


def test_turns_on_one_thread_wait_for_each_other(
    server: Any, agent: RemoteRunnable[Any, Any]
) -> None:
    server.simulator.script.on(Reply(text="Noted.", delay=Delay(first_byte_s=0.2)))
    config: Any = {"configurable": {"thread_id": str(uuid.uuid4())}}
    outputs = agent.batch(["one", "two", "three"], config)
    assert sorted(len(output["messages"]) for output in outputs) == [2, 4, 6]


def test_without_a_thread_nothing_is_kept(server: Any, agent: RemoteRunnable[Any, Any]) -> None:
    say(server, "Noted.")
    with get_sync_client(url=server.url) as client:
        before = len(client.threads.search(limit=1000))
        agent.invoke("Remember this")
        deadline = time.monotonic() + 5
        while len(client.threads.search(limit=1000)) > before and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(client.threads.search(limit=1000)) <= before


def test_configurable_model_and_instructions_reach_the_model(
    server: Any, agent: RemoteRunnable[Any, Any]
) -> None:
    say(server, "Aye.")
    config: Any = {
        "configurable": {"model": "groq/openai/gpt-oss-20b", "instructions": "Speak as a pirate"}
    }
    agent.invoke("hi", config)
    (request,) = server.simulator.log.requests()
    assert (request.provider, request.model) == ("groq", "openai/gpt-oss-20b")
    assert "Speak as a pirate" in request.system_text


WRONG_BODIES: dict[str, tuple[bytes | object, str]] = {
    "no JSON": (b"{", "no JSON"),
    "no UTF-8": (b"\xff\xfe{", "no JSON"),
    "too deep": (b"[" * 100_000, "no JSON"),
    "nested": (b'{"input": ' + b"[" * 300 + b"]" * 300 + b"}", "nested"),
    "no object": ([], "JSON object"),
    "no input": ({}, "Field required"),
    "null": ({"input": None}, "Send a text"),
    "number": ({"input": 5}, "Send a text"),
    "blank": ({"input": "  "}, "empty"),
    "empty object": ({"input": {}}, "Send a text"),
    "no messages": ({"input": {"messages": []}}, "no message"),
    "no content": ({"input": [{"role": "user"}]}, "content"),
    "content of a wrong type": ({"input": [{"role": "user", "content": {"a": 1}}]}, "content"),
    "unknown role": ({"input": [["nobody", "hi"]]}, "nobody"),
    "unknown type": ({"input": [{"type": "nobody", "content": "hi"}]}, "nobody"),
    "removal": ({"input": [{"role": "remove", "id": "1", "content": ""}]}, "remove"),
    "tool without call": ({"input": [{"role": "tool", "content": "1"}]}, "tool_call_id"),
    "one-tuple": ({"input": [["user"]]}, "Message 0"),
    "NUL": ({"input": "a\x00b"}, "NUL"),
    "lone surrogate": (b'{"input": "a\\ud800b"}', "surrogate"),
    "null config": ({"input": "hi", "config": None}, "config"),
    "wrong configurable": ({"input": "hi", "config": {"configurable": 5}}, "configurable"),
    "wrong privacy": ({"input": "hi", "config": {"configurable": {"privacy": "x"}}}, "private"),
    "unknown model": ({"input": "hi", "config": {"configurable": {"model": "x/y"}}}, "/v1/models"),
    "wrong priority": ({"input": "hi", "config": {"configurable": {"priority": 1}}}, "batch"),
    "wrong thread": ({"input": "hi", "config": {"configurable": {"thread_id": 5}}}, "thread_id"),
    "wrong budget": ({"input": "hi", "config": {"configurable": {"max_calls": 0}}}, "max_calls"),
}


@pytest.mark.parametrize("door", ["invoke", "stream", "stream_events", "stream_log"])
@pytest.mark.parametrize("name", WRONG_BODIES)
def test_wrong_input_is_refused_with_the_reason(server: Any, door: str, name: str) -> None:
    body, reason = WRONG_BODIES[name]
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = httpx.post(f"{server.url}/agent/{door}", content=content, timeout=30)
    assert response.status_code == 422, response.text
    assert reason in json.dumps(response.json()["detail"])
    assert not server.simulator.log.requests()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"inputs": "hi"},
        {"inputs": [5]},
        {"inputs": ["hi", ""]},
        {"inputs": ["hi"], "config": 5},
        {"inputs": ["hi"], "config": [5]},
        {"inputs": ["hi"], "config": [{}, {}]},
        {"inputs": ["hi"], "config": [{"configurable": {"model": "x/y"}}]},
        {"inputs": ["hi"] * 201},
    ],
    ids=repr,
)
def test_a_wrong_batch_is_refused(server: Any, body: object) -> None:
    response = httpx.post(f"{server.url}/agent/batch", json=body, timeout=30)
    assert response.status_code == 422, response.text
    assert response.json()["detail"]


def test_a_body_that_is_too_large_is_refused(server: Any) -> None:
    body = {"input": "x" * 5_000_000}
    response = httpx.post(f"{server.url}/agent/invoke", json=body, timeout=30)
    assert response.status_code == 413, response.text
    assert "4194304 bytes" in response.json()["detail"]


def test_a_config_in_the_path_is_checked_like_one_in_the_body(server: Any) -> None:
    packed = LZString.compressToEncodedURIComponent('{"configurable": {"max_calls": 0}}')
    for door in ("invoke", "stream"):
        url = f"{server.url}/agent/c/{packed}/{door}"
        response = httpx.post(url, json={"input": "hi"}, timeout=30)
        assert response.status_code == 422, response.text
        assert "max_calls" in response.text


def test_schemas_say_what_goes_in_and_out(server: Any) -> None:
    url = f"{server.url}/agent"
    given = httpx.get(f"{url}/input_schema", timeout=30).json()
    assert given["anyOf"][-1]["type"] == "string"
    output = httpx.get(f"{url}/output_schema", timeout=30).json()
    assert set(output["properties"]) == {"content", "messages", "usage", "approvals"}
    config = httpx.get(f"{url}/config_schema", timeout=30).json()
    fields = config["$defs"]["Configurable"]["properties"]
    assert set(fields) == {
        "thread_id", "model", "instructions", "privacy", "priority", "max_calls", "max_tokens",
        "max_seconds", "max_tool_calls",
    }  # fmt: skip
    assert all(field["description"] for field in fields.values())
    assert (fields["max_calls"]["minimum"], fields["max_calls"]["maximum"]) == (1, 200)
    for example in [*given["examples"], given["anyOf"][0]["examples"][0]]:
        AgentInput.model_validate(example)
    for example in output["examples"]:
        AgentOutput.model_validate(example)


def test_the_playground_and_its_files_load(server: Any) -> None:
    page = httpx.get(f"{server.url}/agent/playground/", timeout=30)
    assert page.status_code == 200
    files = [part.split('"')[0] for part in page.text.split('"/agent/playground/')[1:]]
    assert len(files) >= 2
    for file in files:
        assert httpx.get(f"{server.url}/agent/playground/{file}", timeout=30).status_code == 200


def test_feedback_and_traces_are_off(server: Any) -> None:
    assert httpx.post(f"{server.url}/agent/feedback", json={}, timeout=30).status_code == 404
    assert (
        httpx.put(f"{server.url}/agent/public_trace_link", json={}, timeout=30).status_code == 404
    )


async def test_a_client_that_leaves_cancels_the_run(
    server: Any, agent: RemoteRunnable[Any, Any]
) -> None:
    server.simulator.script.on(
        Reply(text="word " * 400, delay=Delay(per_chunk_s=0.05)),
    )
    thread_id = str(uuid.uuid4())
    stream = agent.astream("Talk", {"configurable": {"thread_id": thread_id}})
    async for _ in stream:
        break
    await stream.aclose()  # type: ignore[attr-defined]
    with get_sync_client(url=server.url) as client:
        deadline = time.monotonic() + 5
        while (run := client.runs.list(thread_id)[0])["status"] == "running":
            assert time.monotonic() < deadline, run
            await asyncio.sleep(0.05)
        assert run["status"] in {"interrupted", "cancelled", "error"}


def test_a_client_that_leaves_invoke_cancels_the_run(server: Any) -> None:
    server.simulator.script.on(Reply(text="word " * 400, delay=Delay(per_chunk_s=0.05)))
    thread_id = str(uuid.uuid4())
    body = {"input": "Talk", "config": {"configurable": {"thread_id": thread_id}}}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/agent/invoke", json=body, timeout=2)
    with get_sync_client(url=server.url) as client:
        deadline = time.monotonic() + 5
        while (run := client.runs.list(thread_id)[0])["status"] == "running":
            assert time.monotonic() < deadline, run
            time.sleep(0.05)
        assert run["status"] in {"interrupted", "cancelled", "error"}


@pytest.mark.parametrize("door", ["agent", "chain"])
def test_a_long_batch_asks_for_a_few_answers_at_a_time(server: Any, door: str) -> None:
    server.simulator.script.on(
        lambda request: Reply(text=request.last_user_text, delay=Delay(first_byte_s=0.3))
    )
    outputs = RemoteRunnable[Any, Any](f"{server.url}/{door}").batch([str(n) for n in range(12)])
    assert len(outputs) == 12
    asked = [exchange.at.timestamp() for exchange in server.simulator.log.exchanges()]
    assert max(sum(0 <= other - each < 0.25 for other in asked) for each in asked) <= 4
