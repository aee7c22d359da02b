"""What one user was answered, kept or noted is no other's, whichever door and key he comes with."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from potluck.simulator.reply import Reply
from potluck.simulator.server import SimulatorServer
from tests.conftest import PotluckServer, make_home, remove

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

# Ann has two keys: that is how she changes hers.
KEYS = "ann:of-ann,ann:anns-new-one,bob:of-bob,webui:of-webui,root:of-root:admin"
ANN = {"X-Api-Key": "of-ann"}
ANNS_NEW = {"X-Api-Key": "anns-new-one"}
BOB = {"X-Api-Key": "of-bob"}
ADA = {"X-Api-Key": "of-webui", "X-OpenWebUI-User-Id": "ada"}
EVE = {"X-Api-Key": "of-webui", "X-OpenWebUI-User-Id": "eve"}
ROOT_FOR_ANN = {"X-Api-Key": "of-root", "X-Potluck-User": "ann"}
ROOT = {"X-Api-Key": "of-root"}

Headers = dict[str, str]
_numbers = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PotluckServer]:
    """A server with one model whose answers are kept."""
    folder = tmp_path_factory.mktemp("config")
    box = {"base_url": "http://127.0.0.1:1/v1", "model": "box"}
    YAML().dump({"providers": {"box": box}}, folder / "providers.yaml")
    (folder / "limits.yaml").write_text("optimization: {enable_caching: true}\n")
    env = {"POTLUCK_CONFIG_DIR": str(folder), "POTLUCK_API_KEYS": KEYS}
    with SimulatorServer() as simulator:
        running = PotluckServer(make_home(), simulator, env=env)
        yield running.start()
        remove(running)


@pytest.fixture
def question(server: PotluckServer) -> str:
    """What nobody has asked before."""
    assert server.simulator is not None
    server.simulator.script.clear()
    server.simulator.script.on(Reply(text="An answer."))
    server.simulator.log.clear()
    return f"What is the name of ship number {next(_numbers)}?"


def post(server: PotluckServer, path: str, who: Headers, body: Any) -> httpx.Response:
    return httpx.post(server.url + path, headers=who, json=body, timeout=60)


def over_langgraph(server: PotluckServer, who: Headers, text: str, **context: str) -> None:
    asked = {"messages": [{"role": "user", "content": text}]}
    run = {"assistant_id": "agent", "input": asked, "context": context}
    answer = post(server, "/runs/wait", who, run)
    assert answer.status_code == 200, answer.text


def over_openai(server: PotluckServer, who: Headers, text: str, model: str = "potluck") -> None:
    asked = {"model": model, "messages": [{"role": "user", "content": text}]}
    answer = post(server, "/v1/chat/completions", who, asked)
    assert answer.status_code == 200, answer.text


def over_langserve(server: PotluckServer, who: Headers, text: str) -> None:
    answer = post(server, "/agent/invoke", who, {"input": text})
    assert answer.status_code == 200, answer.text


def calls(server: PotluckServer) -> int:
    """How often the provider was asked."""
    assert server.simulator is not None
    return len(server.simulator.log)


@pytest.mark.parametrize(
    "ask", [over_langgraph, over_langserve, over_openai], ids=lambda ask: ask.__name__
)
def test_an_answer_is_kept_for_its_user_alone(
    server: PotluckServer, question: str, ask: Callable[..., None]
) -> None:
    for who, expected in [
        (ANN, 1),
        (ANN, 1),
        (ANNS_NEW, 1),
        (ROOT_FOR_ANN, 1),
        (BOB, 2),
        (ADA, 3),
        (EVE, 4),
        (ADA, 4),
        (ROOT, 5),
    ]:
        ask(server, who, question)
        assert calls(server) == expected, who


def test_one_model_alone_keeps_its_answers_apart_as_well(
    server: PotluckServer, question: str
) -> None:
    for who, expected in [(ANN, 1), (ANNS_NEW, 1), (BOB, 2), (ADA, 3), (EVE, 4)]:
        over_openai(server, who, question, "auto")
        assert calls(server) == expected, who


def test_an_answer_is_the_users_whichever_door_it_came_by(
    server: PotluckServer, question: str
) -> None:
    for ask in (over_langgraph, over_langserve, over_openai):
        ask(server, ANN, question)
    assert calls(server) == 1


def test_no_context_reaches_another_users_answers(server: PotluckServer, question: str) -> None:
    over_langgraph(server, ANN, question)
    for number, tenant in enumerate(("ann", ":ann", "ann:", "", "webui/ada"), 2):
        over_langgraph(server, BOB, question, **({"tenant": tenant} if tenant else {}))
        assert calls(server) == number, tenant
    over_langgraph(server, ANN, question, tenant="work")
    assert calls(server) == 7, "a part of one's own is apart"
    over_langgraph(server, ANN, question, tenant="work")
    assert calls(server) == 7


def kept(server: PotluckServer, who: Headers) -> str:
    answer = post(server, "/v1/responses", who, {"model": "potluck", "input": "Hello"})
    return str(answer.json()["id"])


def test_a_response_is_kept_for_its_user(server: PotluckServer, question: str) -> None:
    made = {"ann": kept(server, ANN), "ada": kept(server, ADA)}

    def status(name: str, who: Headers) -> int:
        return httpx.get(f"{server.url}/v1/responses/{made[name]}", headers=who).status_code

    assert [status("ann", who) for who in (ANN, ANNS_NEW, ROOT_FOR_ANN)] == [200] * 3
    assert [status("ann", who) for who in (BOB, ROOT, ADA)] == [404] * 3
    webui = {"X-Api-Key": "of-webui"}
    assert [status("ada", who) for who in (EVE, webui, ANN)] == [404] * 3
    assert status("ada", ADA) == status("ada", webui | {"X-Potluck-User": "webui/ada"}) == 200


def thread_of_chat(server: PotluckServer, who: Headers) -> str:
    asked = {"model": "potluck", "messages": [{"role": "user", "content": "Hello"}]}
    answer = post(server, "/v1/chat/completions", who | {"X-Chat-Id": "one"}, asked)
    return answer.headers["x-potluck-thread-id"]


def test_a_chat_goes_on_with_a_new_key(server: PotluckServer, question: str) -> None:
    threads = [thread_of_chat(server, who) for who in (ANN, ANNS_NEW, ROOT_FOR_ANN, BOB, ADA, EVE)]
    assert len(set(threads[:3])) == 1
    assert len(set(threads)) == 4


def test_each_user_has_names_of_his_own_for_threads(server: PotluckServer, question: str) -> None:
    for who in (ANN, BOB, ANN, ADA):
        config = {"configurable": {"thread_id": "notes"}}
        answer = post(server, "/agent/invoke", who, {"input": "Hello", "config": config})
        assert answer.status_code == 200, answer.text

    def turns(who: Headers) -> list[int]:
        found = post(server, "/threads/search", who, {"limit": 100}).json()
        urls = [f"{server.url}/threads/{one['thread_id']}/state" for one in found]
        states = [httpx.get(url, headers=who).json() for url in urls]
        return [len(state["values"]["messages"]) for state in states if state["values"]]

    assert 4 in turns(ANN), "her second turn went on with the first"
    assert turns(ADA).count(2) >= 1


def notes(server: PotluckServer, who: Headers) -> list[str]:
    found = post(server, "/store/items/search", who, {"namespace_prefix": ["notes"]}).json()
    return [item["value"]["text"] for item in found["items"]]


@pytest.mark.parametrize("ask", [over_langgraph, over_langserve, over_openai])
def test_notes_are_those_of_whom_an_admin_acts_for(
    start_server: Callable[..., PotluckServer], ask: Callable[..., None]
) -> None:
    server = start_server(env={"POTLUCK_API_KEYS": KEYS})
    ask(server, ROOT_FOR_ANN, "Remember that I like green tea.")
    assert "green tea" in " ".join(notes(server, ANN))
    assert notes(server, ROOT) == notes(server, BOB) == []
    assert notes(server, ROOT_FOR_ANN) == notes(server, ANN)
    ask(server, ROOT, "Remember that I like black coffee.")
    assert "black coffee" in " ".join(notes(server, ROOT))
    assert "black coffee" not in " ".join(notes(server, ANN))


def test_a_user_sees_his_own_calls_and_an_admin_all(server: PotluckServer, question: str) -> None:
    def answered(who: Headers) -> list[int]:
        quota = httpx.get(f"{server.url}/quota", headers=who).json()
        hours = httpx.get(f"{server.url}/quota/hours", headers=who).json()
        last = hours["hours"][-1]["totals"]["answered"] + hours["hours"][-2]["totals"]["answered"]
        return [quota["today"]["answered"], last]

    before = {name: answered(who) for name, who in (("bob", BOB), ("eve", EVE), ("root", ROOT))}
    over_langgraph(server, BOB, question)
    over_openai(server, BOB, f"{question} Really?", "auto")
    assert answered(BOB) == [count + 2 for count in before["bob"]]
    assert answered(EVE) == before["eve"]
    assert answered(ROOT) == [count + 2 for count in before["root"]]
