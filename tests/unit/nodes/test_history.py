"""The history that models get: the beginning summed up once, and kept with the thread."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph

from graph.agent import build
from graph.state import Recap
from nodes.fitting import is_recap
from nodes.history import History, history_for, recapped
from nodes.sizes import tokens_in
from potluck.engine import Engine
from potluck.errors import ChainError
from potluck.providers.chain import Call

pytestmark = pytest.mark.usefixtures("engine")

ROOM = 5_600
"""What a model with a context of 8,192 has left beside the tools and its answer."""
SUMMARY = "Decided: the code word is heron."


class Model:
    """Answers, sums up, and counts."""

    def __init__(self, *, has_quota: bool = True) -> None:
        self.summaries = 0
        self.answers = 0
        self.seen: list[list[BaseMessage]] = []
        self.records: list[str] = []
        self.has_quota = has_quota

    def __call__(self, call: Call, messages: list[BaseMessage]) -> AIMessage:
        if "shorten the record" in messages[0].text:
            assert call.priority == "background"
            assert call.most_wait_s == 0
            if not self.has_quota:
                raise ChainError(())
            self.summaries += 1
            self.records.append(messages[1].text)
            return AIMessage(f"{SUMMARY} ({self.summaries})")
        self.answers += 1
        self.seen.append(messages)
        assert call.fit is not None
        return AIMessage("Fine, noted. " * 6)


@dataclass
class Conversation:
    """Turns of one thread, each with the history that a model would get for it."""

    said_chars: int = 220
    model: Model = field(default_factory=Model)
    state: dict[str, Any] = field(default_factory=lambda: {"messages": []})
    shown: list[list[Any]] = field(default_factory=list)
    updates: list[History] = field(default_factory=list)

    async def turn(self, number: int) -> None:
        messages = self.state["messages"]
        text = f"Tell me more about thing {number}, as I said in part{number % 7}.md. "
        messages.append(HumanMessage(text.ljust(self.said_chars, "x"), id=f"h{number}"))
        history = await history_for(self.state, None, task_type="general", tools=())  # type: ignore[arg-type] # a part of it
        self.updates.append(history)
        self.shown.append(history.messages)
        self.state |= history.update
        messages.append(AIMessage("Fine, noted. ".ljust(self.said_chars, "y"), id=f"a{number}"))


async def talk(chain: Any, conversation: Conversation, turns: int) -> None:
    """Let the turns happen within a run of a thread that is kept."""
    chain.room_tokens = ROOM
    chain.script = [conversation.model] * turns

    async def simulate(_: dict[str, Any]) -> dict[str, Any]:
        for number in range(turns):
            await conversation.turn(number)
        return {}

    builder = StateGraph(dict)
    builder.add_node("simulate", simulate)
    builder.add_edge(START, "simulate")
    graph = builder.compile(checkpointer=InMemorySaver())
    await graph.ainvoke({}, {"configurable": {"thread_id": "t"}})


@pytest.mark.parametrize(("said_chars", "most"), [(100, 4), (220, 8), (400, 15)])
async def test_two_hundred_turns_fit_a_small_model_for_few_more_calls(
    chain: Any, said_chars: int, most: int
) -> None:
    conversation = Conversation(said_chars)

    await talk(chain, conversation, 200)

    assert 1 <= conversation.model.summaries <= most
    assert max(map(tokens_in, conversation.shown)) <= ROOM
    messages, last = conversation.state["messages"], conversation.shown[-1]
    assert len(messages) == 400
    recap = last[0].text
    assert is_recap(last[0])
    assert f"{SUMMARY} ({conversation.model.summaries})" in recap
    assert "part3.md" in recap
    assert last[1:] == messages[-len(last) : -1]


async def test_a_summary_is_made_once_and_is_told_with_its_cost(chain: Any) -> None:
    conversation = Conversation()
    await talk(chain, conversation, 60)
    made = [history for history in conversation.updates if history.update]
    assert len(made) == conversation.model.summaries == sum(len(h.replies) for h in made)
    first = conversation.updates.index(made[0])
    assert first > 20
    assert is_recap(conversation.shown[first + 1][0])
    assert not conversation.updates[first + 1].replies


async def test_without_quota_for_a_summary_the_conversation_goes_on_whole(chain: Any) -> None:
    conversation = Conversation(model=Model(has_quota=False))
    await talk(chain, conversation, 60)
    assert "recap" not in conversation.state
    # It is cut by rule when a model is asked
    assert tokens_in(conversation.shown[-1]) > ROOM


async def test_a_new_summary_carries_over_the_one_before(chain: Any) -> None:
    conversation = Conversation(400)
    await talk(chain, conversation, 80)
    assert conversation.model.summaries >= 2
    assert f"{SUMMARY} (1)" in conversation.model.records[1]


async def test_a_run_keeps_the_recap_in_its_state_and_counts_the_call(chain: Any) -> None:
    chain.room_tokens = ROOM
    model = Model()
    chain.script = [model] * 2
    messages = [m for n in range(120) for m in (HumanMessage(f"q{n} " * 40), AIMessage("a"))]
    agent = build()
    agent.checkpointer = InMemorySaver()
    state = await agent.ainvoke(
        {"messages": [*messages, HumanMessage("Write a poem about the sea, please.")]},
        {"configurable": {"thread_id": "t"}},
    )
    assert state["recap"]["text"].startswith(SUMMARY)
    assert state["usage"]["calls"] == 2
    assert len(state["messages"]) == 242
    assert tokens_in(model.seen[0]) <= ROOM


async def test_of_a_thread_that_is_not_kept_nothing_is_summed_up(chain: Any) -> None:
    chain.room_tokens = ROOM
    model = Model()
    chain.script = [model]
    messages = [m for n in range(200) for m in (HumanMessage(f"q{n} " * 40), AIMessage("a"))]
    await build().ainvoke({"messages": [*messages, HumanMessage("and?")]})
    assert (model.answers, model.summaries) == (1, 0)


async def test_the_call_shortens_by_rule_for_a_model_that_is_smaller(
    chain: Any, engine: Engine
) -> None:
    shortened: list[list[BaseMessage]] = []

    async def answer(call: Call, messages: list[BaseMessage]) -> AIMessage:
        assert call.fit is not None
        shortened.append(await call.fit(messages, 800))
        return AIMessage("ok")

    class Fitting:
        def room(self, call: Call) -> int | None:  # noqa: ARG002 # the chain's
            return None

        def runnable(self, call: Call) -> Any:
            async def run(messages: list[BaseMessage]) -> AIMessage:
                return await answer(call, messages)

            return RunnableLambda(run)

        def models(self) -> list[Any]:
            return []

    engine.chain = Fitting()  # type: ignore[assignment] # stands in
    messages = [m for n in range(50) for m in (HumanMessage(f"q{n} " * 40), AIMessage("a " * 60))]
    await build().ainvoke({"messages": [*messages, HumanMessage("and?")]})
    assert tokens_in(shortened[0]) <= 800
    assert shortened[0][-1].text == "and?"


def test_a_recap_of_other_messages_is_left_out() -> None:
    messages: list[Any] = [HumanMessage("a", id="1"), AIMessage("b", id="2")]
    assert recapped(messages, Recap(text="x", through="9")) == messages
    assert recapped(messages, None) == messages
    made = recapped([*messages, HumanMessage("c", id="3")], Recap(text="x", through="2"))
    assert [is_recap(message) for message in made] == [True, False]
