"""When words for the user begin and when they are whole, beside the words themselves."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.runnables import Runnable, RunnableLambda

from graph.agent import graph
from tests.event_check import kinds_of

pytestmark = pytest.mark.usefixtures("engine")

REQUEST = "Count the apples and the pears on the list, compare both, then write a report on them."


class StreamingChain:
    """Stands in for the chain: a model that streams its words, or a reply that comes at once."""

    def __init__(self, *replies: AIMessage | str) -> None:
        self._replies = list(replies)

    def runnable(self, _: Any) -> Runnable[Any, AIMessage]:
        reply = self._replies.pop(0)
        if isinstance(reply, str):
            return GenericFakeChatModel(messages=iter([AIMessage(reply)]))

        async def answer(_: Any) -> AIMessage:
            return reply

        return RunnableLambda(answer)

    def models(self) -> Sequence[Any]:
        return []


def call(name: str, text: str = "", **args: Any) -> AIMessage:
    return AIMessage(text, tool_calls=[{"name": name, "args": args, "id": uuid4().hex}])


@pytest.fixture
def use(engine: Any) -> Any:
    def use(*replies: AIMessage | str) -> None:
        engine.chain = StreamingChain(*replies)

    return use


async def run(**context: Any) -> list[tuple[str, Any]]:
    """What the run streams: pieces of the answer and events, in their order."""
    parts: list[tuple[str, Any]] = []
    async for mode, part in graph.astream(
        {"messages": [HumanMessage(REQUEST)]},
        stream_mode=["messages", "custom"],
        context=context,
    ):
        if mode == "custom":
            parts.append((part["type"], part))
        elif part[1].get("audience") == "user" and isinstance(part[0], AIMessageChunk):
            parts.append(("word", part[0]))
    kinds_of(event for kind, event in parts if kind != "word")
    return parts


def answers(parts: list[tuple[str, Any]]) -> list[Any]:
    return [event for kind, event in parts if kind.startswith("answer_")]


async def test_every_word_comes_between_beginning_and_end(use: Any) -> None:
    use("one two three")
    parts = await run()
    kinds = [kind for kind, _ in parts]
    assert kinds[0] == "step"
    assert kinds[1] == "answer_begun"
    assert kinds[-1] == "answer_ended"
    assert set(kinds[2:-1]) == {"word"}
    ids = {part.id for kind, part in parts if kind == "word"}
    assert ids == {event["id"] for event in answers(parts)}


async def test_an_answer_that_is_not_streamed_is_told_as_well(use: Any) -> None:
    use(AIMessage("whole", response_metadata={"models": ["a/1", "b/2"]}))
    begun, ended = answers(await run())
    assert begun["id"] == ended["id"]
    assert ended["is_final"]
    assert ended["model"] == "b/2"


async def test_only_the_last_words_are_final(use: Any) -> None:
    use(
        call("calculator", expression="1+1"),
        "It is 2.",
    )
    assert [event.get("is_final") for event in answers(await run())] == [None, True]


async def test_the_agents_own_words_are_an_answer_with_an_id(use: Any) -> None:
    question = call("send_back", verdict="ask", reason="unclear", question="Which sum?")
    step = {"goal": "add up the apples", "kind": "think"}
    use(
        call("make_plan", why="x"),
        call("submit_plan", steps=[step, {**step, "goal": "add the pears"}]),
        call(
            "submit_results",
            results=[
                {"step": 1, "result": "Two apples are on the list."},
                {"step": 2, "result": "Three pears stand there as well."},
            ],
        ),
        question,
    )
    parts = await run()
    begun, ended = answers(parts)
    assert begun["id"] == ended["id"] != ""
    assert ended["is_final"]
    assert ended["model"] == ""
    assert [kind for kind, _ in parts][-3:] == ["verdict", "answer_begun", "answer_ended"]


async def test_calls_that_the_client_makes_end_the_run_as_its_answer(use: Any) -> None:
    use(call("look_up", text="I look it up.", word="tea"))
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
    parts = await run(client_tools=[tool])
    assert [event.get("is_final") for event in answers(parts)] == [None, True]
    assert "tool_call" not in [kind for kind, _ in parts]


async def test_a_run_that_fails_has_no_final_answer(engine: Any) -> None:
    class Failing:
        def runnable(self, _: Any) -> Any:
            def fail(_: Any) -> AIMessage:
                raise ValueError("broken")

            return RunnableLambda(fail)

        def models(self) -> Sequence[Any]:
            return []

    engine.chain = Failing()
    with pytest.raises(ValueError, match="broken"):
        await run()
