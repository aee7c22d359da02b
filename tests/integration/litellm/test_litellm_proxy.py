"""Clients of LiteLLM's proxy are served by Potluck: `pytest -n0 -m peers`."""

import json
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from potluck.simulator.reply import Delay, Reply

pytestmark = [pytest.mark.peers, pytest.mark.integration, pytest.mark.timeout(400)]

HANDLED = ["potluck", "potluck/potluck", "potluck/auto", "potluck/box/box"]
QUESTION: Any = [{"role": "user", "content": "Count to three"}]
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}},
    },
}


def streamed(client: OpenAI, model: str, **given: Any) -> list[Any]:
    options: Any = {"include_usage": True}
    stream = client.chat.completions.create(
        model=model, messages=QUESTION, stream=True, stream_options=options, **given
    )
    return list(stream)


def text_of(chunks: list[Any]) -> str:
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


@pytest.mark.parametrize("model", [*HANDLED, "potluck-plain"])
def test_a_turn_is_answered_whole(client: OpenAI, proxy: Any, model: str) -> None:
    proxy.script.on(Reply(text="one two three"))
    answer = client.chat.completions.create(model=model, messages=QUESTION)
    assert answer.choices[0].message.content == "one two three"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens > 0


@pytest.mark.parametrize("model", [*HANDLED, "potluck-plain"])
def test_a_turn_is_streamed_with_its_usage(client: OpenAI, proxy: Any, model: str) -> None:
    proxy.script.on(Reply(text="one two three"))
    chunks = streamed(client, model)
    assert text_of(chunks) == "one two three"
    assert len([c for c in chunks if c.choices and c.choices[0].delta.content]) >= 3
    endings = [c.choices[0].finish_reason for c in chunks if c.choices]
    assert [ending for ending in endings if ending] == ["stop"]
    (usage,) = [c.usage for c in chunks if c.usage]
    assert usage.prompt_tokens > 0
    assert usage.completion_tokens > 0


def test_the_agents_tools_work_unseen_and_its_steps_are_reasoning(
    client: OpenAI, proxy: Any
) -> None:
    proxy.script.on(Reply.call("calculator", expression="6*7"), Reply(text="It is 42."))
    chunks = streamed(client, "potluck")
    deltas = [c.choices[0].delta for c in chunks if c.choices]
    assert text_of(chunks) == "It is 42."
    assert not [delta for delta in deltas if delta.tool_calls]
    steps = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    assert "calculator" in steps


@pytest.mark.parametrize("stream", [False, True])
def test_a_clients_tools_reach_a_model_alone(client: OpenAI, proxy: Any, stream: bool) -> None:
    proxy.script.on(Reply.call("weather", town="Berlin"))
    model = "potluck/box/box"
    if stream:
        choices = [c.choices[0] for c in streamed(client, model, tools=[TOOL]) if c.choices]
        calls = [call for choice in choices for call in choice.delta.tool_calls or []]
        args = "".join(call.function.arguments for call in calls)
        (ending,) = [choice.finish_reason for choice in choices if choice.finish_reason]
    else:
        answer: Any = client.chat.completions.create(model=model, messages=QUESTION, tools=[TOOL])
        calls = answer.choices[0].message.tool_calls
        args, ending = calls[0].function.arguments, answer.choices[0].finish_reason
    called = (calls[0].function.name, json.loads(args), ending)
    assert called == ("weather", {"town": "Berlin"}, "tool_calls")


@pytest.mark.parametrize(
    ("model", "by_header"), [("potluck", False), ("potluck", True), ("potluck-plain", True)]
)
def test_several_turns_are_one_thread(
    client: OpenAI, proxy: Any, model: str, by_header: bool
) -> None:
    proxy.script.on(Reply(text="Noted."))
    name = str(uuid.uuid4())
    given: Any = (
        {"extra_headers": {"X-Chat-Id": name}}
        if by_header
        else {"extra_body": {"metadata": {"thread_id": name}}}
    )
    history: Any = [{"role": "user", "content": "My name is Ada"}]
    ids = set()
    for question in ("What is my name?", "And yours?", ""):
        raw = client.chat.completions.with_raw_response.create(
            model=model, messages=history, **given
        )
        said = raw.parse().choices[0].message.content
        ids.add(raw.headers["llm_provider-x-potluck-thread-id"])
        history += [{"role": "assistant", "content": said}, {"role": "user", "content": question}]
    (thread_id,) = ids
    messages = proxy.threads.threads.get_state(thread_id)["values"]["messages"]
    assert [message["type"] for message in messages] == ["human", "ai"] * 3
    assert len(proxy.threads.runs.list(thread_id)) == 3


def test_without_a_name_nothing_is_kept(client: OpenAI, proxy: Any) -> None:
    proxy.script.on(Reply(text="Noted."))
    raw = client.chat.completions.with_raw_response.create(model="potluck", messages=QUESTION)
    assert "llm_provider-x-potluck-thread-id" not in raw.headers


def test_two_people_with_the_same_name_for_a_thread_do_not_share_it(
    client: OpenAI, proxy: Any
) -> None:
    proxy.script.on(Reply(text="Noted."))
    body = {"metadata": {"thread_id": str(uuid.uuid4())}}
    ids = {
        client.chat.completions.with_raw_response.create(
            model="potluck", messages=QUESTION, user=user, extra_body=body
        ).headers["llm_provider-x-potluck-thread-id"]
        for user in ("ada", "bob", "ada")
    }
    assert len(ids) == 2


def test_an_unknown_model_is_a_404(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="GET /v1/models"):
        client.chat.completions.create(model="potluck/nobody/none", messages=QUESTION)


@pytest.mark.parametrize("model", ["potluck", "potluck-plain"])
def test_a_wrong_request_is_a_400_with_the_reason(client: OpenAI, model: str) -> None:
    with pytest.raises(openai.BadRequestError, match="Only one choice"):
        client.chat.completions.create(model=model, messages=QUESTION, n=2)


@pytest.mark.parametrize("stream", [False, True])
def test_used_up_quota_is_a_429_that_says_when(client: OpenAI, proxy: Any, stream: bool) -> None:
    proxy.script.on(Reply.failing("day_requests", retry_after_s=3600))
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="potluck/jar/jar", messages=QUESTION, stream=stream)
    assert "jar/jar: out of quota for the day until 20" in caught.value.message
    if not stream:
        # LiteLLM sends no headers with a refusal of a stream.
        wait_s = caught.value.response.headers["llm_provider-retry-after"]
        assert 3000 < int(wait_s) <= 3600
    # One model's refusal is not held against the others.
    proxy.script.clear()
    proxy.script.on(Reply(text="Still here."))
    answer = client.chat.completions.create(model="potluck/box/box", messages=QUESTION)
    assert answer.choices[0].message.content == "Still here."


@pytest.mark.parametrize("model", ["potluck", "potluck-plain"])
def test_a_client_that_leaves_a_stream_cancels_the_run(
    client: OpenAI, proxy: Any, model: str
) -> None:
    proxy.script.on(Reply(text="word " * 600, delay=Delay(per_chunk_s=0.05)))
    name = str(uuid.uuid4())
    stream = client.chat.completions.create(
        model=model, messages=QUESTION, stream=True, extra_headers={"X-Chat-Id": name}
    )
    next(iter(stream))
    stream.close()
    (thread,) = proxy.threads.threads.search(metadata={"chat_id": name})
    deadline = time.monotonic() + 10
    while (run := proxy.threads.runs.list(thread["thread_id"])[0])["status"] == "running":
        assert time.monotonic() < deadline, run
        time.sleep(0.1)
    assert run["status"] in {"interrupted", "cancelled", "error"}


def test_the_library_works_in_each_of_its_ways(proxy: Any) -> None:
    proxy.script.on(Reply(text="one two three"))
    here = Path(__file__).parent
    done = subprocess.run(
        [proxy.python, here / "library_calls.py", here.parents[2] / "integrations" / "litellm"],
        env=proxy.environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout.strip().splitlines()[-1])
    assert "GET /v1/models" in results.pop("refused")
    assert set(results) == {"sync", "sync stream", "async", "async stream", "again"}
    for way, result in results.items():
        assert result["text"] == "one two three", way
        assert result["tokens"] > 0, way
        assert result.get("pieces", 3) >= 3, way
