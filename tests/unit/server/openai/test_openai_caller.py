import time
from typing import Any

import jwt
import pytest
from pydantic import SecretStr
from starlette.datastructures import Headers

from potluck.server.openai.caller import Chat, chat_of, is_background
from potluck.server.openai.errors import ApiError
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


SECRET = SecretStr("a secret that Open WebUI shares with us")


def signed(secret: SecretStr = SECRET, **changes: Any) -> str:
    """As Open WebUI signs who asks."""
    now = int(time.time())
    claims = {"sub": "ada", "name": "Ada", "iss": "open-webui", "iat": now, "exp": now + 300}
    return jwt.encode(claims | changes, secret.get_secret_value(), algorithm="HS256")


def chat(
    headers: dict[str, str], secret: SecretStr | None = None, *, has_keys: bool = True
) -> Chat:
    given = Headers({"X-OpenWebUI-Chat-Id": "c", "Authorization": "Bearer k", **headers})
    found = chat_of(request(), given, has_keys=has_keys, jwt_secret=secret)
    assert found is not None
    return found


@pytest.mark.parametrize("secret", [SECRET, None])
def test_a_signed_user_is_the_same_as_a_named_one(secret: SecretStr | None) -> None:
    found = chat({"X-OpenWebUI-User-Jwt": signed()}, secret)
    assert found.user == "ada"
    assert found.thread_id == chat({"X-OpenWebUI-User-Id": "ada"}).thread_id


def test_without_a_key_a_signed_user_counts_for_nothing() -> None:
    assert chat({"X-OpenWebUI-User-Jwt": signed()}, SECRET, has_keys=False).user == ""


def test_where_users_are_to_be_signed_a_plain_name_counts_for_nothing() -> None:
    assert chat({"X-OpenWebUI-User-Id": "ada"}, SECRET).user == ""


@pytest.mark.parametrize(
    "token",
    [
        signed(SecretStr("quite another secret, long enough")),
        signed(exp=1),
        signed(iss="somebody"),
        jwt.encode({"sub": "ada"}, "", algorithm="none"),
        "no token",
    ],
    ids=["other secret", "old", "other issuer", "unsigned", "none"],
)
def test_a_user_who_is_not_rightly_signed_is_refused(token: str) -> None:
    with pytest.raises(ApiError) as caught:
        chat({"X-OpenWebUI-User-Jwt": token}, SECRET)
    assert caught.value.status == 401
    assert "POTLUCK_OPENWEBUI_JWT_SECRET" in str(caught.value)


def test_open_webui_is_known_to_send_the_whole_history() -> None:
    assert chat({}).history == "whole"
    named = chat_of(request(), Headers({"X-Chat-Id": "c"}), has_keys=False)
    assert named is not None
    assert named.history == "unknown"
    said = chat_of(
        request(), Headers({"X-Chat-Id": "c", "X-Potluck-History": "Newest"}), has_keys=False
    )
    assert said is not None
    assert said.history == "newest"


def test_the_clients_ids_of_replies_are_taken_over() -> None:
    ids = {"X-OpenWebUI-Message-Id": "m2", "X-OpenWebUI-User-Message-Parent-Id": "m1"}
    found = chat(ids)
    assert (found.reply_id, found.before_id) == ("m2", "m1")
    assert found.thread_id == chat({}).thread_id
