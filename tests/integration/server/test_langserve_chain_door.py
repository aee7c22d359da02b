"""The chain of models under /chain, without the agent: the real RemoteRunnable, a real server."""

import asyncio
import json
import time
from typing import Any

import httpx
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langserve import RemoteRunnable

from potluck.server.langserve_wire import ChainInput, ChainOutput
from potluck.simulator.reply import Delay, Fault, FaultKind, Reply

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

GROQ = "groq/openai/gpt-oss-20b"


@pytest.fixture
def chain(server: Any) -> RemoteRunnable[Any, Any]:
    return RemoteRunnable(f"{server.url}/chain")


def say(server: Any, text: str) -> None:
    server.simulator.script.on(Reply(text=text))


@pytest.mark.parametrize("model", ["", "google_gemini/gemini-3.5-flash-lite", GROQ])
def test_a_model_answers_with_nothing_of_the_agents(
    server: Any, chain: RemoteRunnable[Any, Any], model: str
) -> None:
    say(server, "Teal.")
    answer = chain.invoke(["user", "Name a colour"], {"configurable": {"model": model}})
    assert isinstance(answer, AIMessage)
    assert not isinstance(answer, AIMessageChunk)
    assert answer.content == "Teal."
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] > 0
    (request,) = server.simulator.log.requests()
    assert not request.system_text
    assert not request.tools
    if model:
        assert f"{request.provider}/{request.model}" == model


async def test_asynchronous_calls_do_as_well(server: Any, chain: RemoteRunnable[Any, Any]) -> None:
    say(server, "Teal.")
    assert (await chain.ainvoke("Name a colour")).content == "Teal."
    assert [answer.content for answer in await chain.abatch(["a", "b"])] == ["Teal.", "Teal."]
    # Left to its finalizer, it would be closed on a loop that is closed itself.
    await chain.async_client.aclose()


@pytest.mark.parametrize("model", ["google_gemini/gemini-3.5-flash-lite", GROQ])
async def test_streams_text_piece_by_piece(
    server: Any, chain: RemoteRunnable[Any, Any], model: str
) -> None:
    say(server, "one two three four five six")
    config: Any = {"configurable": {"model": model}}
    chunks = [chunk async for chunk in chain.astream("Count", config)]
    assert all(isinstance(chunk, AIMessageChunk) for chunk in chunks)
    assert len([chunk for chunk in chunks if chunk.content]) > 3
    assert "".join(chunk.content for chunk in chunks) == "one two three four five six"
    assert sum(c.usage_metadata["output_tokens"] for c in chunks if c.usage_metadata) > 0


def test_streams_without_an_event_loop_too(server: Any, chain: RemoteRunnable[Any, Any]) -> None:
    say(server, "one two three")
    assert "".join(chunk.content for chunk in chain.stream("Count")) == "one two three"


def test_it_is_a_link_of_other_peoples_chains(server: Any, chain: RemoteRunnable[Any, Any]) -> None:
    say(server, "Teal.")
    prompt = ChatPromptTemplate.from_messages([("system", "Be brief"), ("user", "Name a {what}")])
    assert (prompt | chain | StrOutputParser()).invoke({"what": "colour"}) == "Teal."
    (request,) = server.simulator.log.requests()
    assert (request.system_text, request.last_user_text) == ("Be brief", "Name a colour")


def test_a_batch_is_answered_in_order(server: Any, chain: RemoteRunnable[Any, Any]) -> None:
    server.simulator.script.on(lambda request: Reply(text=request.last_user_text.upper()))
    assert [answer.content for answer in chain.batch(["a", "b", "c"])] == ["A", "B", "C"]


async def test_events_show_the_model(server: Any, chain: RemoteRunnable[Any, Any]) -> None:
    say(server, "one two three")
    events = [event async for event in chain.astream_events("Count")]
    kinds = [event["event"] for event in events]
    assert (kinds[0], kinds[-1]) == ("on_chain_start", "on_chain_end")
    assert kinds.count("on_chat_model_start") == kinds.count("on_chat_model_end") == 1
    assert kinds.count("on_chat_model_stream") >= 3
    assert events[-1]["data"]["output"].content == "one two three"
    assert "__potluck" not in str(events)


async def test_stream_log_ends_with_the_answer(
    server: Any, chain: RemoteRunnable[Any, Any]
) -> None:
    say(server, "one two three")
    patches = [patch async for patch in chain.astream_log("Count")]
    total = patches[0]
    for patch in patches[1:]:
        total += patch
    assert total.state["final_output"].content == "one two three"  # type: ignore[attr-defined]


def test_the_next_model_answers_when_one_fails(troubled_server: Any) -> None:
    troubled_server.simulator.script.on(
        Reply(fault=Fault(FaultKind.SERVER_ERROR)), Reply(text="Here I am.")
    )
    answer = RemoteRunnable[Any, Any](f"{troubled_server.url}/chain").invoke("Are you there?")
    assert answer.content == "Here I am."


def test_without_any_key_the_offline_model_answers(offline_server: Any) -> None:
    answer = RemoteRunnable[Any, Any](f"{offline_server.url}/chain").invoke("What is 6*7?")
    assert isinstance(answer, AIMessage)
    assert answer.content


@pytest.mark.parametrize("door", ["invoke", "stream", "stream_events", "stream_log"])
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"input": ""}, "empty"),
        ({"input": {"decisions": [{"type": "approve"}]}}, "role"),
        ({"input": "hi", "config": {"configurable": {"model": "x/y"}}}, "/v1/models"),
        ({"input": "hi", "config": {"configurable": {"task_type": "x"}}}, "general"),
        ({"input": "hi", "config": {"configurable": {"priority": "x"}}}, "batch"),
    ],
    ids=str,
)
def test_wrong_input_is_refused_with_the_reason(
    server: Any, door: str, body: object, reason: str
) -> None:
    response = httpx.post(f"{server.url}/chain/{door}", json=body, timeout=30)
    assert response.status_code == 422, response.text
    assert reason in json.dumps(response.json()["detail"])


def test_schemas_say_what_goes_in_and_out(server: Any) -> None:
    url = f"{server.url}/chain"
    given = httpx.get(f"{url}/input_schema", timeout=30).json()
    assert given["anyOf"][-1]["type"] == "string"
    for example in given["examples"]:
        ChainInput.model_validate(example)
    output = httpx.get(f"{url}/output_schema", timeout=30).json()
    for example in output["examples"]:
        assert ChainOutput.model_validate(example).root.content
    config = httpx.get(f"{url}/config_schema", timeout=30).json()
    fields = config["$defs"]["Configurable"]["properties"]
    assert set(fields) == {"thread_id", "model", "privacy", "priority", "task_type"}
    assert httpx.get(f"{url}/playground/", timeout=30).status_code == 200


def test_both_doors_are_in_the_description_of_the_api(server: Any) -> None:
    paths = httpx.get(f"{server.url}/openapi.json", timeout=60).json()["paths"]
    for door in ("agent", "chain"):
        assert {f"/{door}/invoke", f"/{door}/batch", f"/{door}/stream"} <= set(paths)


async def test_a_client_that_leaves_ends_the_call(server: Any) -> None:
    server.simulator.script.on(Reply(text="word " * 400, delay=Delay(per_chunk_s=0.05)))
    stream = RemoteRunnable[Any, Any](f"{server.url}/chain").astream("Talk")
    async for _ in stream:
        break
    await stream.aclose()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 5
    while (outcome := server.simulator.log.last.outcome) == "open":
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    assert outcome == "client_gone"


class TestOutOfQuota:
    """One model is all there is, and it has no quota left for an hour."""

    @pytest.fixture
    def url(self, quota_server: Any) -> str:
        quota_server.simulator.script.on(
            lambda request: (
                Reply.failing("day_requests", retry_after_s=3600)
                if request.last_user_text == "out"
                else Reply(text="In.", delay=Delay(first_byte_s=0.3))
            )
        )
        return f"{quota_server.url}/chain"

    def test_is_a_429_that_says_when(self, url: str) -> None:
        response = httpx.post(f"{url}/invoke", json={"input": "out"}, timeout=30)
        assert response.status_code == 429, response.text
        assert 3000 < int(response.headers["retry-after"]) <= 3601
        assert "box" in response.json()["detail"]["message"]
        assert response.json()["detail"]["resume_at"]

    def test_is_told_in_a_stream_too(self, url: str) -> None:
        response = httpx.post(f"{url}/stream", json={"input": "out"}, timeout=30)
        (data,) = [line[6:] for line in response.text.splitlines() if line.startswith("data: {")]
        assert json.loads(data)["status_code"] == 429
        assert json.loads(data)["resume_at"]

    def test_fails_a_batch_and_names_the_input(self, url: str) -> None:
        body = {"inputs": [HumanMessage("in").model_dump(), "out", "in", "in", "in", "in"]}
        response = httpx.post(f"{url}/batch", json=body, timeout=30)
        assert response.status_code == 429, response.text
        assert "of the batch" in response.json()["detail"]["message"]
