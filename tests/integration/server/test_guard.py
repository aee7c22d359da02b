"""Keys guard every door, and without keys only this machine gets in."""

import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from potluck.server.auth_attempts import WRONG_KEYS_PER_MINUTE

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

KEYS = "ann:secret-1,bob:secret-2"
DOORS = [
    "/v1/models",
    "/threads/search",
    "/agent/invoke",
    "/assistants/search",
    "/store/items",
    "/quota",
]


@pytest.fixture(scope="module")
def keyed(make_server: Callable[..., Any]) -> Any:
    """A server that wants a key."""
    return make_server(env={"POTLUCK_API_KEYS": KEYS})


@pytest.mark.parametrize("path", DOORS)
def test_a_page_of_a_foreign_site_is_refused(offline_server: Any, path: str) -> None:
    for header in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
        answer = httpx.post(offline_server.url + path, headers=header, json={})
        assert answer.status_code == 403, path


def test_studio_may_use_the_server(offline_server: Any) -> None:
    origin = "https://smith.langchain.com"
    answer = httpx.post(
        f"{offline_server.url}/assistants/search", headers={"Origin": origin}, json={}
    )
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == origin


@pytest.mark.parametrize("origin", ["https://localhost:3000", "http://[::1]:3000"])
def test_a_page_of_this_machine_reads_what_it_asks_for(offline_server: Any, origin: str) -> None:
    answer = httpx.get(f"{offline_server.url}/v1/models", headers={"Origin": origin})
    assert answer.headers["access-control-allow-origin"] == origin
    readable = answer.headers["access-control-expose-headers"]
    assert {"X-Request-Id", "Retry-After", "X-Potluck-Thread-Id"} <= set(readable.split(", "))


def test_a_page_of_the_internet_that_is_let_in_may_ask_a_server_at_home(
    offline_server: Any,
) -> None:
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
        "Access-Control-Request-Private-Network": "true",
    }
    for origin, is_let_in in (
        ("https://smith.langchain.com", True),
        ("https://evil.example", False),
    ):
        headers = asked | {"Origin": origin}
        answer = httpx.options(f"{offline_server.url}/threads", headers=headers)
        assert answer.is_success == is_let_in
        assert ("access-control-allow-origin" in answer.headers) == is_let_in


@pytest.mark.parametrize(
    "path",
    [
        "//v1/models",
        "/v1/../v1/models",
        "/%76%31/models",
        "/health/../v1/models",
        "/health%2f..%2fv1/models",
        "/health;/v1/models",
        "/dashboard/../quota",
        "/dashboard%00",
        "/metrics/",
        "/METRICS",
    ],
)
def test_no_way_of_writing_a_path_leads_past_the_guard(keyed: Any, path: str) -> None:
    assert _status(keyed, f"GET {path} HTTP/1.1", "Host: localhost") == 401


def test_a_websocket_is_opened_by_nobody(keyed: Any) -> None:
    wants = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Host: localhost")  # fmt: skip
    for key in ("X-Api-Key: wrong", "X-Api-Key: secret-1"):
        assert _status(keyed, "GET /threads HTTP/1.1", *wants, key) == 403


def test_headers_without_end_are_not_taken_in(keyed: Any) -> None:
    endless = f"X-Endless: {'a' * 200_000}"
    assert _status(keyed, "GET /v1/models HTTP/1.1", "Host: localhost", endless) == 400


def test_who_tries_keys_cannot_pass_for_many(start_server: Callable[..., Any]) -> None:
    server = start_server(env={"POTLUCK_API_KEYS": "ann:secret-1"})
    answers = [
        httpx.get(
            f"{server.url}/quota",
            headers={"X-Api-Key": f"wrong-{number}", "X-Forwarded-For": f"203.0.113.{number}"},
        ).status_code
        for number in range(WRONG_KEYS_PER_MINUTE + 1)
    ]
    assert answers == [401] * WRONG_KEYS_PER_MINUTE + [429]


def test_a_balancer_that_is_named_tells_who_asks(start_server: Callable[..., Any]) -> None:
    env = {"POTLUCK_API_KEYS": "ann:secret-1", "FORWARDED_ALLOW_IPS": "127.0.0.1"}
    server = start_server(env=env)
    for number in range(WRONG_KEYS_PER_MINUTE + 5):
        headers = {"X-Api-Key": f"wrong-{number}", "X-Forwarded-For": f"203.0.113.{number}"}
        assert httpx.get(f"{server.url}/quota", headers=headers).status_code == 401


def _status(server: Any, *lines: str) -> int:
    """The status of the answer to a request, sent as it is written here."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return int(connection.recv(4096).split()[1])


def test_with_keys_every_door_wants_one(keyed: Any) -> None:
    server = keyed
    for path in DOORS:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer ann"}):
            answer = httpx.post(server.url + path, headers=headers, json={})
            assert answer.status_code == 401, path
            assert answer.json()["error"]["code"] == "invalid_api_key"
            assert answer.headers["www-authenticate"] == "Bearer"
    models = httpx.get(f"{server.url}/v1/models", headers={"Authorization": "Bearer secret-2"})
    assert models.status_code == 200
    threads = httpx.post(f"{server.url}/threads/search", headers={"x-api-key": "secret-1"}, json={})
    assert threads.status_code == 200
    assert httpx.get(f"{server.url}/health").status_code == 200
    chat = httpx.post(
        f"{server.url}/v1/chat/completions",
        headers={"Authorization": "Bearer secret-1"},
        json={"model": "potluck", "messages": [{"role": "user", "content": "What is 2+3?"}]},
        timeout=30,
    )
    assert "5" in chat.json()["choices"][0]["message"]["content"], "our own doors get in, too"
