"""Keys guard every door, and without keys only this machine gets in."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

DOORS = [
    "/v1/models",
    "/threads/search",
    "/agent/invoke",
    "/assistants/search",
    "/store/items",
    "/quota",
]


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


def test_with_keys_every_door_wants_one(start_server: Callable[..., Any]) -> None:
    server = start_server(env={"POTLUCK_API_KEYS": "ann:secret-1,bob:secret-2"})
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
