"""LangGraph's development server with keys: no door is open, and users are apart."""

from collections.abc import Iterator

import httpx
import pytest

from tests.integration.server.dev_server import dev_server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

KEYS = "ann:of-ann,bob:of-bob,root:of-root:admin"
HELLO = {"messages": [{"role": "user", "content": "What is 2+3?"}]}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with dev_server(POTLUCK_API_KEYS=KEYS) as running:
        yield running


def post(url: str, path: str, body: object, key: str = "") -> httpx.Response:
    headers = {"X-Api-Key": key} if key else {}
    return httpx.post(url + path, json=body, headers=headers, timeout=60)


def test_no_door_is_open(url: str) -> None:
    for path in ("/v1/chat/completions", "/agent/invoke", "/threads", "/runs/wait", "/quota"):
        for key in ("", "wrong"):
            assert post(url, path, {}, key).status_code == 401, path
    assert httpx.get(f"{url}/ok").status_code == 200
    assert httpx.get(f"{url}/dashboard").status_code == 200


def test_our_own_doors_are_for_admins_and_say_so(url: str) -> None:
    chat = {"model": "potluck", **HELLO}
    refused = post(url, "/v1/chat/completions", chat, "of-ann")
    assert refused.status_code == 403
    assert "potluck serve" in refused.json()["error"]["message"]
    answered = post(url, "/v1/chat/completions", chat, "of-root")
    assert "5" in answered.json()["choices"][0]["message"]["content"]


def test_users_are_apart_at_the_langgraph_api(url: str) -> None:
    thread = post(url, "/threads", {}, "of-ann").json()["thread_id"]
    run = {"assistant_id": "agent", "input": HELLO}
    state = post(url, f"/threads/{thread}/runs/wait", run, "of-ann").json()
    assert "5" in str(state["messages"][-1]["content"])
    assert httpx.get(f"{url}/threads/{thread}", headers={"X-Api-Key": "of-bob"}).status_code == 404
    found = post(url, "/threads/search", {}, "of-bob").json()
    assert thread not in {one["thread_id"] for one in found}


def test_notes_are_those_of_whom_the_key_acts_for(url: str) -> None:
    told = {"messages": [{"role": "user", "content": "Remember that I like green tea."}]}
    acting = {"X-Api-Key": "of-root", "X-Potluck-User": "ann"}
    run = {"assistant_id": "agent", "input": told}
    httpx.post(f"{url}/runs/wait", json=run, headers=acting, timeout=60).raise_for_status()

    def notes(key: str) -> str:
        found = post(url, "/store/items/search", {"namespace_prefix": ["notes"]}, key)
        return found.text

    assert "green tea" in notes("of-ann")
    assert "green tea" not in notes("of-bob")
