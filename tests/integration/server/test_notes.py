"""Long-term notes: the same at every door for the same user, and for nobody else."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_sync_client

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

PROJECT_DIR = Path(__file__).parents[3]
KEYS = "ann:secret-1,bob:secret-2,webui:secret-3"
LIST = "What do you remember about me?"
KEEP = "Remember that I am vegetarian."


class Door:
    """One caller of one server, at each of its doors."""

    def __init__(self, server: Any, key: str = "") -> None:
        self.url = server.url
        self.key = key
        self.headers = {"x-api-key": key} if key else {}

    def graph(self, text: str, context: dict[str, Any] | None = None) -> str:
        with get_sync_client(url=self.url, api_key=self.key or None) as client:
            thread = client.threads.create()["thread_id"]
            asked = {"messages": [{"role": "user", "content": text}]}
            state: Any = client.runs.wait(thread, "agent", input=asked, context=context)
        return str(state["messages"][-1]["content"])

    def openai(self, text: str, **headers: str) -> str:
        body = {"model": "potluck", "messages": [{"role": "user", "content": text}]}
        answer = self._post("/v1/chat/completions", body, **headers)
        return str(answer.json()["choices"][0]["message"]["content"])

    def langserve(self, text: str) -> str:
        return self._post("/agent/invoke", {"input": text}).text

    def store(self, namespace: list[str]) -> httpx.Response:
        return self._post("/store/items/search", {"namespace_prefix": namespace})

    def _post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return httpx.post(
            self.url + path, json=body, headers={**self.headers, **headers}, timeout=60
        )


@pytest.fixture
def keyed(start_server: Callable[..., Any]) -> Any:
    return start_server(env={"POTLUCK_API_KEYS": KEYS})


def notes_command(server: Any, *options: str) -> str:
    command = [sys.executable, "-m", "potluck", "notes", *options]
    done = subprocess.run(
        command,
        cwd=PROJECT_DIR,
        env=server.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_user_has_the_same_notes_at_every_door(keyed: Any) -> None:
    ann = Door(keyed, "secret-1")
    assert "Noted as [" in ann.graph(KEEP)
    assert "I am vegetarian" in ann.openai(LIST)
    assert "I am vegetarian" in ann.langserve(LIST)
    assert "I live in Kyoto" in ann.openai("Remember that I live in Kyoto")
    assert "I live in Kyoto" in ann.graph(LIST)

    found = ann.store(["notes"]).json()["items"]
    assert {item["value"]["text"] for item in found} == {"I am vegetarian", "I live in Kyoto"}

    told = json.loads(notes_command(keyed, "--json"))
    assert [note["text"] for note in told] == ["I am vegetarian", "I live in Kyoto"]
    assert "Forgotten: I live in Kyoto" in notes_command(keyed, "--forget", told[1]["id"])
    assert "Forgotten: I am vegetarian" in ann.graph("Forget that I am vegetarian")
    assert "noted nothing" in ann.openai(LIST)


def test_another_key_sees_and_changes_nothing_of_it(keyed: Any) -> None:
    ann, bob = Door(keyed, "secret-1"), Door(keyed, "secret-2")
    ann.graph("Remember that my dog is called Rex")
    assert "noted nothing" in bob.openai(LIST)
    assert "noted nothing" in bob.graph(LIST)
    assert "noted nothing" in bob.langserve(LIST)
    for namespace in ([], ["notes"], ["users", "ann", "notes"], ["users"]):
        assert bob.store(namespace).json()["items"] == [], namespace
    place = {"namespace": ["users", "ann", "notes"], "key": "x", "value": {"text": "planted"}}
    httpx.put(f"{bob.url}/store/items", json=place, headers=bob.headers).raise_for_status()
    assert "planted" not in ann.openai(LIST)
    assert "Rex" in ann.openai(LIST)

    # Behind one key each user of Open WebUI is one of their own.
    web = Door(keyed, "secret-3")
    web.openai(KEEP, **{"X-OpenWebUI-User-Id": "u1", "X-OpenWebUI-Chat-Id": "c1"})
    user1 = {"X-OpenWebUI-User-Id": "u1"}
    assert "vegetarian" in web.openai(LIST, **user1, **{"X-OpenWebUI-Chat-Id": "c2"})
    assert "noted nothing" in web.openai(LIST, **{"X-OpenWebUI-User-Id": "u2"})
    assert "noted nothing" in web.openai(LIST)
    temporary = web.openai(LIST, **user1, **{"X-OpenWebUI-Chat-Id": "local:x"})
    assert "noted nothing" in temporary


def test_without_keys_all_doors_share_the_notes_of_this_machine(offline_server: Any) -> None:
    me = Door(offline_server)
    me.openai(KEEP)
    assert "vegetarian" in me.graph(LIST)
    assert "vegetarian" in me.langserve(LIST)
    assert "noted nothing" in me.graph(LIST, {"memory": "off"})
    assert "switched off" in me.openai("Remember that I am tall", **{"X-Potluck-Memory": "off"})
    assert me.store(["notes"]).json()["items"][0]["value"]["text"] == "I am vegetarian"
    assert "Forgotten" in me.openai("Forget everything")
    assert "noted nothing" in me.graph(LIST)


def test_the_guides_example_lists_and_deletes(
    offline_server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (PROJECT_DIR / "docs" / "memory.md").read_text("utf-8")
    [code] = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    me = Door(offline_server)
    me.graph(KEEP)
    exec(code.replace("http://127.0.0.1:8123", offline_server.url), {})  # noqa: S102 # the guide's
    assert "I am vegetarian" in capsys.readouterr().out
    assert "noted nothing" in me.graph(LIST)
