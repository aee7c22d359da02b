"""The real openai SDK, and raw httpx where the wire itself counts, against a real server."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from openai import AsyncOpenAI

from potluck.simulator.reply import Delay, Reply

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

CALCULATOR: Any = {
    "type": "function",
    "function": {
        "name": "calculate_here",
        "description": "Works it out",
        "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}},
    },
}
ALONE = "groq/openai/gpt-oss-20b"


@pytest.fixture
async def client(server: Any) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as made:
        yield made


@pytest.fixture
async def wire(server: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{server.url}/v1", timeout=30) as made:
        yield made


@pytest.fixture
async def langgraph(server: Any) -> AsyncIterator[LangGraphClient]:
    made = get_client(url=server.url)
    yield made
    await made.aclose()


def user(text: str) -> Any:
    return {"role": "user", "content": text}


def assistant(text: str) -> Any:
    return {"role": "assistant", "content": text}


async def ask(client: AsyncOpenAI, *messages: Any, model: str = "potluck", **more: Any) -> Any:
    return await client.chat.completions.create(model=model, messages=list(messages), **more)


def said(completion: Any) -> str:
    return str(completion.choices[0].message.content)


def asked_texts(server: Any) -> list[str]:
    return [request.last_user_text for request in server.simulator.log.requests()]


class Chat:
    """A chat of Open WebUI: the whole history with every turn."""

    def __init__(self, client: AsyncOpenAI, langgraph: LangGraphClient) -> None:
        self.client = client
        self.langgraph = langgraph
        self.headers = {"X-OpenWebUI-Chat-Id": str(uuid.uuid4())}
        self.history: list[Any] = []
        self.thread_id = ""

    async def say(self, text: str, **more: Any) -> str:
        self.history.append(user(text))
        raw = await self.client.chat.completions.with_raw_response.create(
            model="potluck", messages=self.history, extra_headers=self.headers, **more
        )
        self.thread_id = raw.headers["x-potluck-thread-id"]
        answer = said(raw.parse())
        self.history.append(assistant(answer))
        return answer

    async def messages(self) -> list[tuple[str, str]]:
        state: Any = await self.langgraph.threads.get_state(self.thread_id)
        return [(m["type"], _text(m["content"])) for m in state["values"]["messages"]]


@pytest.fixture
def chat(client: AsyncOpenAI, langgraph: LangGraphClient) -> Chat:
    return Chat(client, langgraph)


async def test_every_listed_model_can_be_got(client: AsyncOpenAI) -> None:
    ids = [model.id async for model in client.models.list()]
    assert ids[:2] == ["potluck", "auto"]
    assert ALONE in ids
    for model_id in (*ids[:3], ALONE, f"potluck:{ALONE}"):
        assert (await client.models.retrieve(model_id)).id == model_id


@pytest.mark.parametrize("model", ["potluck", f"potluck:{ALONE}", "auto", ALONE])
async def test_each_kind_of_model_answers(client: AsyncOpenAI, server: Any, model: str) -> None:
    server.simulator.script.on(Reply(text="Forty-two."))
    completion = await ask(client, user("What is the answer?"), model=model)
    assert said(completion) == "Forty-two."
    assert completion.model == model
    assert completion.choices[0].finish_reason == "stop"
    if ALONE in model:
        assert server.simulator.log.last.request.model == "openai/gpt-oss-20b"


async def test_the_agent_works_with_its_tools_and_shows_its_steps(
    client: AsyncOpenAI, server: Any
) -> None:
    server.simulator.script.on(Reply.call("calculator", expression="17*23"), times=1)
    server.simulator.script.on(Reply(text="It is 391."), last_tool="calculator")
    completion = await ask(client, user("What is 17*23?"))
    message = completion.choices[0].message
    assert message.content == "It is 391."
    assert message.tool_calls is None
    assert 'calculator(expression="17*23")' in message.reasoning_content
    assert "391" in message.reasoning_content
    first, second = server.simulator.log
    used = first.reply.usage.total_tokens + second.reply.usage.total_tokens
    assert completion.usage.total_tokens == used


async def test_streams_steps_then_the_answer_word_by_word(client: AsyncOpenAI, server: Any) -> None:
    server.simulator.script.on(Reply(text="", pieces=("One", " two", " three")))
    stream = await ask(client, user("Count"), stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens > 0
    deltas = [chunk.choices[0].delta for chunk in chunks[1:-1]]
    assert [d.content for d in deltas if d.content] == ["One", " two", " three"]
    assert any(getattr(d, "reasoning_content", None) for d in deltas)
    reasons = [c.choices[0].finish_reason for c in chunks[:-1] if c.choices[0].finish_reason]
    assert reasons == ["stop"]


async def test_the_wire_of_a_stream(wire: httpx.AsyncClient, server: Any) -> None:
    server.simulator.script.on(Reply(text="Hello"))
    body = {"model": "potluck", "messages": [user("hi")], "stream": True}
    response = await wire.post("/chat/completions", json=body)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["x-request-id"]
    lines = [line for line in response.text.split("\n") if line]
    assert all(line.startswith(("data: ", ":")) for line in lines)
    assert lines[-1] == "data: [DONE]"
    assert "tool_calls" not in response.text
    assert "usage" not in response.text


async def test_instructions_reach_the_model(client: AsyncOpenAI, server: Any) -> None:
    server.simulator.script.on(Reply(text="Arr"))
    await ask(client, {"role": "system", "content": "Talk like a pirate"}, user("hi"))
    assert "Talk like a pirate" in server.simulator.log.last.request.system_text


async def test_the_agent_ignores_the_clients_tools(client: AsyncOpenAI, server: Any) -> None:
    server.simulator.script.on(Reply(text="Done"))
    assert said(await ask(client, user("hi"), tools=[CALCULATOR])) == "Done"
    offered = server.simulator.log.last.request.tools
    assert "calculate_here" not in {tool.name for tool in offered}


@pytest.mark.parametrize("model", ["auto", ALONE])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_model_alone_gets_the_clients_tools_and_calls_them(
    client: AsyncOpenAI, server: Any, model: str, stream: bool
) -> None:
    server.simulator.script.on(Reply.call("calculate_here", expression="1+1"), results=0)
    server.simulator.script.on(Reply(text="Two"), results=1)
    question = user("1+1?")
    if stream:
        async with client.chat.completions.stream(
            model=model, messages=[question], tools=[CALCULATOR]
        ) as events:
            completion: Any = await events.get_final_completion()
    else:
        completion = await ask(client, question, model=model, tools=[CALCULATOR])
    choice = completion.choices[0]
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    assert call.function.name == "calculate_here"
    assert json.loads(call.function.arguments) == {"expression": "1+1"}
    result = {"role": "tool", "tool_call_id": call.id, "content": "2"}
    turn = choice.message.model_dump(include={"role", "content", "tool_calls"})
    again = await ask(client, question, turn, result, model=model, tools=[CALCULATOR])
    assert said(again) == "Two"


async def test_parameters_pass_through_to_a_model_alone(client: AsyncOpenAI, server: Any) -> None:
    server.simulator.script.on(Reply(text="{}"))
    await ask(
        client,
        user("hi"),
        model=ALONE,
        temperature=0.25,
        max_tokens=77,
        stop=["END"],
        seed=5,
        response_format={"type": "json_object"},
    )
    sent = server.simulator.log.last.request.body
    assert (sent["temperature"], sent["seed"], sent["stop"]) == (0.25, 5, ["END"])
    assert sent.get("max_tokens", sent.get("max_completion_tokens")) == 77
    assert sent["response_format"] == {"type": "json_object"}


async def test_a_chat_is_a_thread_that_others_see(chat: Chat, server: Any) -> None:
    server.simulator.script.on(Reply(text="Nice to meet you, Ada."), text="Ada")
    server.simulator.script.on(Reply(text="You are Ada."), text="Who am I")
    await chat.say("I am Ada")
    assert await chat.say("Who am I?") == "You are Ada."
    assert await chat.messages() == [
        ("human", "I am Ada"),
        ("ai", "Nice to meet you, Ada."),
        ("human", "Who am I?"),
        ("ai", "You are Ada."),
    ]
    found = await chat.langgraph.threads.search(
        metadata={"chat_id": chat.headers["X-OpenWebUI-Chat-Id"]}
    )
    assert [thread["thread_id"] for thread in found] == [chat.thread_id]


async def test_tool_traffic_stays_in_the_thread(chat: Chat, server: Any) -> None:
    server.simulator.script.on(Reply.call("calculator", expression="2+2"), times=1)
    server.simulator.script.on(Reply(text="Four"), last_tool="calculator")
    server.simulator.script.on(Reply(text="Welcome"), text="Thanks")
    await chat.say("2+2?")
    await chat.say("Thanks")
    kinds = [kind for kind, _ in await chat.messages()]
    assert kinds == ["human", "ai", "tool", "ai", "human", "ai"]


async def test_an_edited_message_replaces_what_came_after(chat: Chat, server: Any) -> None:
    server.simulator.script.on(Reply(text="Answer"))
    await chat.say("one")
    await chat.say("two")
    chat.history = chat.history[:2]
    await chat.say("another two")
    assert [text for _, text in await chat.messages()] == ["one", "Answer", "another two", "Answer"]
    chat.history = []
    await chat.say("another one")
    assert [text for _, text in await chat.messages()] == ["another one", "Answer"]


async def thread_ids(langgraph: LangGraphClient) -> set[str]:
    return {thread["thread_id"] for thread in await langgraph.threads.search(limit=1000)}


async def wait_for_threads(langgraph: LangGraphClient, wanted: set[str]) -> None:
    deadline = time.monotonic() + 10
    while await thread_ids(langgraph) != wanted:
        assert time.monotonic() < deadline, "a stateless thread stays"
        await asyncio.sleep(0.05)


async def test_turns_of_one_chat_come_one_after_the_other(chat: Chat, server: Any) -> None:
    server.simulator.script.on(Reply(text="Here it is", delay=Delay(per_chunk_s=0.05)))
    windows = [Chat(chat.client, chat.langgraph) for _ in range(3)]
    for window in windows:
        window.headers = chat.headers
    answers = await asyncio.gather(*(window.say("again") for window in windows))
    assert answers == ["Here it is"] * 3
    assert await windows[0].messages() == [("human", "again"), ("ai", "Here it is")]


async def test_a_stateless_turn_leaves_no_thread(
    client: AsyncOpenAI, langgraph: LangGraphClient, server: Any
) -> None:
    server.simulator.script.on(Reply(text="Gone"))
    before = await thread_ids(langgraph)
    await ask(client, user("hi"))
    await ask(client, user("hi"), extra_headers={"X-OpenWebUI-Chat-Id": "local:1"})
    await wait_for_threads(langgraph, before)


async def test_the_title_task_leaves_the_thread_alone(chat: Chat, server: Any) -> None:
    server.simulator.script.on(Reply(text='{"title": "Greeting"}'), text="### Task:")
    server.simulator.script.on(Reply(text="Hello"))
    await chat.say("hi")
    before = await chat.messages()
    task = "### Task:\nGenerate a title.\n<chat_history>\nUSER: hi\n</chat_history>"
    title = await ask(chat.client, user(task), extra_headers=chat.headers)
    assert said(title) == '{"title": "Greeting"}'
    assert title.choices[0].message.model_extra == {}
    assert await chat.messages() == before


async def wait_until_idle(langgraph: LangGraphClient, thread_id: str) -> list[str]:
    """The states of the thread's runs, once none of them runs any more."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        thread = await langgraph.threads.get(thread_id)
        if thread["status"] != "busy":
            return [run["status"] for run in await langgraph.runs.list(thread_id)]
        await asyncio.sleep(0.05)
    raise AssertionError("the thread stays busy")


async def test_a_reader_that_leaves_cancels_the_run(chat: Chat, server: Any) -> None:
    server.simulator.script.on(Reply(text="word " * 400, delay=Delay(per_chunk_s=0.05)))
    stream = await chat.client.chat.completions.with_raw_response.create(
        model="potluck", messages=[user("Tell")], stream=True, extra_headers=chat.headers
    )
    thread_id = stream.headers["x-potluck-thread-id"]
    async for chunk in stream.parse():
        if chunk.choices[0].delta.content:
            break
    await stream.parse().close()
    assert await wait_until_idle(chat.langgraph, thread_id) == ["interrupted"]


async def test_a_client_that_gives_up_waiting_cancels_the_run(
    client: AsyncOpenAI, langgraph: LangGraphClient, server: Any
) -> None:
    server.simulator.script.on(Reply(text="word " * 400, delay=Delay(per_chunk_s=0.05)))
    before = await thread_ids(langgraph)
    with pytest.raises(openai.APITimeoutError):
        await ask(client, user("Tell"), timeout=1)
    await wait_for_threads(langgraph, before)


async def test_a_stopped_chat_goes_on_with_what_the_client_saw(chat: Chat, server: Any) -> None:
    server.simulator.script.on(
        Reply(text="word " * 400, delay=Delay(per_chunk_s=0.05)), text="Tell"
    )
    server.simulator.script.on(Reply(text="All right"))
    stream = await ask(chat.client, user("Tell"), stream=True, extra_headers=chat.headers)
    await anext(aiter(stream))
    await stream.close()
    chat.history = [user("Tell"), assistant("word")]
    assert await chat.say("Enough") == "All right"
    assert [text for _, text in await chat.messages()] == ["Tell", "word", "Enough", "All right"]


async def test_spent_quota_is_429_with_the_time_to_wait(client: AsyncOpenAI, server: Any) -> None:
    server.simulator.script.on(
        Reply.failing("minute_requests", retry_after_s=40), provider="mistral"
    )
    with pytest.raises(openai.RateLimitError) as caught:
        await ask(client, user("hi"), model="mistral/mistral-small-latest")
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 60
    assert "mistral/mistral-small-latest" in caught.value.message


async def test_an_agent_whose_model_fails_asks_the_next(client: AsyncOpenAI, server: Any) -> None:
    server.simulator.script.on(Reply.failing("overload"), provider="cohere")
    server.simulator.script.on(Reply(text="From another"))
    completion = await ask(client, user("hi"), model="potluck:cohere/command-a-03-2025")
    assert said(completion) == "From another"
    assert "cohere/command-a-03-2025" in completion.choices[0].message.reasoning_content


async def test_a_stream_that_breaks_ends_with_an_error(client: AsyncOpenAI, server: Any) -> None:
    server.simulator.script.on(Reply(text="one two three four five", cut_after=3))
    stream = await ask(client, user("hi"), model="nvidia/openai/gpt-oss-20b", stream=True)
    with pytest.raises(openai.APIError):
        async for _ in stream:
            pass


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"model": "nope", "messages": [user("x")]}, 404, "model"),
        ({"model": "potluck", "messages": []}, 400, "messages"),
        ({"model": "potluck", "messages": [{"role": "user"}]}, 400, "messages[0].content"),
        ({"model": "potluck", "messages": [user("x")], "n": 2}, 400, "n"),
        ({"model": "potluck", "messages": [user("a\0b")]}, 400, "messages[0].content"),
    ],
)
async def test_a_wrong_request_is_refused_by_its_parameter(
    wire: httpx.AsyncClient, body: dict[str, Any], status: int, param: str
) -> None:
    response = await wire.post("/chat/completions", json=body)
    assert response.status_code == status
    assert response.json()["error"]["param"] == param


async def test_only_this_door_speaks_openais_errors(server: Any) -> None:
    async with httpx.AsyncClient(base_url=server.url) as anyone:
        assert "error" in (await anyone.get("/v1/nothing")).json()
        assert "message" not in (await anyone.get("/v1/nothing")).json()
        assert (await anyone.get("/threads/nothing")).json().get("error") != {}
        assert isinstance((await anyone.get("/threads/nothing")).json().get("error"), str)


async def test_without_any_key_the_agent_still_works(offline_server: Any) -> None:
    url = f"{offline_server.url}/v1"
    async with AsyncOpenAI(base_url=url, api_key="any", max_retries=0) as client:
        answer = said(await ask(client, user("What is 17*23?")))
        alone = said(await ask(client, user("hello"), model="auto"))
    assert "391" in answer
    assert "no LLM" in answer
    assert "no LLM" in alone


def _text(content: Any) -> str:
    """A message's text: some models answer in blocks."""
    return content if isinstance(content, str) else "".join(block["text"] for block in content)


async def test_more_than_a_hundred_turns_run_at_once(client: AsyncOpenAI, server: Any) -> None:
    server.simulator.script.on(Reply(text="Here", delay=Delay(first_byte_s=5.0)))
    turns = (ask(client, user(f"Who is number {number}?")) for number in range(120))
    answers = await asyncio.gather(*turns)
    assert {answer.choices[0].message.content for answer in answers} == {"Here"}
