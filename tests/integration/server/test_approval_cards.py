"""Approvals as a card of Open WebUI: what is called, what may come back, and what really ran."""

import asyncio
import json
import uuid
from typing import Any

import pytest
from langgraph_sdk.client import SyncLangGraphClient
from openai import AsyncOpenAI

from potluck.simulator.reply import Reply
from potluck.simulator.request import ToolCall
from tests.conftest import PotluckServer
from tests.replies import answering, out_of_quota, write

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

# As Open WebUI makes it from its own function
ASK_USER: Any = {
    "type": "function",
    "function": {
        "name": "ask_user",
        "description": "Ask the user clarifying questions before continuing.",
        "parameters": {
            "type": "object",
            "properties": {
                "questions": {"type": "array", "items": {"type": "object"}},
                "allow_other": {"type": "boolean", "default": True},
                "timeout_ms": {"type": "integer", "default": 120000},
            },
            "required": ["questions"],
        },
    },
}
OTHER: Any = {"type": "function", "function": {"name": "search_notes", "parameters": {}}}
APPROVE = {"type": "option", "option_index": 0, "label": "Approve", "description": "Run it."}
REJECT = {"type": "option", "option_index": 1, "label": "Reject", "description": "Do not."}


@pytest.fixture
def server(asking_server: PotluckServer) -> PotluckServer:
    return asking_server


class Chat:
    """A chat of Open WebUI: the whole history with every turn, answered cards too."""

    def __init__(self, openai: AsyncOpenAI, server: PotluckServer) -> None:
        self._openai = openai
        self._server = server
        self.headers = {"X-OpenWebUI-Chat-Id": str(uuid.uuid4())}
        self.history: list[Any] = []
        self.thread_id = ""
        self.finish_reason = ""
        self.card: Any = None

    async def say(self, text: str, **more: Any) -> str:
        self.history.append({"role": "user", "content": text})
        return await self.send(**more)

    async def answer(self, content: Any) -> str:
        """Answer the card; whatever is no text is what Open WebUI makes of the answers."""
        if not isinstance(content, str):
            content = json.dumps({"status": "answered", "answers": content})
        result = {"role": "tool", "tool_call_id": self.card.id, "content": content}
        self.history.append(result)
        return await self.send()

    async def send(self, tools: Any = (OTHER, ASK_USER)) -> str:
        raw = await self._openai.chat.completions.with_raw_response.create(
            model="potluck", messages=self.history, extra_headers=self.headers, tools=tools
        )
        self.thread_id = raw.headers["x-potluck-thread-id"]
        choice = raw.parse().choices[0]
        self.finish_reason, message = choice.finish_reason, choice.message
        said: Any = {"role": "assistant", "content": message.content or ""}
        self.card = None
        if message.tool_calls:
            (self.card,) = message.tool_calls
            said["tool_calls"] = [self.card.model_dump()]
        self.history.append(said)
        return str(message.content)

    def drop_card(self) -> None:
        """Open WebUI sends no call that has no answer."""
        self.history[-1].pop("tool_calls", None)

    @property
    def questions(self) -> list[Any]:
        assert self.card.function.name == "ask_user"
        return list(json.loads(self.card.function.arguments)["questions"])

    def all_answered(self, answer: Any) -> dict[str, Any]:
        return {question["id"]: answer for question in self.questions}

    def files(self) -> dict[str, str]:
        folders = [path for path in self._server.home.rglob(self.thread_id) if path.is_dir()]
        found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        return {path.name: path.read_text() for path in found}


@pytest.fixture
def chat(openai: AsyncOpenAI, server: PotluckServer) -> Chat:
    return Chat(openai, server)


def scripted(server: PotluckServer, *calls: ToolCall, text: str = "") -> None:
    """The model makes these calls at once, and says `Done.` when they have results."""
    server.script.on(Reply(text=text, tool_calls=calls), Reply(text="Done."))
    server.script.on(answering)


def last_seen(server: PotluckServer) -> list[str]:
    """What the last request to the model holds of the conversation."""
    assert server.simulator is not None
    request = server.simulator.log.requests()[-1]
    return [one.text for one in request.messages if one.role != "system"]


async def test_the_card_is_one_call_in_the_clients_own_form(
    server: PotluckServer, chat: Chat
) -> None:
    scripted(server, write("a.txt"), text="Let me write it.")
    said = await chat.say("write a")
    assert said.startswith("Let me write it.\n\nI would like to run `write_file` with:")
    assert "Reply yes" not in said
    assert chat.finish_reason == "tool_calls"
    body = json.loads(chat.card.function.arguments)
    assert 60_000 <= body["timeout_ms"] <= 240_000
    (question,) = chat.questions
    assert "path: a.txt" in question["question"]
    assert [option["label"] for option in question["options"]] == ["Approve", "Reject"]
    assert all(option["description"] for option in question["options"])
    assert chat.files() == {}


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        ({"approve": APPROVE}, {"a.txt": "new"}),
        ({"approve": {"option_index": 0, "label": "Approve"}}, {"a.txt": "new"}),
        ({"approve": REJECT}, {}),
        ({"approve": {"option_index": 1, "label": "Approve"}}, {}),
        ({"other": APPROVE}, {}),
        ({}, {}),
        ('{"status": "cancelled", "answers": {}, "timed_out": true}', {}),
        ("Error: tool call rejected by user.", {}),
        ("approve", {}),
    ],
)
async def test_only_what_is_plainly_approved_runs(
    server: PotluckServer, chat: Chat, answer: Any, left: dict[str, str]
) -> None:
    scripted(server, write("a.txt"))
    await chat.say("write a")
    assert await chat.answer(answer) == "Done."
    assert chat.finish_reason == "stop"
    assert chat.files() == left


async def test_own_words_in_the_card_steer_the_model(server: PotluckServer, chat: Chat) -> None:
    scripted(server, write("a.txt"))
    await chat.say("write a")
    await chat.answer({"approve": {"type": "other", "text": "use b.txt instead"}})
    assert "use b.txt instead" in last_seen(server)[-1]
    assert chat.files() == {}


async def test_an_answered_card_is_no_edit(
    server: PotluckServer, chat: Chat, langgraph: SyncLangGraphClient
) -> None:
    scripted(server, write("a.txt"), text="Let me.")
    await chat.say("write a")
    await chat.answer(chat.all_answered(APPROVE))
    assert await chat.say("more") == "Re: more"
    assert await chat.say("even more") == "Re: even more"
    state: Any = langgraph.threads.get_state(chat.thread_id)
    kinds = [message["type"] for message in state["values"]["messages"]]
    assert kinds == ["human", "ai", "tool", "ai", "human", "ai", "human", "ai"]


async def test_going_back_behind_a_card_and_forth_again(server: PotluckServer, chat: Chat) -> None:
    scripted(server, write("a.txt"), text="Let me.")
    await chat.say("write a")
    await chat.answer(chat.all_answered(APPROVE))
    done = list(chat.history)
    chat.history = []
    await chat.say("something else")
    assert last_seen(server) == ["something else"]
    chat.history = done
    await chat.say("go on")
    assert [text[:7] for text in last_seen(server)] == [
        "write a", "Let me.", last_seen(server)[2][:7], "Done.", "go on"
    ]  # fmt: skip
    assert chat.files() == {"a.txt": "new"}


async def test_a_card_asks_about_three_calls_at_most_and_the_next_about_the_rest(
    server: PotluckServer, chat: Chat
) -> None:
    scripted(server, *(write(f"{name}.txt") for name in "abcd"), write("log.txt", "x", append=True))
    await chat.say("write all")
    first = chat.card.id
    assert len(chat.questions) == 3
    assert await chat.answer(chat.all_answered(APPROVE)) != "Done."
    assert chat.finish_reason == "tool_calls"
    assert chat.card.id != first
    assert "d.txt" in chat.questions[0]["question"]
    assert sorted(chat.files()) == ["a.txt", "b.txt", "c.txt", "log.txt"]
    assert await chat.answer(chat.all_answered(REJECT)) == "Done."
    assert chat.files() == {"a.txt": "new", "b.txt": "new", "c.txt": "new", "log.txt": "x"}


async def test_each_call_has_a_decision_of_its_own(server: PotluckServer, chat: Chat) -> None:
    scripted(server, write("a.txt"), write("b.txt"))
    await chat.say("write both")
    first, second = chat.questions
    await chat.answer({first["id"]: REJECT, second["id"]: APPROVE})
    assert chat.files() == {"b.txt": "new"}


async def test_after_an_answer_the_model_may_ask_for_more(
    server: PotluckServer, chat: Chat
) -> None:
    again = Reply(tool_calls=(write("b.txt"),))
    server.script.on(Reply(tool_calls=(write("a.txt"),)), again, Reply(text="Done."))
    await chat.say("write a and then b")
    await chat.answer(chat.all_answered(APPROVE))
    assert "b.txt" in chat.questions[0]["question"]
    assert await chat.answer(chat.all_answered(APPROVE)) == "Done."
    assert chat.files() == {"a.txt": "new", "b.txt": "new"}


async def test_a_turn_repeated_while_its_card_is_open_shows_the_same_card(
    server: PotluckServer, chat: Chat
) -> None:
    assert server.simulator is not None
    scripted(server, write("a.txt"))
    await chat.say("write a")
    first = chat.card.id
    chat.history.pop()
    await chat.send()
    assert chat.card.id == first
    assert len(server.simulator.log) == 1
    await chat.answer(chat.all_answered(APPROVE))
    assert chat.files() == {"a.txt": "new"}


async def test_a_message_in_place_of_an_answer_runs_nothing(
    server: PotluckServer, chat: Chat
) -> None:
    scripted(server, write("a.txt"))
    await chat.say("write a")
    chat.drop_card()
    assert await chat.say("what time is it?") == "Done."
    assert "what time is it?" in last_seen(server)[-1]
    assert chat.files() == {}


async def test_a_card_that_was_left_behind_runs_nothing_and_is_asked_anew(
    server: PotluckServer, chat: Chat
) -> None:
    again = Reply(tool_calls=(write("a.txt"),))
    server.script.on(again, text="^write a$", results=0)
    server.script.on(Reply(text="Done."), text="^write a$", results=1)
    server.script.on(Reply(text="Other."))
    await chat.say("write a")
    old_card, with_card = chat.card, list(chat.history)
    chat.history = []
    await chat.say("something else")
    chat.history, chat.card = with_card, old_card
    await chat.answer({"approve": APPROVE})
    assert chat.files() == {}
    assert chat.finish_reason == "tool_calls"
    assert chat.card.id != old_card.id
    assert await chat.answer(chat.all_answered(APPROVE)) == "Done."
    assert chat.files() == {"a.txt": "new"}


async def test_an_approval_under_an_edited_question_runs_nothing(
    server: PotluckServer, chat: Chat
) -> None:
    scripted(server, write("a.txt"))
    await chat.say("write a")
    chat.history[0] = {"role": "user", "content": "write nothing"}
    await chat.answer({"approve": APPROVE})
    assert chat.files() == {}


async def test_an_answer_that_is_sent_twice_runs_once(server: PotluckServer, chat: Chat) -> None:
    scripted(server, write("a.txt", "once ", append=True))
    await chat.say("write a")
    await chat.answer({"approve": APPROVE})
    chat.history.pop()
    assert await chat.send() == "Done."
    assert chat.files() == {"a.txt": "once "}


async def test_who_offers_no_such_tool_is_asked_in_words(server: PotluckServer, chat: Chat) -> None:
    scripted(server, write("a.txt"))
    assert "Reply yes" in await chat.say("write a", tools=(OTHER,))
    assert chat.finish_reason == "stop"
    assert chat.card is None


async def test_the_card_streams_by_the_rules_of_tool_calls(
    server: PotluckServer, openai: AsyncOpenAI
) -> None:
    scripted(server, write("a.txt"))
    stream = await openai.chat.completions.create(
        model="potluck",
        messages=[{"role": "user", "content": "write"}],
        tools=[ASK_USER],
        stream=True,
        extra_headers={"X-OpenWebUI-Chat-Id": str(uuid.uuid4())},
    )
    chunks = [chunk async for chunk in stream]
    choices: list[Any] = [choice for chunk in chunks for choice in chunk.choices]
    (call,) = [one for choice in choices for one in choice.delta.tool_calls or []]
    assert (call.index, call.type, call.function.name) == (0, "function", "ask_user")
    assert call.id
    assert len(json.loads(call.function.arguments)["questions"]) == 1
    assert [c.finish_reason for c in choices if c.finish_reason] == ["tool_calls"]


async def test_a_card_beside_a_parked_step_waits_for_both(
    server: PotluckServer, chat: Chat
) -> None:
    script = server.script
    script.on(Reply(tool_calls=(write("a.txt"),)), text="^write a$", results=0)
    script.on(out_of_quota(6), text="^write a$", results=1, times=1)
    script.on(Reply(text="Done."), text="^write a$", results=1)
    script.on(answering)
    await chat.say("write a")
    assert "goes on by itself" in await chat.answer(chat.all_answered(APPROVE))
    assert chat.files() == {"a.txt": "new"}
    await asyncio.sleep(8)
    assert await chat.say("and?") == "Done.\n\n---\n\nRe: and?"
