"""The Responses API as the openai SDK uses it, against a real server."""

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

from potluck.server.turn import text_of
from potluck.simulator.reply import Delay, Reply
from tests.conftest import PotluckServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

ALONE = "groq/openai/gpt-oss-20b"
LOOK: Any = {
    "type": "function",
    "name": "look",
    "parameters": {"type": "object", "properties": {"where": {"type": "string"}}},
    "strict": False,
}
ENDED = {"completed", "failed", "cancelled", "incomplete"}


@pytest.fixture
async def client(server: Any) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as made:
        yield made


@pytest.fixture
async def langgraph(server: Any) -> AsyncIterator[LangGraphClient]:
    made = get_client(url=server.url)
    yield made
    await made.aclose()


async def ask(client: AsyncOpenAI, given: Any, *, model: str = "potluck", **more: Any) -> Any:
    return await client.responses.create(model=model, input=given, **more)


async def ask_raw(client: AsyncOpenAI, given: Any, **more: Any) -> tuple[Any, str | None]:
    """The response, and the thread that it was made on."""
    raw = await client.responses.with_raw_response.create(model="potluck", input=given, **more)
    return raw.parse(), raw.headers.get("x-potluck-thread-id")


async def wait_for(client: AsyncOpenAI, response_id: str, timeout_s: float = 20) -> Any:
    async with asyncio.timeout(timeout_s):
        while (found := await client.responses.retrieve(response_id)).status not in ENDED:  # noqa: ASYNC110 - as its clients do
            await asyncio.sleep(0.1)
    return found


def seen_by_model(server: Any) -> list[str]:
    """What was said in the last request that a model got, its instructions left out."""
    last = server.simulator.log.requests()[-1]
    return [str(message.text) for message in last.messages if message.role in ("user", "assistant")]


def slow(server: Any, text: str = "word " * 400) -> None:
    server.simulator.script.on(Reply(text=text, delay=Delay(per_chunk_s=0.05)))


@pytest.mark.parametrize("model", ["potluck", "auto", ALONE])
async def test_a_response_is_answered_and_kept(client: AsyncOpenAI, model: str) -> None:
    made = await ask(client, "Hello", model=model, metadata={"a": "b"}, instructions="Be nice")

    assert made.status == "completed"
    assert "You said: Hello" in made.output_text
    assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens > 0
    assert await client.responses.retrieve(made.id) == made
    items = await client.responses.input_items.list(made.id)
    assert [item.content[0].text for item in items.data] == ["Hello"]


@pytest.mark.parametrize("model", ["potluck", ALONE])
async def test_a_stream_comes_to_what_is_kept(client: AsyncOpenAI, model: str) -> None:
    async with client.responses.stream(model=model, input="Hello") as stream:
        events = [event async for event in stream]
        final = await stream.get_final_response()

    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert said == final.output_text
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kept = await client.responses.retrieve(final.id)
    assert kept.output_text == said
    assert kept.usage == final.usage


async def test_the_steps_of_the_agent_are_its_reasoning(client: AsyncOpenAI, server: Any) -> None:
    server.simulator.script.on(Reply.call("calculate", expression="6*7"), Reply(text="It is 42."))
    made = await ask(client, "What is 6*7?")

    assert made.output_text == "It is 42."
    thought = "".join(
        part.text for item in made.output if item.type == "reasoning" for part in item.summary
    )
    assert "calculate" in thought


async def test_a_response_leads_on_from_another_on_its_thread(
    client: AsyncOpenAI, langgraph: LangGraphClient, server: Any
) -> None:
    first, thread = await ask_raw(client, "I am Ann")
    second, same = await ask_raw(client, "Who am I?", previous_response_id=first.id)

    assert same == thread is not None
    assert second.previous_response_id == first.id
    assert seen_by_model(server) == ["I am Ann", first.output_text, "Who am I?"]
    state: Any = await langgraph.threads.get_state(str(thread))
    assert [text_of(message) for message in state["values"]["messages"]] == [
        "I am Ann",
        first.output_text,
        "Who am I?",
        second.output_text,
    ]


async def test_leading_on_from_an_older_response_makes_a_branch(
    client: AsyncOpenAI, server: Any
) -> None:
    first, thread = await ask_raw(client, "One")
    second, _ = await ask_raw(client, "Two", previous_response_id=first.id)
    other, same = await ask_raw(client, "Other", previous_response_id=first.id)
    assert same == thread
    assert seen_by_model(server) == ["One", first.output_text, "Other"]

    await ask_raw(client, "Three", previous_response_id=second.id)
    assert seen_by_model(server) == ["One", first.output_text, "Two", second.output_text, "Three"]
    await ask_raw(client, "More", previous_response_id=other.id)
    assert seen_by_model(server) == ["One", first.output_text, "Other", other.output_text, "More"]


async def test_a_model_alone_knows_what_was_said_too(client: AsyncOpenAI, server: Any) -> None:
    first = await ask(client, "One", model=ALONE)
    await ask(client, "Two", model=ALONE, previous_response_id=first.id)
    assert seen_by_model(server) == ["One", first.output_text, "Two"]


async def test_instructions_are_those_of_the_request_alone(
    client: AsyncOpenAI, server: Any
) -> None:
    first = await ask(client, "One", model=ALONE, instructions="Sing")
    assert "Sing" in server.simulator.log.requests()[-1].system_text
    await ask(client, "Two", model=ALONE, previous_response_id=first.id)
    assert "Sing" not in server.simulator.log.requests()[-1].system_text


async def test_responses_of_a_conversation_follow_each_other(
    client: AsyncOpenAI, server: Any
) -> None:
    name = f"conv_{uuid.uuid4().hex}"
    first, thread = await ask_raw(client, "One", conversation=name)
    second, same = await ask_raw(client, "Two", conversation={"id": name})

    assert same == thread
    assert second.conversation.id == name
    assert seen_by_model(server) == ["One", first.output_text, "Two"]


async def test_responses_of_a_conversation_are_made_one_after_another(
    client: AsyncOpenAI, server: Any
) -> None:
    name = f"conv_{uuid.uuid4().hex}"
    made = await asyncio.gather(*(ask(client, f"No {n}", conversation=name) for n in range(4)))

    assert all(one.status == "completed" for one in made)
    await ask(client, "Last", conversation=name)
    assert len(seen_by_model(server)) == 9


async def test_what_is_not_stored_leaves_nothing(
    client: AsyncOpenAI, langgraph: LangGraphClient, server: Any
) -> None:
    first = await ask(client, "One")
    made, thread = await ask_raw(client, "Two", previous_response_id=first.id, store=False)

    assert seen_by_model(server) == ["One", first.output_text, "Two"]
    assert (made.status, thread) == ("completed", None)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(made.id)
    with pytest.raises(openai.NotFoundError) as raised:
        await ask(client, "Three", previous_response_id=made.id)
    assert raised.value.code == "previous_response_not_found"


async def test_a_deleted_response_is_gone(client: AsyncOpenAI) -> None:
    made = await ask(client, "One", model=ALONE)
    await client.responses.delete(made.id)

    for call in (client.responses.retrieve, client.responses.delete, client.responses.cancel):
        with pytest.raises(openai.NotFoundError):
            await call(made.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.input_items.list(made.id)


async def test_functions_of_the_client_are_called_and_answered(
    client: AsyncOpenAI, server: Any
) -> None:
    server.simulator.script.on(Reply.call("look", where="here"), Reply(text="A cat."))
    async with client.responses.stream(model=ALONE, input="Look", tools=[LOOK]) as stream:
        events = [event async for event in stream]
        first = await stream.get_final_response()

    (called,) = [item for item in first.output if item.type == "function_call"]
    assert (called.name, json.loads(called.arguments)) == ("look", {"where": "here"})
    done = [e for e in events if e.type == "response.function_call_arguments.done"]
    assert [event.arguments for event in done] == [called.arguments]

    output = {"type": "function_call_output", "call_id": called.call_id, "output": "a cat"}
    second = await ask(client, [output], model=ALONE, previous_response_id=first.id, tools=[LOOK])
    assert second.output_text == "A cat."
    with pytest.raises(openai.BadRequestError, match="No tool output found"):
        await ask(client, "Never mind", model=ALONE, previous_response_id=first.id)


async def test_kept_items_can_be_referred_to(client: AsyncOpenAI, server: Any) -> None:
    first = await ask(client, "One", model=ALONE)
    message = next(item for item in first.output if item.type == "message")
    given: Any = [
        {"role": "user", "content": "One"},
        {"type": "item_reference", "id": message.id},
        {"role": "user", "content": "Two"},
    ]
    await ask(client, given, model=ALONE)
    assert seen_by_model(server) == ["One", first.output_text, "Two"]

    given[1]["id"] = "msg_nobody"
    with pytest.raises(openai.NotFoundError) as raised:
        await ask(client, given, model=ALONE)
    assert raised.value.param == "input[1].id"


async def test_answers_are_parsed_by_the_sdk(client: AsyncOpenAI, server: Any) -> None:
    class Sum(BaseModel):
        total: int

    server.simulator.script.on(Reply(text='{"total": 4}'))
    parsed = await client.responses.parse(model=ALONE, input="2+2", text_format=Sum)
    assert parsed.output_parsed == Sum(total=4)


async def test_an_answer_that_was_cut_is_incomplete(client: AsyncOpenAI, server: Any) -> None:
    server.simulator.script.on(Reply(text="It is", finish_reason="length"))
    made = await ask(client, "Tell", model=ALONE, max_output_tokens=2)
    assert (made.status, made.incomplete_details.reason) == ("incomplete", "max_output_tokens")


@pytest.mark.parametrize(
    ("asked", "status", "param"),
    [
        ({"model": "nobody"}, 404, "model"),
        ({"previous_response_id": "resp_nobody"}, 404, "previous_response_id"),
        ({"previous_response_id": "a", "conversation": "b"}, 400, "previous_response_id"),
        ({"background": True, "store": False}, 400, "background"),
        ({"tool_choice": "required"}, 400, "tool_choice"),
        ({"input": []}, 400, "input"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_wrong_is_said_before_the_answer_begins(
    server: Any, asked: Any, status: int, param: str, *, stream: bool
) -> None:
    async with httpx.AsyncClient(base_url=f"{server.url}/v1", timeout=30) as wire:
        body = {"model": "potluck", "input": "Hi", "stream": stream} | asked
        answer = await wire.post("/responses", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_ends_the_work(
    client: AsyncOpenAI, langgraph: LangGraphClient, server: Any, *, stream: bool
) -> None:
    slow(server)
    name = f"conv_{uuid.uuid4().hex}"
    asked = ask(client, "Tell", conversation=name, stream=stream, timeout=1.5)
    if stream:
        events = await asked
        async for event in events:
            if event.type == "response.output_text.delta":
                break
        await events.close()
    else:
        with pytest.raises(openai.APITimeoutError):
            await asked

    server.simulator.script.clear()
    made, thread = await ask_raw(client, "Hello", conversation=name)
    assert made.status == "completed"
    runs = await langgraph.runs.list(str(thread))
    assert all(run["status"] not in ("running", "pending") for run in runs)


async def test_work_in_the_background_is_fetched_later(client: AsyncOpenAI, server: Any) -> None:
    slow(server, "A tale. " * 8)
    made = await ask(client, "Tell", background=True)
    assert (made.status, made.background, made.output) == ("queued", True, [])
    with pytest.raises(openai.BadRequestError, match="still being made"):
        await ask(client, "And?", previous_response_id=made.id)

    done = await wait_for(client, made.id)
    assert done.status == "completed"
    assert done.output_text.strip() == ("A tale. " * 8).strip()
    server.simulator.script.clear()
    await ask(client, "And?", previous_response_id=made.id)
    assert seen_by_model(server)[0] == "Tell"


async def test_a_stream_of_the_background_can_be_taken_up_again(
    client: AsyncOpenAI, server: Any
) -> None:
    slow(server, "A tale. " * 8)
    stream = await ask(client, "Tell", background=True, stream=True)
    first = []
    async for event in stream:
        first.append(event)
        if len(first) == 8:
            break
    await stream.close()

    response_id, last = first[0].response.id, first[-1].sequence_number
    rest = await client.responses.retrieve(response_id, stream=True, starting_after=last)
    events = [*first, *[event async for event in rest]]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].type == "response.completed"
    assert events[-1].response == await client.responses.retrieve(response_id)


@pytest.mark.parametrize("model", ["potluck", ALONE])
async def test_work_in_the_background_can_be_stopped(
    client: AsyncOpenAI, langgraph: LangGraphClient, server: Any, model: str
) -> None:
    delay = Delay(first_byte_s=20) if model == ALONE else Delay(per_chunk_s=0.05)
    server.simulator.script.on(Reply(text="word " * 400, delay=delay))
    raw = await client.responses.with_raw_response.create(
        model=model, input="Tell", background=True
    )
    made, thread = raw.parse(), raw.headers.get("x-potluck-thread-id")
    await asyncio.sleep(1.0)
    stopped = await client.responses.cancel(made.id)

    assert stopped.status == "cancelled"
    assert (await client.responses.retrieve(made.id)).status == "cancelled"
    assert (await client.responses.cancel(made.id)).status == "cancelled"
    if thread:
        runs = await langgraph.runs.list(thread)
        assert [run["status"] for run in runs] == ["interrupted"]


async def test_only_work_in_the_background_can_be_stopped(client: AsyncOpenAI) -> None:
    made = await ask(client, "One", model=ALONE)
    with pytest.raises(openai.BadRequestError) as raised:
        await client.responses.cancel(made.id)
    assert raised.value.code == "not_in_background"


async def test_a_failure_in_the_background_is_told(client: AsyncOpenAI, server: Any) -> None:
    server.simulator.script.on(Reply.failing("bad_request"))
    made = await ask(client, "Tell", model=ALONE, background=True)
    failed = await wait_for(client, made.id)
    assert failed.status == "failed"
    assert failed.error.message


async def test_input_items_come_in_pages(client: AsyncOpenAI) -> None:
    given: Any = [{"role": "user", "content": f"No {n}"} for n in range(5)]
    made = await ask(client, given, model=ALONE)
    page = await client.responses.input_items.list(made.id, limit=2, order="asc")
    texts = [item.content[0].text async for item in page]
    assert texts == [f"No {n}" for n in range(5)]
    newest = await client.responses.input_items.list(made.id, limit=1)
    assert newest.data[0].content[0].text == "No 4"


@pytest.mark.parametrize("how", ["kill", "stop"])
async def test_work_in_the_background_outlives_its_server(
    start_server: Callable[..., PotluckServer], simulator: Any, tmp_path: Any, how: str
) -> None:
    simulator.script.clear()
    server = start_server(simulator=simulator, env={"POTLUCK_API_KEYS": "a:one,b:two"})
    url = f"{server.url}/v1"
    slow(server, "A tale. " * 30)
    async with AsyncOpenAI(base_url=url, api_key="one", max_retries=0) as client:
        made = await ask(client, "Tell", background=True)
        await asyncio.sleep(1.5)
    server.kill() if how == "kill" else server.stop()
    simulator.script.clear()
    server.start()

    url = f"{server.url}/v1"
    async with AsyncOpenAI(base_url=url, api_key="one", max_retries=0) as client:
        done = await wait_for(client, made.id, 60)
        assert done.status == "completed"
        assert done.output_text
        again = await ask(client, "And?", previous_response_id=made.id)
        assert again.status == "completed"
    async with AsyncOpenAI(base_url=url, api_key="two", max_retries=0) as stranger:
        with pytest.raises(openai.NotFoundError):
            await stranger.responses.retrieve(made.id)
        with pytest.raises(openai.NotFoundError):
            await ask(stranger, "And?", previous_response_id=made.id)


@pytest.mark.parametrize("verb", ["retrieve", "delete", "cancel"])
async def test_an_id_that_no_response_can_have_is_not_found(client: AsyncOpenAI, verb: str) -> None:
    with pytest.raises(openai.NotFoundError):
        await getattr(client.responses, verb)("resp_\x00")
