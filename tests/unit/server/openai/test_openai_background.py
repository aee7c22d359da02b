"""Background tasks: who is asked, on which terms, and that there always is an answer."""

import asyncio
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableLambda
from starlette.datastructures import Headers

from potluck.errors import ChainError, ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.chain import Call
from potluck.server.openai import background
from potluck.server.openai.background import Asker, background_reply
from potluck.server.openai.deltas import Accepted, Delta, Finished, Said
from potluck.server.openai.request import ChatRequest

PROMPT = (
    '### Task:\nA title: { "title": "..." }\n<chat_history>\nUSER: Hello there\n</chat_history>'
)


class Chain:
    """Answers once, or fails."""

    def __init__(self, answer: AIMessage | Exception, delay_s: float = 0.0) -> None:
        self.calls: list[Call] = []
        self._answer = answer
        self._delay_s = delay_s

    def runnable(self, call: Call) -> Runnable[Any, AIMessage]:
        self.calls.append(call)

        async def answer(_: object) -> AIMessage:
            await asyncio.sleep(self._delay_s)
            if isinstance(self._answer, Exception):
                raise self._answer
            return self._answer

        return RunnableLambda(answer)


def out(kind: ErrorKind) -> ChainError:
    return ChainError([ProviderError("p", "m", ProviderFault(kind, ErrorScope.MODEL, "no"))])


async def ask(chain: Any, prompt: str = PROMPT, task: str = "", **more: Any) -> list[Delta]:
    body = {"model": "potluck", "messages": [{"role": "user", "content": prompt}], **more}
    headers = Headers({"X-OpenWebUI-Task": task} if task else {})
    reply = background_reply(
        ChatRequest.model_validate(body),
        headers,
        chain=chain,
        asker=Asker("tenant"),
        wait_limit_s=0,
    )
    return [delta async for delta in reply]


async def test_a_model_answers_on_the_terms_of_background_work() -> None:
    usage: Any = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    chain = Chain(AIMessage('{"title": "Greeting"}', usage_metadata=usage))
    assert await ask(chain, max_tokens=4, tools=[], seed=1) == [
        Accepted(),
        Said('{"title": "Greeting"}'),
        Finished("stop", 7, 3),
    ]
    (call,) = chain.calls
    assert (call.priority, call.task_type, call.tenant) == ("background", "simple_task", "tenant")
    assert (call.tools, call.prefer, call.only, call.thread) == ((), None, None, None)
    assert call.most_wait_s is not None
    assert call.params["max_tokens"] >= 1000  # type: ignore[operator] # a number
    assert call.params["seed"] == 1


@pytest.mark.parametrize(
    "answer",
    [
        out(ErrorKind.DAY),
        out(ErrorKind.CALLER),
        out(ErrorKind.NETWORK),
        AIMessage("No LLM is connected.", response_metadata={"model_provider": "offline"}),
        AIMessage('{"name": "x"}'),
    ],
)
async def test_there_is_an_answer_whatever_happens(answer: AIMessage | Exception) -> None:
    found = await ask(Chain(answer))
    assert found[1] == Said('{"title": "Hello there"}')


async def test_nobody_waits_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "TIMEOUT_S", 0.01)
    found = await ask(Chain(AIMessage('{"title": "Late"}'), delay_s=5))
    assert found[1:] == [Said('{"title": "Hello there"}'), Finished("stop", 0, 0)]


async def test_a_client_that_leaves_ends_it() -> None:
    task = asyncio.create_task(ask(Chain(AIMessage("x"), delay_s=5)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_summary_is_asked_for_like_a_person_and_left_out_without_a_model() -> None:
    chain = Chain(AIMessage("They talked."))
    assert (await ask(chain, task="context_compaction"))[1] == Said("They talked.")
    assert chain.calls[0].priority == "interactive"
    assert (await ask(Chain(out(ErrorKind.DAY)), task="context_compaction"))[1] == Said("")


async def test_an_answer_that_people_read_fails_as_others_do() -> None:
    with pytest.raises(ChainError):
        await ask(Chain(out(ErrorKind.DAY)), prompt="Merge", task="moa_response_generation")
    found = await ask(Chain(AIMessage("Merged")), prompt="Merge", task="moa_response_generation")
    assert Said("Merged") in found
