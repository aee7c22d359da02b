from typing import Any

import pytest
from starlette.datastructures import Headers

from potluck.server.openai.caller import chat_of, is_background
from potluck.server.openai.request import ChatRequest

TITLE = "### Task:\nGenerate a title.\n<chat_history>\nUSER: hi\n</chat_history>"


def request(text: str = "hi", **changes: Any) -> ChatRequest:
    body = {"model": "potluck", "messages": [{"role": "user", "content": text}], **changes}
    return ChatRequest.model_validate(body)


def thread(
    headers: dict[str, str] | None = None, *, has_keys: bool = False, **changes: Any
) -> str | None:
    chat = chat_of(request(**changes), Headers(headers or {}), has_keys=has_keys)
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


def test_users_are_told_apart_only_behind_a_key() -> None:
    ada = {"X-Chat-Id": "c", "X-OpenWebUI-User-Id": "ada", "Authorization": "Bearer k"}
    bob = ada | {"X-OpenWebUI-User-Id": "bob"}
    assert thread(ada, has_keys=True) != thread(bob, has_keys=True)
    assert thread(ada) == thread(bob)


def test_tenants_are_told_apart_by_their_keys() -> None:
    one = {"X-Chat-Id": "c", "Authorization": "Bearer one"}
    two = {"X-Chat-Id": "c", "X-Api-Key": "two"}
    assert thread(one, has_keys=True) != thread(two, has_keys=True)
    assert thread(one, has_keys=True) == thread(
        {"X-Chat-Id": "c", "X-Api-Key": "one"}, has_keys=True
    )


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
