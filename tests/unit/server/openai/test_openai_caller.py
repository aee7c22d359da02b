from typing import Any

import pytest
from starlette.datastructures import Headers

from potluck.server.openai.caller import Chat, chat_of, is_background
from potluck.server.openai.request import ChatRequest
from potluck.server.ownership import ANONYMOUS, Caller, asked_by

TITLE = "### Task:\nGenerate a title.\n<chat_history>\nUSER: hi\n</chat_history>"


def request(text: str = "hi", **changes: Any) -> ChatRequest:
    body = {"model": "potluck", "messages": [{"role": "user", "content": text}], **changes}
    return ChatRequest.model_validate(body)


def thread(headers: dict[str, str] | None = None, **changes: Any) -> str | None:
    chat = chat_of(request(**changes), Headers(headers or {}))
    return chat.thread_id if chat else None


def test_a_request_without_a_chat_is_not_kept() -> None:
    assert thread() is None
    assert thread(metadata={"other": "x"}) is None


@pytest.mark.parametrize("name", ["temporary:1", "local:1"])
def test_a_temporary_chat_is_not_kept(name: str) -> None:
    assert thread({"X-OpenWebUI-Chat-Id": name}) is None
    assert thread(metadata={"thread_id": name}) is None


def test_a_chat_has_one_thread_however_it_is_named() -> None:
    named = thread({"X-OpenWebUI-Chat-Id": "c"})
    assert named == thread({"X-Chat-Id": "c"}) == thread(metadata={"thread_id": "c"})
    assert named != thread({"X-Chat-Id": "d"})
    assert named != thread({"X-Chat-Id": "c"}, model="potluck:groq/x")


def thread_of(user: str, **headers: str) -> str | None:
    with asked_by(Caller(user, "user", key=user)):
        return thread({"X-Chat-Id": "c", **headers})


def test_a_chat_belongs_to_its_user_whatever_key_he_comes_with() -> None:
    assert thread_of("ann") != thread_of("bob")
    assert thread_of("ann") != thread_of("ann/ada") != thread_of("ann/bob")
    assert thread_of("ann", Authorization="Bearer old") == thread_of("ann", Authorization="new")


def test_a_user_who_has_not_come_through_the_guard_counts_for_nothing() -> None:
    assert thread({"X-Chat-Id": "c", "X-OpenWebUI-User-Id": "ada"}) == thread({"X-Chat-Id": "c"})
    assert thread_of(ANONYMOUS) == thread({"X-Chat-Id": "c"})


def test_parts_of_the_key_do_not_run_together() -> None:
    assert thread({"X-Chat-Id": "bc"}, model="a") != thread({"X-Chat-Id": "c"}, model="ab")


def test_a_task_of_open_webui_is_told_by_its_header() -> None:
    assert is_background(request(stream=True), Headers({"X-OpenWebUI-Task": "title_generation"}))
    assert not is_background(request(), Headers({"X-OpenWebUI-Task": ""}))


def test_a_task_of_open_webui_is_told_by_its_template() -> None:
    assert is_background(request(TITLE), Headers())
    assert is_background(request("\n" + TITLE, stream=False), Headers())


@pytest.mark.parametrize(
    ("text", "stream"),
    [(TITLE, True), ("### Task:\nanswer from <context>", False), ("hi <chat_history>", False)],
)
def test_a_chat_turn_is_no_task(text: str, stream: bool) -> None:
    assert not is_background(request(text, stream=stream), Headers())


def chat(headers: dict[str, str]) -> Chat:
    found = chat_of(request(), Headers({"X-OpenWebUI-Chat-Id": "c", **headers}))
    assert found is not None
    return found


def test_open_webui_is_known_to_send_the_whole_history() -> None:
    assert chat({}).history == "whole"
    named = chat_of(request(), Headers({"X-Chat-Id": "c"}))
    assert named is not None
    assert named.history == "unknown"
    said = chat_of(request(), Headers({"X-Chat-Id": "c", "X-Potluck-History": "Newest"}))
    assert said is not None
    assert said.history == "newest"


def test_the_clients_ids_of_replies_are_taken_over() -> None:
    ids = {"X-OpenWebUI-Message-Id": "m2", "X-OpenWebUI-User-Message-Parent-Id": "m1"}
    found = chat(ids)
    assert (found.reply_id, found.before_id) == ("m2", "m1")
    assert found.thread_id == chat({}).thread_id
