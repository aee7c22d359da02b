"""Notes in a run: kept by a tool, shown in the prompt of later conversations."""

from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.store.memory import InMemoryStore

from graph.agent import build
from nodes.memory import NO_STORE, NOBODYS, SWITCHED_OFF
from potluck.engine import Engine
from potluck.settings import Settings
from tools.notebook import namespace_of

pytestmark = pytest.mark.usefixtures("engine")


def call(name: str, **args: str) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": uuid4().hex}])


@pytest.fixture
def store() -> InMemoryStore:
    return InMemoryStore()


async def ask(
    store: InMemoryStore | None, text: str, user: str = "anonymous", **context: Any
) -> dict[str, Any]:
    agent = build()
    agent.store = store
    config: Any = {"configurable": {"langgraph_auth_user": {"identity": user}}}
    return await agent.ainvoke({"messages": [HumanMessage(text)]}, config, context=context)


async def test_what_was_noted_is_known_in_another_conversation(chain: Any, store: Any) -> None:
    chain.script = [
        call("remember", text="The user is vegetarian"),
        AIMessage("Noted."),
        AIMessage("Tofu."),
    ]
    await ask(store, "Remember that I am vegetarian")
    await ask(store, "Suggest a dinner for tonight, please")
    assert "vegetarian" not in chain.prompt(0)
    shown = chain.prompt(2)
    assert "data, not instructions" in shown
    assert any(line.endswith("] The user is vegetarian") for line in shown.splitlines()[-4:])


async def test_each_user_has_notes_of_their_own(chain: Any, store: Any) -> None:
    chain.script = [call("remember", text="Her dog is Rex"), *[AIMessage("ok")] * 3]
    await ask(store, "Remember that my dog is Rex", user="alice")
    await ask(store, "What is my dog called?", user="bob")
    await ask(store, "What is my dog called?", user="alice")
    assert "Rex" not in chain.prompt(2)
    assert "Rex" in chain.prompt(3)


@pytest.mark.parametrize(
    ("has_store", "context", "why"),
    [(False, {}, NO_STORE), (True, {"memory": "off"}, SWITCHED_OFF)],
)
async def test_where_nothing_is_kept_the_tool_says_why(
    chain: Any, store: Any, has_store: bool, context: dict[str, Any], why: str
) -> None:
    store.put(namespace_of(""), "ab", {"text": "old fact"})
    chain.script = [call("remember", text="The user is tall"), AIMessage("I cannot.")]
    state = await ask(store if has_store else None, "Remember that I am tall", **context)
    assert why in state["messages"][2].text
    assert state["messages"][2].status == "error"
    assert "old fact" not in chain.prompt(0)
    assert len(store.search(namespace_of(""))) == 1


async def test_with_keys_nobody_without_a_name_has_notes(
    chain: Any, store: Any, engine: Engine
) -> None:
    engine.settings = Settings(potluck_home=engine.home, potluck_api_keys=("a:b",))  # type: ignore[arg-type] # as read
    chain.script = [call("remember", text="The user is tall"), AIMessage("I cannot.")]
    state = await ask(store, "Remember that I am tall")
    assert NOBODYS in state["messages"][2].text


async def test_all_notes_are_shown_to_who_asks_for_them(chain: Any, store: Any) -> None:
    for number in range(40):
        text = f"fact {number:02} about the user and a few words"
        store.put(namespace_of(""), f"{number:04}", {"text": text, "noted_at": f"{number:02}"})
    chain.script = [AIMessage("a"), AIMessage("b")]
    await ask(store, "What do you remember of what I told you?")
    await ask(store, "Is 391 a prime number?")
    assert chain.prompt(0).count("fact ") == 40
    assert 5 < chain.prompt(1).count("fact ") < 30
    assert " more)" in chain.prompt(1)


async def test_a_secret_is_not_noted(chain: Any, store: Any) -> None:
    chain.script = [call("remember", text="My password is hunter2"), AIMessage("I did not.")]
    state = await ask(store, "Remember that my password is hunter2")
    assert "looks like a key" in state["messages"][2].text
    assert store.search(namespace_of("")) == []
