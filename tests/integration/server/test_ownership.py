"""Everything belongs to the user of the key: others get 404, an admin acts for whom he names."""

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from potluck.simulator.reply import Fault, Reply
from potluck.simulator.server import SimulatorServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

KEYS = "ann:of-ann,bob:of-bob,webui:of-webui,root:of-root:admin,mail@x.org:of-mail"
HELLO = {"messages": [{"role": "user", "content": "What is 2+3?"}]}


def dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


class User:
    """A client with one key."""

    def __init__(self, url: str, key: str, **headers: str) -> None:
        self.url = url
        self.headers = {"X-Api-Key": key} | dashed(headers)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        sent = self.headers | dashed(headers)
        return httpx.request(method, self.url + path, json=body, headers=sent, timeout=60)

    def made(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.ask(method, path, body)
        assert answer.status_code < 300, (path, answer.text)
        return answer.json() if answer.content else None

    def threads(self) -> set[str]:
        found = self.made("POST", "/threads/search", {"limit": 100})
        return {one["thread_id"] for one in found}

    def chat(self, chat_id: str, **headers: str) -> str:
        body = {"model": "potluck", **HELLO}
        answer = self.ask("POST", "/v1/chat/completions", body, X_Chat_Id=chat_id, **headers)
        assert answer.status_code == 200, answer.text
        return str(answer.headers["x-potluck-thread-id"])


@pytest.fixture(scope="module")
def keyed(make_server: Callable[..., Any]) -> Any:
    return make_server(env={"POTLUCK_API_KEYS": KEYS})


@pytest.fixture
def ann(keyed: Any) -> User:
    return User(keyed.url, "of-ann")


@pytest.fixture
def bob(keyed: Any) -> User:
    return User(keyed.url, "of-bob")


@pytest.fixture
def root(keyed: Any) -> User:
    return User(keyed.url, "of-root")


@pytest.fixture
def work(ann: User) -> Iterator[tuple[str, str]]:
    """A thread of Ann's with a run that has ended."""
    thread = ann.made("POST", "/threads", {})["thread_id"]
    body = {"assistant_id": "agent", "input": HELLO}
    ann.made("POST", f"/threads/{thread}/runs/wait", body)
    run = ann.made("GET", f"/threads/{thread}/runs")[0]["run_id"]
    yield thread, run
    assert ann.made("GET", f"/threads/{thread}")["metadata"]["owner"] == "ann"


OF_THREADS = [
    ("GET", "/threads/{thread}"),
    ("PATCH", "/threads/{thread}"),
    ("DELETE", "/threads/{thread}"),
    ("GET", "/threads/{thread}/state"),
    ("POST", "/threads/{thread}/state"),
    ("POST", "/threads/{thread}/state/checkpoint"),
    ("GET", "/threads/{thread}/history"),
    ("POST", "/threads/{thread}/history"),
    ("POST", "/threads/{thread}/runs"),
    ("POST", "/threads/{thread}/runs/wait"),
    ("POST", "/threads/{thread}/runs/stream"),
    ("POST", "/threads/{thread}/stream/events"),
    ("POST", "/threads/{thread}/commands"),
    ("POST", "/threads/{thread}/runs/crons"),
    ("GET", "/threads/{thread}/runs/{run}"),
    ("PATCH", "/threads/{thread}/runs/{run}"),
    ("DELETE", "/threads/{thread}/runs/{run}"),
    ("GET", "/threads/{thread}/runs/{run}/join"),
    ("GET", "/threads/{thread}/runs/{run}/stream"),
    ("POST", "/threads/{thread}/runs/{run}/cancel"),
]
BODY = {
    "assistant_id": "agent",
    "input": HELLO,
    "values": HELLO,
    "metadata": {"x": "y"},
    "checkpoint": {"checkpoint_id": "c"},
    "status": "interrupted",
    "schedule": "* * * * *",
    "channels": ["values"],
    "id": 1,
    "method": "run.start",
    "params": {"assistant_id": "agent", "input": HELLO},
}


def test_a_thread_and_its_runs_are_not_there_for_others(
    work: tuple[str, str], ann: User, bob: User
) -> None:
    thread, run = work
    for method, path in OF_THREADS:
        asked = path.format(thread=thread, run=run)
        answer = bob.ask(method, asked, None if method == "GET" else BODY | {"run_id": run})
        assert answer.status_code == 404, (method, path, answer.text)
        assert "2 + 3" not in answer.text
    assert thread not in bob.threads()
    assert bob.made("GET", f"/threads/{thread}/runs") == []
    assert thread in ann.threads()
    assert ann.made("GET", f"/threads/{thread}/runs/{run}")["status"] == "success"


def test_no_body_takes_another_users_thread(work: tuple[str, str], ann: User, bob: User) -> None:
    thread, _ = work
    assert bob.ask("POST", "/threads", {"thread_id": thread, "if_exists": "do_nothing"}).is_error
    own = bob.made("POST", "/threads", {"metadata": {"owner": "ann"}})
    assert own["metadata"]["owner"] == "bob"
    body = {
        "assistant_id": "agent",
        "input": HELLO,
        "config": {"configurable": {"thread_id": thread}},
    }
    bob.made("POST", f"/threads/{own['thread_id']}/runs/wait", body)
    messages = bob.made("GET", f"/threads/{own['thread_id']}/state")["values"]["messages"]
    assert [one["type"] for one in messages].count("human") == 1
    messages = ann.made("GET", f"/threads/{thread}/state")["values"]["messages"]
    assert [one["type"] for one in messages].count("human") == 1


def test_cancelling_many_runs_spares_those_of_others(
    work: tuple[str, str], ann: User, bob: User
) -> None:
    thread, run = work
    bob.ask("POST", "/runs/cancel", {"thread_id": thread, "run_ids": [run]})
    bob.ask("POST", "/runs/cancel", {"status": "all"})
    assert ann.made("GET", f"/threads/{thread}/runs/{run}")["status"] == "success"


def test_assistants_are_their_makers_and_the_graphs_everybodys(ann: User, bob: User) -> None:
    made = ann.made("POST", "/assistants", {"graph_id": "agent", "name": str(uuid.uuid4())})
    path = f"/assistants/{made['assistant_id']}"
    for method, more in [
        ("GET", ""),
        ("GET", "/schemas"),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/versions"),
    ]:
        body = None if method == "GET" else {"name": "taken"}
        assert bob.ask(method, path + more, body).status_code == 404, (method, more)
    found = bob.made("POST", "/assistants/search", {"limit": 100})
    assert made["assistant_id"] not in {one["assistant_id"] for one in found}
    assert "agent" in {one["graph_id"] for one in found}
    assert ann.made("GET", path)["name"] == made["name"]


@pytest.mark.parametrize("key", ["of-ann", "of-mail"])
def test_each_user_has_a_store_of_his_own(keyed: Any, bob: User, key: str) -> None:
    owner = User(keyed.url, key)
    item = {"namespace": ["things"], "key": "one", "value": {"text": "marked"}}
    owner.made("PUT", "/store/items", item)
    user = {"of-ann": "ann", "of-mail": "mail@x~2Eorg"}[key]
    for namespace in (["things"], ["users", user, "things"], ["users", user], []):
        found = bob.ask("POST", "/store/items/search", {"namespace_prefix": namespace})
        assert found.status_code == 403 or found.json()["items"] == [], namespace
    assert bob.ask("GET", "/store/items?key=one&namespace=things").status_code == 404
    bob.ask("DELETE", "/store/items", {"namespace": ["users", user, "things"], "key": "one"})
    assert user not in bob.ask("POST", "/store/namespaces", {}).text
    kept = owner.made("GET", "/store/items?key=one&namespace=things")
    assert kept["value"] == {"text": "marked"}


def test_crons_are_their_makers(ann: User, bob: User) -> None:
    body = {"assistant_id": "agent", "schedule": "0 0 1 1 *", "input": HELLO}
    ann.made("POST", "/runs/crons", body)
    cron = ann.made("POST", "/runs/crons/search", {})[0]["cron_id"]
    assert bob.made("POST", "/runs/crons/search", {}) == []
    assert bob.ask("PATCH", f"/runs/crons/{cron}", {"enabled": False}).status_code == 404
    assert bob.ask("DELETE", f"/runs/crons/{cron}").status_code == 404
    assert ann.ask("DELETE", f"/runs/crons/{cron}").status_code < 300


def test_a_chat_of_the_openai_door_is_its_users_over_rest(ann: User, bob: User) -> None:
    thread = ann.chat("one")
    assert ann.chat("one") == thread
    values = ann.made("GET", f"/threads/{thread}/state")["values"]
    assert len(values["messages"]) >= 2
    assert bob.ask("GET", f"/threads/{thread}").status_code == 404
    assert bob.chat("one") != thread


def test_a_turn_of_the_langserve_door_is_its_users(ann: User, bob: User) -> None:
    name = str(uuid.uuid4())
    config = {"configurable": {"thread_id": name}}
    ann.made("POST", "/agent/invoke", {"input": HELLO, "config": config})
    thread = next(one for one in ann.threads() if one == name)
    assert bob.ask("GET", f"/threads/{thread}/state").status_code == 404
    taken = bob.ask("POST", "/agent/invoke", {"input": HELLO, "config": config})
    assert 400 <= taken.status_code < 500, taken.text


def test_users_that_open_webui_names_are_apart_below_its_key(keyed: Any, root: User) -> None:
    webui = User(keyed.url, "of-webui")
    ada = User(keyed.url, "of-webui", X_OpenWebUI_User_Id="ada")
    thread = webui.chat("one", X_OpenWebUI_User_Id="ada")
    assert ada.made("GET", f"/threads/{thread}")["metadata"]["owner"] == "webui/ada"
    named = User(keyed.url, "of-webui", X_Potluck_User="webui/ada")
    assert thread in named.threads()
    for other in (webui, root, User(keyed.url, "of-webui", X_OpenWebUI_User_Id="bob")):
        assert other.ask("GET", f"/threads/{thread}").status_code == 404


def test_an_admin_acts_for_whom_he_names_and_nobody_else_does(
    keyed: Any, work: tuple[str, str]
) -> None:
    thread, _ = work
    assert thread in User(keyed.url, "of-root", X_Potluck_User="ann").threads()
    for user in ("ann", "root", "webui/ada", "anonymous", "", "bob2"):
        refused = User(keyed.url, "of-bob", X_Potluck_User=user).ask("POST", "/threads/search", {})
        assert refused.status_code == 403, user
        assert "X-Potluck-User" in refused.json()["detail"]
    assert User(keyed.url, "wrong", X_Potluck_User="ann").ask("GET", "/info").status_code == 401


def test_data_made_without_keys_stays_the_local_users(start_server: Callable[..., Any]) -> None:
    server = start_server()
    thread = User(server.url, "any").chat("one")
    server.stop()
    server.env["POTLUCK_API_KEYS"] = KEYS
    server.start()
    ann = User(server.url, "of-ann")
    assert thread not in ann.threads()
    assert ann.chat("one") != thread, "the same chat goes on, on a thread of her own"
    assert thread in User(server.url, "of-root", X_Potluck_User="anonymous").threads()
    server.stop()
    del server.env["POTLUCK_API_KEYS"]
    server.start()
    local = User(server.url, "any")
    assert local.threads() == {thread}
    assert local.chat("one") == thread
    assert len(User(server.url, "any", X_Potluck_User="ann").threads()) == 1


def test_a_parked_run_is_its_users_and_goes_on_for_him(
    start: Callable[..., Any], provider: SimulatorServer
) -> None:
    server = start(POTLUCK_API_KEYS=KEYS)
    ann, bob, root = (User(server.url, f"of-{name}") for name in ("ann", "bob", "root"))
    error = {"message": "Too many concurrent requests. Please try again in 90s."}
    fault = Fault(status=429, body={"error": error}, headers={"retry-after": "90"})
    provider.script.on(Reply(fault=fault), times=1)
    provider.script.on(Reply(text="It went on."))
    thread = ann.made("POST", "/threads", {})["thread_id"]
    ann.made("POST", f"/threads/{thread}/runs", {"assistant_id": "agent", "input": HELLO})

    def parked(user: User, path: str = "/quota/parked") -> list[str]:
        return [one["thread_id"] for one in user.made("GET", path)["parked"]]

    wait_until(lambda: parked(ann) == [thread])
    for user, seen in ((ann, [thread]), (root, [thread]), (bob, [])):
        assert parked(user) == parked(user, "/quota") == seen
    for method, path in (("POST", f"{thread}/resume"), ("DELETE", thread)):
        assert bob.ask(method, f"/quota/parked/{path}").status_code == 404
    assert parked(ann) == [thread], "it still goes on at its time"
    assert root.ask("POST", f"/quota/parked/{thread}/resume").status_code == 200
    wait_until(lambda: "It went on." in ann.ask("GET", f"/threads/{thread}/state").text)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)
