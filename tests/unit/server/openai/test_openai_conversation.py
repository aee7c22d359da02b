from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
from langgraph_sdk.errors import NotFoundError
from pydantic import TypeAdapter

from potluck.server.approvals import Approval, approved, rejected
from potluck.server.openai.approval_card import card_id
from potluck.server.openai.caller import Chat
from potluck.server.openai.catching_up import KEY, Shown, note_of
from potluck.server.openai.conversation import REMOVE_ALL, opening_for
from potluck.server.openai.forks import ASKED as ASKED_MARK
from potluck.server.openai.forks import REPLY, SEEN, WITH_HISTORY, marks_of
from potluck.server.openai.opening import Opening
from potluck.server.openai.request import Message
from potluck.server.openai.transcript import CONTINUE
from potluck.server.turn import RunError

CHAT = Chat(name="chat", model="potluck")
THREAD = [
    {"type": "human", "content": "one"},
    {"type": "ai", "content": "first answer"},
]


@dataclass
class FakeThreads:
    """The threads API with at most one thread."""

    messages: list[dict[str, Any]] | None = None
    calls: list[str] = field(default_factory=list)
    metadata: Any = None
    status: str = "idle"
    interrupts: list[dict[str, Any]] = field(default_factory=list)
    past: list[dict[str, Any]] = field(default_factory=list)
    """All states, the newest first."""
    marks: dict[str, Any] = field(default_factory=dict)

    async def get_history(
        self, thread_id: str, *, limit: int = 10, metadata: Mapping[str, Any] | None = None
    ) -> Any:
        self.calls.append("get_history")
        assert thread_id == CHAT.thread_id
        wanted = (metadata or {}).items()
        return [state for state in self.past if wanted <= state["metadata"].items()][:limit]

    async def get(self, thread_id: str) -> Any:
        self.calls.append("get")
        assert thread_id == CHAT.thread_id
        return {"metadata": self.metadata, "status": self.status}

    async def create(
        self, *, metadata: Any = None, thread_id: str | None = None, if_exists: Any = None
    ) -> Any:
        self.calls.append("create")
        assert if_exists == "do_nothing"
        assert thread_id == CHAT.thread_id
        if self.messages is None:
            self.metadata = metadata
        return {"created_at": "1", "updated_at": "1" if self.messages is None else "2"}

    async def get_state(self, thread_id: str) -> Any:
        self.calls.append("get_state")
        assert thread_id == CHAT.thread_id
        if self.messages is None:
            answer = httpx.Response(404, request=httpx.Request("GET", "http://test"))
            raise NotFoundError("no such thread", response=answer, body=None)
        return {
            "values": {"messages": self.messages},
            "interrupts": self.interrupts,
            "metadata": self.marks,
        }


def messages(*texts: str) -> list[Message]:
    """The user and the assistant in turns."""
    roles = ["user", "assistant"]
    said = [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]
    return TypeAdapter(list[Message]).validate_python(said)


def texts(sent: Any) -> list[str]:
    return [message["content"] for message in sent]


async def input_for(threads: Any, chat: Chat | None, said: list[Message]) -> Any:
    return (await opening_for(threads, chat, said)).messages


async def test_without_a_chat_everything_is_sent_and_nothing_asked() -> None:
    threads = FakeThreads()
    sent = await input_for(threads, None, messages("one", "answer", "two"))
    assert texts(sent) == ["one", "answer", "two"]
    assert threads.calls == []


async def test_the_first_turn_makes_the_thread_in_one_round_trip() -> None:
    threads = FakeThreads()
    assert texts(await input_for(threads, CHAT, messages("one"))) == ["one"]
    assert threads.calls == ["create"]
    assert threads.metadata == {"source": "openai", "chat_id": "chat", "model": "potluck"}


async def test_the_next_turn_sends_only_what_is_new_in_one_round_trip() -> None:
    threads = FakeThreads(THREAD)
    assert texts(await input_for(threads, CHAT, messages("one", "first answer", "two"))) == ["two"]
    assert threads.calls == ["get_state"]


@pytest.mark.parametrize(
    "said",
    [
        ["one edited"],
        ["one"],
        ["one", "edited answer", "two"],
        ["one", "first answer", "two", "second answer", "three"],
    ],
)
async def test_another_history_that_no_run_has_left_marks_of_takes_the_place_of_the_threads(
    said: list[str],
) -> None:
    sent = await input_for(FakeThreads(THREAD), CHAT, messages(*said))
    assert sent[0] == REMOVE_ALL
    assert texts(sent[1:]) == said


async def test_a_history_that_no_thread_knows_is_sent_whole() -> None:
    threads = FakeThreads()
    sent = await input_for(threads, CHAT, messages("one", "first answer", "two"))
    assert texts(sent) == ["one", "first answer", "two"]
    assert threads.calls == ["get_state", "create"]


async def test_tool_traffic_of_the_request_is_kept_and_nothing_else_added() -> None:
    arguments = {"name": "f", "arguments": '{"x": 1}'}
    said = TypeAdapter(list[Message]).validate_python(
        [
            {"role": "user", "content": "one"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "function", "function": arguments}],
            },
            {"role": "tool", "tool_call_id": "c", "content": "r"},
        ]
    )
    call = {"name": "f", "args": {"x": 1}, "id": "c", "type": "tool_call"}
    assert await input_for(FakeThreads(), None, said) == [
        {"type": "human", "content": "one"},
        {"type": "ai", "content": "", "tool_calls": [call]},
        {"type": "tool", "content": "r", "tool_call_id": "c"},
    ]


async def test_an_unfinished_answer_is_to_be_continued() -> None:
    sent = await input_for(FakeThreads(THREAD), CHAT, messages("one", "first ans"))
    assert sent[0] == REMOVE_ALL
    assert texts(sent[1:]) == ["one", "first ans", CONTINUE]


async def test_says_when_the_server_cannot_be_reached() -> None:
    class Down(FakeThreads):
        async def get_state(self, thread_id: str) -> Any:
            raise httpx.ConnectError(thread_id)

    with pytest.raises(RunError) as caught:
        await input_for(Down(), CHAT, messages("one", "answer", "two"))
    assert caught.value.status == 503


NOTICE = "The quota of every model is used up. The work goes on by itself in 5 min."
ASKED = {"type": "human", "id": "h1", "content": "one"}
LATE = {"type": "ai", "id": "a1", "content": "late answer"}


def noticed(*thread: dict[str, Any], status: str = "idle") -> FakeThreads:
    """A thread whose client was told, after its first question, that the answer comes later."""
    shown = Shown.of(messages("one"), NOTICE, [ASKED])
    kept = {"source": "openai", **note_of([shown])}
    return FakeThreads(list(thread), metadata=kept, status=status)


async def test_a_notice_is_no_edit_and_the_answer_that_came_since_is_told() -> None:
    opening = await opening_for(noticed(ASKED, LATE), CHAT, messages("one", NOTICE, "two"))
    assert texts(opening.messages) == ["two"]
    assert opening.unseen == "late answer"
    assert opening.is_apart


def waiting(status: str = "interrupted") -> FakeThreads:
    """A thread that waits for approval, of which the client was told in these words."""
    threads = noticed(ASKED, status=status)
    request = {"name": "shell", "args": {}, "description": ""}
    parked = {"id": "p1", "value": {"type": "parked", "resume_at": "2026-11-21T00:00:00+00:00"}}
    threads.interrupts = [{"id": "i1", "value": {"action_requests": [request]}}, parked]
    return threads


@pytest.mark.parametrize(
    ("said", "answer"), [("yes", approved()), ("no", rejected()), ("why?", rejected("why?"))]
)
async def test_a_message_where_something_waits_for_approval_is_the_answer_to_that(
    said: str, answer: object
) -> None:
    opening = await opening_for(waiting(), CHAT, messages("one", NOTICE, said))
    assert opening == Opening([], is_apart=True, decisions={"i1": answer}, marks=opening.marks)


async def test_a_run_at_work_has_got_its_answers_already() -> None:
    opening = await opening_for(waiting("busy"), CHAT, messages("one", NOTICE, "yes"))
    assert opening.decisions == {}
    assert opening.is_busy


async def test_yes_under_another_history_approves_nothing() -> None:
    opening = await opening_for(waiting(), CHAT, messages("other", NOTICE, "yes"))
    assert opening.decisions == {}
    assert opening.messages[0] == REMOVE_ALL


async def test_a_message_to_a_parked_thread_comes_behind_its_question() -> None:
    threads = noticed(ASKED, status="interrupted")
    opening = await opening_for(threads, CHAT, messages("one", NOTICE, "two"))
    assert texts(opening.messages) == ["two"]
    assert opening.unseen == ""


async def test_work_that_is_going_on_by_now_is_waited_for() -> None:
    threads = noticed(ASKED, status="busy")
    opening = await opening_for(threads, CHAT, messages("one", NOTICE, "two"))
    assert opening.is_busy
    assert texts(opening.messages) == ["two"]


@pytest.mark.parametrize(
    ("thread", "status", "expected"),
    [
        ((ASKED, LATE), "idle", Opening([], "late answer", is_apart=True)),
        ((ASKED,), "interrupted", Opening([], is_busy=True, is_apart=True)),
    ],
)
async def test_the_same_question_again_is_not_asked_twice(
    thread: Any, status: str, expected: Opening
) -> None:
    assert await opening_for(noticed(*thread, status=status), CHAT, messages("one")) == expected


async def test_an_edited_question_is_an_edit_after_a_notice_too() -> None:
    opening = await opening_for(noticed(ASKED, LATE), CHAT, messages("one edited"))
    assert opening.messages[0] == REMOVE_ALL
    assert opening.unseen == ""


@pytest.mark.parametrize("kept", [None, {}, {KEY: "odd"}, {KEY: ["odd", {"odd": 1}]}])
async def test_odd_marks_on_a_thread_are_as_good_as_none(kept: Any) -> None:
    threads = FakeThreads([ASKED, LATE], metadata=kept)
    sent = await input_for(threads, CHAT, messages("one", NOTICE, "two"))
    assert sent[0] == REMOVE_ALL


def past(
    checkpoint_id: str, parent_id: str, marks: Mapping[str, Any], *held: dict[str, Any]
) -> dict[str, Any]:
    """A state of the thread's past."""
    return {
        "checkpoint": {"checkpoint_id": checkpoint_id},
        "parent_checkpoint": {"checkpoint_id": parent_id} if parent_id else None,
        "metadata": dict(marks),
        "values": {"messages": list(held)},
    }


def begun(checkpoint_id: str, parent_id: str, *said: str, step: int = 5) -> dict[str, Any]:
    """Where a run began for the last of these messages."""
    asked = messages(*said)
    marks = marks_of(CHAT, asked, asked[:-1])
    return past(checkpoint_id, parent_id, marks | {"source": "input", "step": step})


async def test_an_edit_goes_on_from_where_the_first_version_began() -> None:
    threads = FakeThreads(THREAD, past=[begun("c5", "c4", "one", "first answer", "two")])
    opening = await opening_for(threads, CHAT, messages("one", "first answer", "zwei"))
    # The thread holds just this: no branch is needed.
    assert opening.checkpoint_id is None
    threads.messages = [*THREAD, {"type": "human", "content": "two"}]
    opening = await opening_for(threads, CHAT, messages("one", "first answer", "zwei"))
    assert opening.checkpoint_id == "c4"
    assert texts(opening.messages) == ["zwei"]
    assert opening.marks[SEEN] == threads.past[0]["metadata"][SEEN]


async def test_an_edited_first_message_goes_on_from_the_very_beginning() -> None:
    threads = FakeThreads(THREAD, past=[begun("c0", "", "one", step=-1)])
    opening = await opening_for(threads, CHAT, messages("eins"))
    assert (opening.checkpoint_id, texts(opening.messages)) == ("c0", ["eins"])


async def test_what_no_branch_holds_is_added_to_the_place_that_holds_most() -> None:
    threads = FakeThreads(
        [*THREAD, {"type": "human", "content": "two"}],
        past=[begun("c5", "c4", "one", "first answer", "two"), begun("c0", "", "one", step=-1)],
    )
    said = messages("one", "first answer", "three", "third answer", "four")
    opening = await opening_for(threads, CHAT, said)
    assert opening.checkpoint_id == "c4"
    assert texts(opening.messages) == ["three", "third answer", "four"]
    assert SEEN not in opening.marks


async def test_the_end_of_another_branch_is_found_by_its_words() -> None:
    asked = {ASKED_MARK: marks_of(CHAT, messages("one"))[ASKED_MARK]}
    other = past("c3", "c2", asked | {"run_id": "r2"}, THREAD[0], {"type": "ai", "content": "x"})
    own = past("c9", "c8", asked | {"run_id": "r1"}, *THREAD)
    starts = [past(f"i{n}", "c0", asked | {"run_id": f"r{n}", "source": "input"}) for n in (2, 1)]
    threads = FakeThreads([{"type": "human", "content": "two"}], past=[other, own, *starts])
    opening = await opening_for(threads, CHAT, messages("one", "first answer", "more"))
    assert (opening.checkpoint_id, texts(opening.messages)) == ("c9", ["more"])


async def test_the_end_of_a_branch_is_found_by_what_its_client_was_shown() -> None:
    shown = replace(Shown.of(messages("one"), NOTICE, [ASKED]), run_id="r1")
    threads = FakeThreads(
        [{"type": "human", "content": "other"}, LATE],
        metadata=note_of([shown]),
        past=[past("c1", "c0", {"run_id": "r1"}, ASKED)],
    )
    opening = await opening_for(threads, CHAT, messages("one", NOTICE, "two"))
    assert (opening.checkpoint_id, texts(opening.messages)) == ("c1", ["two"])


async def test_a_reply_that_only_looks_like_the_one_before_is_not_gone_on_with() -> None:
    chat = replace(CHAT, before_id="m1", reply_id="m3")
    one = past("c1", "c0", {REPLY: "m1"}, *THREAD)
    threads = FakeThreads(THREAD, marks={REPLY: "m2"}, past=[one])
    opening = await opening_for(threads, chat, messages("one", "first answer", "two"))
    assert opening.checkpoint_id == "c1"
    assert opening.marks[REPLY] == "m3"


def alone(*said: str) -> list[Message]:
    return TypeAdapter(list[Message]).validate_python(
        [{"role": "user", "content": text} for text in said]
    )


NEWEST = replace(CHAT, history="unknown")


async def test_a_lone_message_goes_on_where_no_history_was_ever_sent() -> None:
    threads = FakeThreads(THREAD)
    opening = await opening_for(threads, NEWEST, alone("two"))
    assert (opening.checkpoint_id, texts(opening.messages)) == (None, ["two"])
    threads.past = [past("c1", "c0", WITH_HISTORY)]
    assert texts((await opening_for(threads, NEWEST, alone("two"))).messages)[0] == ""


async def test_who_says_so_is_taken_at_their_word_about_the_history() -> None:
    threads = FakeThreads(THREAD, past=[past("c1", "c0", WITH_HISTORY)])
    newest = await opening_for(threads, replace(CHAT, history="newest"), alone("two"))
    assert texts(newest.messages) == ["two"]
    whole = await opening_for(FakeThreads(THREAD), CHAT, alone("two"))
    assert whole.messages[0] == REMOVE_ALL


async def test_who_sends_only_what_is_new_gets_the_answer_that_came_since() -> None:
    opening = await opening_for(noticed(ASKED, LATE), NEWEST, alone("two"))
    assert (opening.unseen, texts(opening.messages)) == ("late answer", ["two"])


async def test_who_sends_only_what_is_new_approves_with_a_lone_yes() -> None:
    opening = await opening_for(waiting(), NEWEST, alone("yes"))
    assert opening.decisions == {"i1": approved()}


async def test_who_names_the_reply_before_goes_on_from_there() -> None:
    chat = replace(CHAT, history="newest", before_id="m1")
    threads = FakeThreads(THREAD, marks={REPLY: "m2"}, past=[past("c1", "c0", {REPLY: "m1"})])
    assert (await opening_for(threads, chat, alone("two"))).checkpoint_id == "c1"
    threads.marks = {REPLY: "m1"}
    assert (await opening_for(threads, chat, alone("two"))).checkpoint_id is None


SHELL = Approval("i1", "shell", {}, "")
CARD = card_id([SHELL])
WISH = "I would like to run `shell`."


def carded(*said: str, answer: str, call_id: str = CARD) -> list[Message]:
    """A history that ends with the answer to a card."""
    call = {"id": call_id, "type": "function", "function": {"name": "ask_user", "arguments": "{}"}}
    before: list[Any] = [one.model_dump() for one in messages(*said)]
    shown = {"role": "assistant", "content": WISH, "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": call_id, "content": answer}
    return TypeAdapter(list[Message]).validate_python([*before, shown, result])


YES = '{"status": "answered", "answers": {"approve": {"option_index": 0, "label": "Approve"}}}'


def asking(status: str = "interrupted") -> FakeThreads:
    """A thread that waits for the answer to a card."""
    shown = Shown.of(messages("one"), WISH, [ASKED])
    threads = waiting(status)
    threads.metadata = note_of([shown])
    threads.marks = marks_of(CHAT, messages("one"))
    return threads


@pytest.mark.parametrize(("answer", "decision"), [(YES, approved()), ("no", rejected())])
async def test_the_answer_to_a_card_is_the_decision(answer: str, decision: object) -> None:
    opening = await opening_for(asking(), CHAT, carded("one", answer=answer))
    assert (opening.decisions, list(opening.messages)) == ({"i1": decision}, [])


@pytest.mark.parametrize(
    ("said", "call_id"), [("one", "ask_other"), ("edited", CARD)], ids=["other card", "edited"]
)
async def test_the_answer_to_another_card_or_question_decides_nothing(
    said: str, call_id: str
) -> None:
    sent = carded(said, answer=YES, call_id=call_id)
    opening = await opening_for(asking(), CHAT, sent)
    assert opening.decisions == {}


async def test_a_card_that_asks_no_more_decides_nothing() -> None:
    opening = await opening_for(asking("idle"), CHAT, carded("one", answer=YES))
    assert opening.decisions == {}
    assert texts(opening.messages)[-1] == "one"


async def test_an_answer_to_a_card_that_comes_twice_is_told_how_it_ended() -> None:
    threads = asking("idle")
    sent = carded("one", answer=YES)
    threads.metadata = note_of([Shown.of(sent, "Done.", [ASKED])])
    assert await opening_for(threads, CHAT, sent) == Opening([], is_busy=True, is_apart=True)


STOPPED = [
    {"type": "human", "content": "one"},
    {"type": "ai", "content": "Writing.", "tool_calls": [{"id": "c"}]},
    {"type": "tool", "content": "written", "tool_call_id": "c"},
]


@pytest.mark.parametrize(
    ("said", "added"),
    [
        (("one", "Writing. And then"), [" And then", "two"]),
        (("one", "Writing."), ["two"]),
        (("one", "Something else"), None),
    ],
)
async def test_what_a_stopped_run_has_done_is_not_forgotten(
    said: tuple[str, ...], added: list[str] | None
) -> None:
    marks = {ASKED_MARK: marks_of(CHAT, messages("one"))[ASKED_MARK]}
    threads = FakeThreads(STOPPED, past=[past("c2", "c1", marks, *STOPPED)])
    opening = await opening_for(threads, CHAT, messages(*said, "two"))
    if added is None:
        assert opening.messages[0] == REMOVE_ALL
    else:
        assert (opening.checkpoint_id, texts(opening.messages)) == ("c2", added)
