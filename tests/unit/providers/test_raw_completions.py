import json
from collections.abc import Mapping
from typing import Any

import httpx2
import openai
import pytest
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI

from potluck.providers.raw_completions import RawCompletions

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


class Upstream:
    """Answers as an OpenAI-compatible server, and keeps what it was sent."""

    def __init__(self, status: int = 200, body: object = None, events: tuple[object, ...] = ()):
        self.status, self.body, self.events = status, body, events
        self.asked: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        if self.events:
            text = "".join(f"data: {json.dumps(event)}\n\n" for event in self.events)
            headers = {"content-type": "text/event-stream"}
            return httpx2.Response(200, text=f"{text}data: [DONE]\n\n", headers=headers)
        return httpx2.Response(self.status, json=self.body)

    @property
    def sent(self) -> Mapping[str, Any]:
        return json.loads(self.asked[-1].content)


def model_at(upstream: Upstream) -> ChatOpenAI:
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(upstream))
    model = ChatOpenAI(
        model="box", base_url="http://box/v1", api_key="k", max_retries=0, stream_usage=True,
        http_async_client=http, extra_body={"max_tokens": 9},
    )  # fmt: skip
    model.async_client = RawCompletions(model.root_async_client, openai.AsyncStream[object])
    return model


def answer(text: str) -> dict[str, object]:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    return {"id": "1", "model": "box", "choices": [choice], "usage": USAGE}


def chunk(delta: dict[str, object], ending: str | None = None) -> dict[str, object]:
    return {
        "id": "1", "model": "box",
        "choices": [{"index": 0, "delta": delta, "finish_reason": ending}],
    }  # fmt: skip


async def test_a_whole_answer_comes_as_langchain_gives_it() -> None:
    upstream = Upstream(body=answer("hello"))
    message = await model_at(upstream).ainvoke([HumanMessage("hi")], temperature=0.5)
    assert message.content == "hello"
    assert message.usage_metadata is not None
    assert message.usage_metadata["total_tokens"] == 5
    assert message.response_metadata["finish_reason"] == "stop"
    assert upstream.asked[-1].url == "http://box/v1/chat/completions"
    assert upstream.asked[-1].headers["authorization"] == "Bearer k"


async def test_the_request_holds_all_parameters_and_the_extra_body() -> None:
    upstream = Upstream(body=answer("hello"))
    await model_at(upstream).ainvoke([HumanMessage("hi")], temperature=0.5, stop=["END"])
    assert upstream.sent == {
        "messages": [{"role": "user", "content": "hi"}], "model": "box", "temperature": 0.5,
        "stop": ["END"], "stream": False, "max_tokens": 9,
    }  # fmt: skip


async def test_a_stream_comes_as_langchain_gives_it() -> None:
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
    events = (
        chunk({"role": "assistant", "content": ""}), chunk({"content": "hel"}),
        chunk({"content": "lo"}), chunk({"tool_calls": [call]}), chunk({}, "tool_calls"),
        {"id": "1", "model": "box", "choices": [], "usage": USAGE},
    )  # fmt: skip
    upstream = Upstream(events=events)
    chunks = [one async for one in model_at(upstream).astream([HumanMessage("hi")])]
    whole = chunks[0]
    for one in chunks[1:]:
        whole += one
    assert whole.content == "hello"
    assert whole.tool_calls[0]["name"] == "f"
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["total_tokens"] == 5
    assert upstream.sent["stream"] is True
    assert upstream.sent["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, openai.AuthenticationError), (429, openai.RateLimitError), (503, openai.APIError)],
)
async def test_what_the_server_refuses_is_the_sdks_own_error(
    status: int, kind: type[openai.APIError]
) -> None:
    upstream = Upstream(status, {"error": {"message": "no", "code": "c"}})
    with pytest.raises(kind, match="no") as caught:
        await model_at(upstream).ainvoke("hi")
    assert isinstance(caught.value, openai.APIStatusError)
    assert caught.value.response.status_code == status
    assert caught.value.body == {"message": "no", "code": "c"}


async def test_an_error_within_a_stream_is_raised() -> None:
    upstream = Upstream(events=(chunk({"content": "hel"}), {"error": {"message": "broke"}}))
    seen = []
    with pytest.raises(openai.APIError, match="broke"):  # noqa: PT012 - the chunks before count
        async for one in model_at(upstream).astream("hi"):
            seen.append(one.content)  # noqa: PERF401 - a comprehension would lose them
    assert seen == ["hel"]
