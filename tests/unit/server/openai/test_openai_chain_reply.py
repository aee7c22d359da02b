from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.runnables import Runnable, RunnableGenerator, RunnableLambda

from potluck.errors import ChainError, ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.chain import Call
from potluck.server.openai.chain_reply import call_of, chain_reply
from potluck.server.openai.deltas import Called, Delta, Finished, Said, Thought
from potluck.server.openai.request import ChatRequest

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


@dataclass
class FakeChain:
    """Answers every call with the same messages, streamed or whole."""

    answer: list[AIMessage]
    calls: list[Call] = field(default_factory=list)

    def runnable(self, call: Call) -> Runnable[Any, Any]:
        self.calls.append(call)
        if not isinstance(self.answer[0], AIMessageChunk):
            return RunnableLambda(self._whole)
        return RunnableGenerator(self._stream)  # type: ignore[arg-type]

    async def _whole(self, _: list[BaseMessage]) -> AIMessage:
        return self.answer[0]

    async def _stream(self, _: AsyncIterator[Any]) -> AsyncIterator[AIMessage]:
        for chunk in self.answer:
            yield chunk


def request(**changes: Any) -> ChatRequest:
    body = {"model": "auto", "messages": [{"role": "user", "content": "hi"}], **changes}
    return ChatRequest.model_validate(body)


async def deltas(*answer: AIMessage) -> list[Delta]:
    streamed = isinstance(answer[0], AIMessageChunk)
    chain: Any = FakeChain(list(answer))
    asked = request(stream=streamed)
    return [delta async for delta in chain_reply(asked, call_of(asked, None), chain=chain)]


def usage(given: int, made: int) -> Any:
    return {"input_tokens": given, "output_tokens": made, "total_tokens": given + made}


def chunk(index: int | None, call_id: str | None, name: str | None, args: str) -> AIMessageChunk:
    piece = tool_call_chunk(index=index, id=call_id, name=name, args=args)
    return AIMessageChunk("", tool_call_chunks=[piece])


async def test_streams_text_and_sums_the_usage() -> None:
    assert await deltas(
        AIMessageChunk("a", usage_metadata=usage(5, 1)),
        AIMessageChunk(""),
        AIMessageChunk("b", usage_metadata=usage(0, 2)),
    ) == [Said("a"), Said("b"), Finished("stop", 5, 3)]


async def test_a_whole_message_gives_the_same_deltas() -> None:
    call = {"name": "f", "args": {"x": "é"}, "id": "c", "type": "tool_call"}
    message = AIMessage("a", tool_calls=[call], usage_metadata=usage(5, 3))
    assert await deltas(message) == [
        Said("a"),
        Called(0, '{"x": "é"}', id="c", name="f"),
        Finished("tool_calls", 5, 3),
    ]


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("length", "length"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("STOP", "stop"),
        ("eos", "stop"),
    ],
)
async def test_says_why_it_stopped_in_openais_words(told: str, reason: str) -> None:
    last = AIMessageChunk("a", response_metadata={"finish_reason": told})
    assert (await deltas(last))[-1] == Finished(reason, 0, 0)  # type: ignore[arg-type]


async def test_shows_reasoning_in_either_form() -> None:
    found = await deltas(
        AIMessageChunk("", additional_kwargs={"reasoning_content": "one"}),
        AIMessageChunk([{"type": "thinking", "thinking": "two"}]),
        AIMessageChunk([{"type": "text", "text": "answer"}]),
    )
    assert found[:-1] == [Thought("one"), Thought("two"), Said("answer")]


async def test_pieces_of_numbered_calls_find_their_call() -> None:
    found = await deltas(
        chunk(0, "a", "f", ""),
        chunk(0, None, None, "{}"),
        chunk(1, "b", "g", "["),
        chunk(1, None, None, "]"),
    )
    assert found[:-1] == [
        Called(0, "", id="a", name="f"),
        Called(0, "{}"),
        Called(1, "[", id="b", name="g"),
        Called(1, "]"),
    ]


async def test_calls_told_apart_by_id_alone_are_numbered() -> None:
    found = await deltas(chunk(0, "a", "f", "{}"), chunk(0, "b", "g", "{}"))
    assert [(d.index, d.id) for d in found if isinstance(d, Called)] == [(0, "a"), (1, "b")]


async def test_an_id_in_every_piece_begins_no_new_call() -> None:
    found = await deltas(chunk(0, "a", "f", "{"), chunk(0, "a", None, "}"))
    assert found[:-1] == [Called(0, "{", id="a", name="f"), Called(0, "}")]


async def test_a_call_without_an_id_gets_one() -> None:
    first, second, _ = await deltas(chunk(None, None, "f", "{"), chunk(None, None, None, "}"))
    assert isinstance(first, Called)
    assert first.id is not None
    assert first.id.startswith("call_")
    assert second == Called(0, "}")


def test_parameters_and_tools_pass_through() -> None:
    asked = request(
        temperature=0.5,
        top_p=0.9,
        max_tokens=9,
        max_completion_tokens=7,
        stop=["x"],
        seed=3,
        response_format={"type": "json_object"},
        tools=[TOOL],
        tool_choice="required",
    )
    call = call_of(asked, "groq/m")
    assert call.params == {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 7,
        "stop": ["x"],
        "seed": 3,
        "response_format": {"type": "json_object"},
    }
    assert (list(call.tools), call.tool_choice, call.only) == ([TOOL], "any", "groq/m")


@pytest.mark.parametrize(
    ("choice", "meant"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ({"type": "function", "function": {"name": "f"}}, "f"),
        (None, None),
    ],
)
def test_tool_choice_in_the_chains_words(choice: Any, meant: str | None) -> None:
    assert call_of(request(tools=[TOOL], tool_choice=choice), None).tool_choice == meant


async def test_one_call_at_a_time_where_that_is_asked_for() -> None:
    calls: Any = [{"name": n, "args": {}, "id": n, "type": "tool_call"} for n in ("f", "g")]
    chain: Any = FakeChain([AIMessage("", tool_calls=calls)])
    asked = request(tools=[TOOL], parallel_tool_calls=False)
    found = [delta async for delta in chain_reply(asked, call_of(asked, None), chain=chain)]
    assert found == [Called(0, "{}", id="f", name="f"), Finished("tool_calls", 0, 0)]


def test_who_names_a_model_may_say_how_much_it_thinks() -> None:
    asked = request(reasoning_effort="low")
    assert call_of(asked, "groq/x").params == {"reasoning_effort": "low"}
    assert call_of(asked, None).params == {}


def test_empty_stops_are_none() -> None:
    assert call_of(request(stop=["", "END"]), None).params == {"stop": ["END"]}
    assert call_of(request(stop=""), None).params == {}


class SpentChain(FakeChain):
    """Has no quota for the first calls."""

    def __init__(self, *back_in_s: float | None, said: str = "") -> None:
        super().__init__([AIMessageChunk("answer")])
        self.back_in_s = list(back_in_s)
        self.said = said

    async def _stream(self, _: AsyncIterator[Any]) -> AsyncIterator[AIMessage]:
        if not self.back_in_s:
            yield self.answer[0]
            return
        if self.said:
            yield AIMessageChunk(self.said)
        back_in_s = self.back_in_s.pop(0)
        until = None if back_in_s is None else datetime.now(UTC) + timedelta(seconds=back_in_s)
        fault = ProviderFault(ErrorKind.DAY, ErrorScope.MODEL, "spent", until)
        raise ChainError([ProviderError("groq", "m", fault)])


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    seconds: list[int] = []

    async def sleep(duration_s: float) -> None:
        seconds.append(round(duration_s))

    monkeypatch.setattr("potluck.server.openai.chain_reply.asyncio.sleep", sleep)
    return seconds


async def waited(chain: Any) -> list[Delta]:
    asked = request(stream=True)
    reply = chain_reply(asked, call_of(asked, None), chain=chain, wait_limit_s=60)
    return [delta async for delta in reply]


async def test_waits_until_quota_is_back(slept: list[int]) -> None:
    assert (await waited(SpentChain(20, 0, 30)))[0] == Said("answer")
    assert slept == [20, 1, 30]


@pytest.mark.parametrize("chain", [SpentChain(61), SpentChain(40, 40), SpentChain(None)])
async def test_waits_no_longer_than_the_limit(slept: list[int], chain: SpentChain) -> None:
    with pytest.raises(ChainError):
        await waited(chain)
    assert sum(slept) <= 60


async def test_what_has_begun_is_not_begun_again(slept: list[int]) -> None:
    with pytest.raises(ChainError):
        await waited(SpentChain(5, said="half"))
    assert slept == []
