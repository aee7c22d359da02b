"""Chats whose client edits, repeats and goes back: what models see, what the thread keeps."""

import asyncio
import uuid
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import SyncLangGraphClient
from openai import AsyncOpenAI

from potluck.simulator.reply import Delay, Reply
from potluck.simulator.request import ToolCall
from tests.replies import answering

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

SLOW = Reply(text="word " * 400, delay=Delay(per_chunk_s=0.02))
Messages = list[dict[str, Any]]


@pytest.fixture
def server(quota_server: Any) -> Any:
    return quota_server


class Chat:
    """One chat; the test says which history its client shows."""

    def __init__(
        self, openai: AsyncOpenAI, langgraph: SyncLangGraphClient, server: Any, header: str
    ) -> None:
        self._openai = openai
        self._langgraph = langgraph
        self._server = server
        self.headers = {header: str(uuid.uuid4())}
        server.simulator.script.on(answering)
        self.thread_id = ""

    async def ask(self, *said: str, ids: tuple[str, str] | None = None, **more: Any) -> str:
        """The user and the assistant in turns; `ids` are those of this reply and the one before."""
        roles = ("user", "assistant")
        messages: Any = [{"role": roles[i % 2], "content": text} for i, text in enumerate(said)]
        return await self.send(messages, ids, **more)

    async def send(self, messages: Any, ids: tuple[str, str] | None = None, **more: Any) -> str:
        headers = dict(self.headers)
        if ids is not None:
            headers["X-OpenWebUI-Message-Id"], parent = ids
            headers["X-OpenWebUI-User-Message-Parent-Id"] = parent
        raw = await self._openai.chat.completions.with_raw_response.create(
            model="potluck", messages=messages, extra_headers=headers, **more
        )
        self.thread_id = raw.headers["x-potluck-thread-id"]
        return str(raw.parse().choices[0].message.content)

    def seen_by_model(self) -> list[str]:
        """What the last request to a model holds of the conversation."""
        request = self._server.simulator.log.requests()[-1]
        return [one.text for one in request.messages if one.role != "system"]

    def thread(self) -> list[str]:
        state: Any = self._langgraph.threads.get_state(self.thread_id)
        return [message["content"] for message in state["values"]["messages"]]

    def history(self) -> list[Any]:
        """Every checkpoint, the newest first."""
        found: Any = self._langgraph.threads.get_history(self.thread_id, limit=200)
        return list(found)

    def ends(self) -> list[list[str]]:
        """The conversation at the end of each branch, the newest first."""
        states = self.history()
        parents = {(one["parent_checkpoint"] or {}).get("checkpoint_id") for one in states}
        return [
            [message["content"] for message in one["values"]["messages"]]
            for one in states
            if one["checkpoint"]["checkpoint_id"] not in parents
        ]


@pytest.fixture
def chat(openai: AsyncOpenAI, langgraph: SyncLangGraphClient, server: Any) -> Chat:
    return Chat(openai, langgraph, server, "X-OpenWebUI-Chat-Id")


ONE = ("one", "Re: one")
TWO = (*ONE, "two", "Re: two")


async def grown(chat: Chat) -> None:
    await chat.ask("one")
    await chat.ask(*ONE, "two")
    await chat.ask(*TWO, "three")


async def test_an_edited_message_makes_a_branch_and_keeps_the_other(chat: Chat) -> None:
    await grown(chat)
    assert await chat.ask(*ONE, "zwei") == "Re: zwei"
    assert chat.seen_by_model() == [*ONE, "zwei"]
    assert chat.ends() == [[*ONE, "zwei", "Re: zwei"], [*TWO, "three", "Re: three"]]
    assert chat.thread() == [*ONE, "zwei", "Re: zwei"]


async def test_an_edited_first_message_begins_anew(chat: Chat) -> None:
    await grown(chat)
    await chat.ask("eins")
    assert chat.seen_by_model() == ["eins"]
    assert chat.ends() == [["eins", "Re: eins"], [*TWO, "three", "Re: three"]]


async def test_a_regenerated_answer_stands_beside_the_first(chat: Chat) -> None:
    await grown(chat)
    await chat.ask(*TWO, "three")
    assert chat.seen_by_model() == [*TWO, "three"]
    assert chat.ends() == [[*TWO, "three", "Re: three"]] * 2


async def test_two_branches_go_on_by_turns(chat: Chat) -> None:
    await grown(chat)
    edited = (*ONE, "zwei", "Re: zwei")
    await chat.ask(*edited[:-1])
    first = (*TWO, "three", "Re: three")
    await chat.ask(*first, "four")
    assert chat.seen_by_model() == [*first, "four"]
    await chat.ask(*edited, "drei")
    assert chat.seen_by_model() == [*edited, "drei"]
    await chat.ask(*first, "four", "Re: four", "five")
    assert chat.seen_by_model() == [*first, "four", "Re: four", "five"]
    assert sorted(map(len, chat.ends())) == [6, 10]


async def test_a_deleted_turn_is_gone_for_the_model_and_kept_in_the_past(chat: Chat) -> None:
    await grown(chat)
    await chat.ask(*ONE, "three", "Re: three", "four")
    assert chat.seen_by_model() == [*ONE, "three", "Re: three", "four"]
    assert [*TWO, "three", "Re: three"] in chat.ends()
    await chat.ask(*ONE, "three", "Re: three", "four", "Re: four", "five")
    assert chat.thread()[-4:] == ["four", "Re: four", "five", "Re: five"]


async def test_an_edited_answer_is_what_the_model_sees(chat: Chat) -> None:
    await grown(chat)
    await chat.ask("one", "I said this.", "two", "Re: two", "four")
    assert chat.seen_by_model() == ["one", "I said this.", "two", "Re: two", "four"]


async def test_an_answer_is_continued_and_the_chat_goes_on(chat: Chat) -> None:
    await chat.ask("one")
    more = await chat.ask("one", "Re: one")
    assert "Continue" in more
    await chat.ask("one", f"Re: one{more}", "two")
    assert chat.seen_by_model()[-1] == "two"
    assert len(chat.ends()) == 1


async def test_the_files_of_a_message_make_no_branch(chat: Chat) -> None:
    """Open WebUI sends what it found in files with the last message only."""
    with_files = "### Task:\nUse the context.\n<context>facts</context>\n\none"
    answer = await chat.ask(with_files, stream=False)
    await chat.ask("one", answer, "two")
    assert chat.seen_by_model() == [with_files, answer, "two"]
    assert len(chat.ends()) == 1


async def test_blocks_for_display_do_not_reach_the_model(chat: Chat) -> None:
    files = '<attached_files>\n<file type="file" id="f" url="f"/>\n</attached_files>\n\n'
    await chat.ask(f"{files}one")
    assert chat.seen_by_model() == ["one"]
    details = "<details type='reasoning'><summary>Thought</summary>hm</details>\n"
    await chat.ask(f"{files}one", f"{details}Re: one", "two")
    assert chat.seen_by_model() == [*ONE, "two"]
    assert len(chat.ends()) == 1


async def test_message_ids_tell_branches_apart_that_look_the_same(chat: Chat, server: Any) -> None:
    """Two answers that read alike, of which one came with a tool's result."""
    script = server.simulator.script
    script.clear()
    call = Reply.call("calculator", expression="6*7")
    script.on(call, Reply(text="42"), text="^six$", times=2)
    script.on(Reply(text="42"), text="^six$", times=1)
    script.on(answering)
    await chat.ask("six", ids=("a1", ""))
    await chat.ask("six", ids=("a2", ""))
    await chat.ask("six", "42", "next", ids=("b1", "a1"))
    assert len(chat.seen_by_model()) == 5
    await chat.ask("six", "42", "next", ids=("b2", "a2"))
    assert chat.seen_by_model() == ["six", "42", "next"]


async def test_the_workspace_is_the_same_on_every_branch(chat: Chat, server: Any) -> None:
    script = server.simulator.script
    script.clear()
    script.on(Reply.call("write_file", path="a.txt", text="kept"), Reply(text="Done."), text="save")
    script.on(Reply.call("read_file", path="a.txt"), Reply(text="Read."), text="show")
    script.on(answering)
    await chat.ask("one")
    await chat.ask(*ONE, "save it")
    assert await chat.ask(*ONE, "show it") == "Read."
    assert "kept" in chat.seen_by_model()[-1]


async def test_a_branch_goes_on_after_the_thread_was_used_elsewhere(
    chat: Chat, langgraph: SyncLangGraphClient
) -> None:
    await chat.ask("one")
    asked: Any = {"messages": [{"role": "user", "content": "from the terminal"}]}
    langgraph.runs.wait(chat.thread_id, "agent", input=asked)
    assert chat.thread() == [*ONE, "from the terminal", "Re: from the terminal"]
    await chat.ask(*ONE, "two")
    assert chat.seen_by_model() == [*ONE, "two"]
    assert [*ONE, "from the terminal", "Re: from the terminal"] in chat.ends()


async def test_who_sends_only_what_is_new_is_answered_with_the_whole_in_mind(
    openai: AsyncOpenAI, langgraph: SyncLangGraphClient, server: Any
) -> None:
    chat = Chat(openai, langgraph, server, "X-Chat-Id")
    for text in ("one", "two", "two"):
        assert await chat.ask(text) == f"Re: {text}"
    assert chat.thread() == [*TWO, "two", "Re: two"]
    assert chat.seen_by_model() == [*TWO, "two"]


async def test_who_has_sent_the_history_once_means_an_edit_by_a_lone_message(
    openai: AsyncOpenAI, langgraph: SyncLangGraphClient, server: Any
) -> None:
    chat = Chat(openai, langgraph, server, "X-Chat-Id")
    await chat.ask("one")
    await chat.ask(*ONE, "two")
    await chat.ask("eins")
    assert chat.seen_by_model() == ["eins"]


async def test_a_double_click_is_answered_twice_in_order(chat: Chat) -> None:
    await chat.ask("one")
    answers = await asyncio.gather(*(chat.ask(*ONE, "two") for _ in range(2)))
    assert answers == ["Re: two"] * 2
    assert chat.ends() == [[*TWO]] * 2
    await chat.ask(*TWO, "three")
    assert chat.seen_by_model() == [*TWO, "three"]


async def stopped(chat: Chat, server: Any, *said: str, when: str) -> None:
    """The client leaves when this has come."""
    url = f"{server.url}/v1/chat/completions"
    body = {"model": "potluck", "stream": True, "messages": _messages(*said)}
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream("POST", url, json=body, headers=chat.headers) as response,
    ):
        async for line in response.aiter_lines():
            if when in line:
                return
    raise AssertionError("it ended by itself")


async def test_after_a_stop_the_chat_goes_on_with_what_the_client_saw(
    chat: Chat, server: Any
) -> None:
    server.simulator.script.clear()
    server.simulator.script.on(SLOW, text="^two$")
    server.simulator.script.on(answering)
    await chat.ask("one")
    await stopped(chat, server, *ONE, "two", when="word")
    await chat.ask(*ONE, "two", "word word", "three")
    assert chat.seen_by_model() == [*ONE, "two", "word word", "three"]
    await chat.ask(*ONE, "two", "word word", "three", "Re: three", "four")
    assert chat.seen_by_model()[-3:] == ["three", "Re: three", "four"]


@pytest.mark.parametrize("partial", [(), ("Writing. word word",)], ids=["nothing said", "words"])
async def test_after_a_stop_the_model_knows_what_was_done(
    chat: Chat, server: Any, partial: tuple[str, ...]
) -> None:
    call = ToolCall("write_file", {"path": "a.txt", "text": "new"})
    server.simulator.script.clear()
    text = "Writing." if partial else ""
    server.simulator.script.on(Reply(text=text, tool_calls=(call,)), SLOW, text="^write$", times=2)
    server.simulator.script.on(answering)
    await stopped(chat, server, "write", when="word")
    said: list[dict[str, Any]] = [{"role": "user", "content": "write"}]
    said += [{"role": "assistant", "content": text} for text in partial]
    await chat.send([*said, {"role": "user", "content": "and?"}])
    seen = chat.seen_by_model()
    assert any("a.txt" in text and "rote" in text for text in seen[2:3]), seen
    assert seen[-1] == "and?"
    said += [{"role": "user", "content": "and?"}, {"role": "assistant", "content": "Re: and?"}]
    await chat.send([*said, {"role": "user", "content": "more"}])
    assert len(chat.seen_by_model()) == len(seen) + 2


def _messages(*said: str) -> Messages:
    return [{"role": ("user", "assistant")[i % 2], "content": t} for i, t in enumerate(said)]
