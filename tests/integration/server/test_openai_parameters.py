"""Parameters, the client's tools and background tasks, with the openai SDK and a real server."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import openai
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from openai import AsyncOpenAI
from pydantic import BaseModel

from potluck.simulator.reply import Delay, Reply
from potluck.simulator.request import ModelRequest, ToolCall
from potluck.simulator.server import SimulatorServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

DOOR: Any = {
    "type": "function",
    "function": {
        "name": "open_door",
        "description": "Opens a door",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"which": {"type": "string"}},
            "required": ["which"],
            "additionalProperties": False,
        },
    },
}
PASS = {"X-Potluck-Client-Tools": "true"}
TITLE_TASK = (
    '### Task:\nGenerate a title.\nJSON format: { "title": "..." }\n'
    "<chat_history>\nUSER: Grüße aus Köln\nASSISTANT: Hallo\n</chat_history>"
)


class City(BaseModel):
    name: str
    people: int


@pytest.fixture
async def client(server: Any) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as made:
        yield made


@pytest.fixture
async def langgraph(server: Any) -> AsyncIterator[LangGraphClient]:
    made = get_client(url=server.url)
    yield made
    await made.aclose()


def user(text: str) -> Any:
    return {"role": "user", "content": text}


def result_of(call: Any, text: str) -> Any:
    return {"role": "tool", "tool_call_id": call.id, "content": text}


def turn_of(message: Any) -> Any:
    return message.model_dump(include={"role", "content", "tool_calls"}, exclude_none=True)


async def ask(client: AsyncOpenAI, *messages: Any, model: str = "potluck", **more: Any) -> Any:
    return await client.chat.completions.create(model=model, messages=list(messages), **more)


async def streamed(client: AsyncOpenAI, *messages: Any, **more: Any) -> tuple[str, str, int]:
    """The text, why it ended, and in how many pieces it came."""
    stream = await ask(client, *messages, stream=True, **more)
    choices = [chunk.choices[0] async for chunk in stream if chunk.choices]
    texts = [choice.delta.content for choice in choices if choice.delta.content]
    (reason,) = [choice.finish_reason for choice in choices if choice.finish_reason]
    return "".join(texts), reason, len(texts)


async def test_the_agents_calls_are_made_with_the_parameters(
    client: AsyncOpenAI, server: Any
) -> None:
    server.simulator.script.on(Reply.call("calculator", expression="1+1"), times=1)
    server.simulator.script.on(Reply(text="Two."))
    await ask(
        client,
        user("1+1?"),
        model="potluck:groq/openai/gpt-oss-20b",
        temperature=0.25,
        top_p=0.5,
        seed=5,
        max_tokens=50,
        user="ada",
        reasoning_effort="low",
        logit_bias={},
    )
    bodies = [request.body for request in server.simulator.log.requests()]
    assert [(b["temperature"], b["top_p"], b["seed"]) for b in bodies] == [(0.25, 0.5, 5)] * 2
    assert not any(body.get("max_tokens") or body.get("stop") for body in bodies)


@pytest.mark.parametrize("model", ["potluck", "potluck:google_gemini/gemini-3.5-flash-lite"])
async def test_the_answer_is_cut_where_the_caller_says(
    client: AsyncOpenAI, server: Any, model: str
) -> None:
    server.simulator.script.on(Reply(text="one two three four five six seven"))
    text, reason, pieces = await streamed(client, user("Count"), model=model, max_tokens=3)
    assert (text, reason) == ("one two thre", "length")
    assert pieces > 1
    whole = await ask(client, user("Count"), model=model, stop=[" five"])
    choice = whole.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("one two three four", "stop")


async def test_a_cut_answer_is_what_the_thread_holds(
    client: AsyncOpenAI, langgraph: LangGraphClient, server: Any
) -> None:
    server.simulator.script.on(Reply(text="one two three four"))
    headers = {"X-Chat-Id": str(uuid.uuid4())}
    raw = await client.chat.completions.with_raw_response.create(
        model="potluck", messages=[user("Count")], stop=" three", extra_headers=headers
    )
    state: Any = await langgraph.threads.get_state(raw.headers["x-potluck-thread-id"])
    assert state["values"]["messages"][-1]["content"] == "one two"


async def test_a_limit_never_cuts_a_tool_call(client: AsyncOpenAI, server: Any) -> None:
    server.simulator.script.on(Reply.call("calculator", expression="1+1+1+1+1+1+1+1"), times=1)
    server.simulator.script.on(Reply(text="It is 8."), last_tool="calculator")
    completion = await ask(client, user("Add"), max_tokens=2, stop=["+"])
    assert completion.choices[0].message.content == "It is 8."


@pytest.mark.parametrize("stream", [True, False])
async def test_the_agents_answer_has_the_form_that_was_asked_for(
    client: AsyncOpenAI, server: Any, stream: bool
) -> None:
    def answer(request: ModelRequest) -> Reply:
        if request.body.get("response_format") or "generationConfig" in request.body:
            return Reply(text='{"name": "Köln", "people": 1100000}')
        return Reply(text="It is Köln, with about 1,100,000 people.")

    server.simulator.script.on(answer)
    if stream:
        async with client.chat.completions.stream(
            model="potluck:groq/openai/gpt-oss-20b",
            messages=[user("Which city?")],
            response_format=City,
        ) as events:
            completion: Any = await events.get_final_completion()
    else:
        completion = await client.chat.completions.parse(
            model="potluck:groq/openai/gpt-oss-20b",
            messages=[user("Which city?")],
            response_format=City,
        )
    assert completion.choices[0].message.parsed == City(name="Köln", people=1_100_000)
    assert len(server.simulator.log.requests()) == 2


async def test_an_answer_in_form_takes_no_second_call(client: AsyncOpenAI, server: Any) -> None:
    server.simulator.script.on(Reply(text='```json\n{"name": "Köln", "people": 1}\n```'))
    completion = await client.chat.completions.parse(
        model="potluck", messages=[user("Which city?")], response_format=City
    )
    assert completion.choices[0].message.parsed == City(name="Köln", people=1)
    assert len(server.simulator.log.requests()) == 1


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "a", "schema": {"type": "x"}},
                }
            },
            "response_format.json_schema.schema",
        ),
    ],
)
async def test_what_is_not_offered_is_refused_by_its_name(
    client: AsyncOpenAI, wrong: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await ask(client, user("hi"), extra_body=wrong)
    assert caught.value.param == param


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("kept", [True, False])
async def test_the_clients_tool_is_called_and_its_result_goes_on(
    client: AsyncOpenAI, langgraph: LangGraphClient, server: Any, stream: bool, kept: bool
) -> None:
    server.simulator.script.on(Reply.call("calculator", expression="1+1"), results=0)
    server.simulator.script.on(Reply.call("open_door", which="2"), last_tool="calculator")
    server.simulator.script.on(Reply(text="Door 2 is open."), last_tool="open_door")
    headers = PASS | ({"X-Chat-Id": str(uuid.uuid4())} if kept else {})
    question = user("Open door 1+1")
    if stream:
        async with client.chat.completions.stream(
            model="potluck", messages=[question], tools=[DOOR], extra_headers=headers
        ) as events:
            completion: Any = await events.get_final_completion()
    else:
        completion = await ask(client, question, tools=[DOOR], extra_headers=headers)
    choice = completion.choices[0]
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == (
        "open_door",
        {"which": "2"},
    )
    again = await client.chat.completions.with_raw_response.create(
        model="potluck",
        messages=[question, turn_of(choice.message), result_of(call, "opened")],
        tools=[DOOR],
        extra_headers=headers,
    )
    answered = again.parse().choices[0]
    assert (answered.message.content, answered.finish_reason) == ("Door 2 is open.", "stop")
    if kept:
        state: Any = await langgraph.threads.get_state(again.headers["x-potluck-thread-id"])
        kinds = [message["type"] for message in state["values"]["messages"]]
        assert kinds == ["human", "ai", "tool", "ai", "tool", "ai"]


async def test_only_the_clients_calls_come_out(client: AsyncOpenAI, server: Any) -> None:
    both = Reply(
        text="One moment.",
        tool_calls=(
            ToolCall("calculator", {"expression": "1+1"}),
            ToolCall("open_door", {"which": "1"}),
            ToolCall("open_door", {"which": "2"}),
        ),
    )
    server.simulator.script.on(both)
    metadata = {"client_tools": "true"}
    completion = await ask(client, user("Open both"), tools=[DOOR], metadata=metadata)
    calls = completion.choices[0].message.tool_calls
    assert [json.loads(call.function.arguments)["which"] for call in calls] == ["1", "2"]
    one = await ask(client, user("One"), tools=[DOOR], metadata=metadata, parallel_tool_calls=False)
    assert len(one.choices[0].message.tool_calls) == 1


async def test_a_chosen_tool_is_the_one_that_is_called(client: AsyncOpenAI, server: Any) -> None:
    server.simulator.script.on(Reply.call("open_door", which="1"))
    named = {"type": "function", "function": {"name": "open_door"}}
    completion = await ask(client, user("hi"), tools=[DOOR], tool_choice=named)
    assert completion.choices[0].finish_reason == "tool_calls"
    completion = await ask(client, user("hi"), tools=[DOOR], tool_choice="required")
    assert completion.choices[0].finish_reason == "tool_calls"
    assert [tool.name for tool in server.simulator.log.last.request.tools] == ["open_door"]


async def test_a_turn_with_the_clients_tool_can_be_done_again(
    client: AsyncOpenAI, langgraph: LangGraphClient, server: Any
) -> None:
    server.simulator.script.on(Reply.call("open_door", which="1"), results=0)
    server.simulator.script.on(Reply(text="Open."), results=1)
    headers = PASS | {"X-Chat-Id": str(uuid.uuid4())}
    for _ in range(2):
        first = await ask(client, user("Open"), tools=[DOOR], extra_headers=headers)
        (call,) = first.choices[0].message.tool_calls
        turn = turn_of(first.choices[0].message)
        for _ in range(2):
            done = await ask(
                client,
                user("Open"),
                turn,
                result_of(call, "opened"),
                tools=[DOOR],
                extra_headers=headers,
            )
            assert done.choices[0].message.content == "Open."
    results = [len(r.tool_results) for r in server.simulator.log.requests()]
    assert results == [0, 1, 1, 0, 1, 1]


async def test_a_wrong_context_is_refused_by_the_langgraph_api_too(server: Any) -> None:
    async with httpx.AsyncClient(base_url=server.url) as wire:
        run = {
            "assistant_id": "agent",
            "input": {"messages": [user("hi")]},
            "context": {"params": {"temperature": 9}},
        }
        response = await wire.post("/runs/wait", json=run)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "context", "params", "temperature"]


async def test_a_background_task_is_answered_by_a_small_model(
    client: AsyncOpenAI, server: Any
) -> None:
    server.simulator.script.on(Reply(text='Here: {"title": "Köln"}'))
    completion = await ask(client, user(TITLE_TASK), max_tokens=50)
    assert completion.choices[0].message.content == '{"title": "Köln"}'
    assert completion.usage.total_tokens > 0


async def test_a_background_task_never_fails(start_server: Callable[..., Any]) -> None:
    with SimulatorServer() as spent:
        spent.script.on(Reply.failing("day_requests"))
        url = start_server(simulator=spent).url
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
            async with asyncio.timeout(25):
                completion = await ask(client, user(TITLE_TASK))
    assert completion.choices[0].message.content == '{"title": "Grüße aus Köln"}'


async def test_the_first_turn_does_not_wait_for_its_title(client: AsyncOpenAI, server: Any) -> None:
    server.simulator.script.on(
        Reply(text='{"title": "Late"}', delay=Delay(first_byte_s=1.5)), text="### Task:"
    )
    server.simulator.script.on(Reply(text="Hello"))
    headers = {"X-OpenWebUI-Chat-Id": str(uuid.uuid4())}
    title = asyncio.create_task(ask(client, user(TITLE_TASK), extra_headers=headers))
    await asyncio.sleep(0.2)
    answer = await ask(client, user("hi"), extra_headers=headers)
    assert answer.choices[0].message.content == "Hello"
    assert not title.done()
    assert (await title).choices[0].message.content == '{"title": "Late"}'
