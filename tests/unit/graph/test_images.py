"""Images in a conversation: who is asked, and what plans and tools make of them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from graph.agent import build, graph
from nodes.sight import LEFT_OUT, images_in
from potluck.errors import ChainError, ErrorKind, ErrorScope, ProviderError, ProviderFault

pytestmark = pytest.mark.usefixtures("engine")

IMAGE: dict[str, object] = {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}}


def asked(text: str, *images: dict[str, object]) -> HumanMessage:
    return HumanMessage([{"type": "text", "text": text}, *images])


def call(name: str, **args: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": uuid4().hex}])


def out_of_quota(*_: object) -> AIMessage:
    fault = ProviderFault(
        ErrorKind.DAY, ErrorScope.MODEL, "spent", until=datetime(2026, 11, 22, tzinfo=UTC)
    )
    raise ChainError([ProviderError("gemini", "sees", fault)])


def shown(messages: list[BaseMessage]) -> int:
    return sum(len(images_in(message)) for message in messages)  # type: ignore[arg-type] # AnyMessage


async def test_an_image_wants_a_model_that_sees_in_every_round(chain: Any) -> None:
    chain.script = [call("calculator", expression="1+1"), AIMessage("A cat.")]
    await graph.ainvoke({"messages": [asked("what is it?", IMAGE)]})
    assert [one.vision for one, _ in chain.calls] == [True, True]
    assert [shown(messages) for _, messages in chain.calls] == [1, 1]


async def test_words_alone_do_not(chain: Any) -> None:
    chain.script = [AIMessage("Hello!")]
    await graph.ainvoke({"messages": [asked("hi")]})
    assert not chain.calls[0][0].vision


async def test_an_image_of_long_ago_is_a_note(chain: Any) -> None:
    chain.script = [AIMessage("Hello!")]
    later = [one for n in range(3) for one in (AIMessage(f"answer {n}"), HumanMessage(f"ask {n}"))]
    await graph.ainvoke({"messages": [asked("what is it?", IMAGE), *later]})
    used, messages = chain.calls[0]
    assert not used.vision
    assert LEFT_OUT in messages[1].text


async def test_an_earlier_image_is_no_reason_to_wait_for_quota(chain: Any) -> None:
    chain.script = [out_of_quota, AIMessage("You are welcome.")]
    history = [asked("what is it?", IMAGE), AIMessage("A cat."), HumanMessage("thanks")]
    state = await graph.ainvoke({"messages": history})
    assert [one.vision for one, _ in chain.calls] == [True, False]
    assert state["messages"][-1].text == "You are welcome."


async def test_a_new_image_is(chain: Any) -> None:
    chain.script = [out_of_quota]
    with pytest.raises(ChainError):
        await graph.ainvoke({"messages": [asked("what is it?", IMAGE)]})
    assert len(chain.calls) == 1


async def test_the_steps_of_a_plan_see_the_image(chain: Any) -> None:
    def step(number: int) -> Callable[..., AIMessage]:
        return lambda *_: AIMessage(f"result {number}")

    steps = [{"goal": f"look at part {n}", "kind": "think"} for n in (1, 2)]
    chain.script = [
        call("make_plan", why="two parts"),
        call("submit_plan", steps=steps),
        step(1),
        step(2),
        AIMessage("Both are cats."),
        AIMessage("Both are cats."),
    ]
    await build().ainvoke({"messages": [asked("compare the two halves", IMAGE)]})
    works = [
        (used, messages)
        for used, messages in chain.calls
        if not isinstance(messages[1], SystemMessage) and "only this" in messages[1].text
    ]
    assert [shown(messages) for _, messages in works] == [1, 1]
    assert all(used.vision for used, _ in works)
