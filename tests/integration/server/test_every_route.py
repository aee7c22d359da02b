"""Every route of the server is asked with another user's key; one that is not known here fails.

A route that is new needs a line in `ROUTES`: what another user gets who names all that Ann has.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from potluck.simulator.reply import Reply
from potluck.simulator.server import SimulatorServer
from tests.conftest import PotluckServer, make_home, remove

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

PROJECT_DIR = Path(__file__).parents[3]
MARK = "anns-own-words"
# One user is called as another begins.
KEYS = "ann:of-ann,anna:of-anna,bob:of-bob,root:of-root:admin,prom:of-prom:metrics"
STREAMS_END_S = 60
# As LangServe writes `{}` into a path
EMPTY_CONFIG = "N4XyA"

LIST_ROUTES = """
import json
from potluck.server.address import Address, announce
from potluck.server.serve import _api
from potluck.settings import Settings

def walk(routes, before=""):
    for route in routes:
        path = before + getattr(route, "path", "")
        inner = getattr(route, "original_router", None) or getattr(route, "app", None)
        nested = getattr(route, "routes", None) or getattr(inner, "routes", None)
        if getattr(route, "methods", None):
            yield from ([method, path] for method in route.methods)
        elif nested:
            yield from walk(nested, path)
        else:
            yield ["*", path]

address = Address("http://127.0.0.1:1")
announce(address)
app = _api(Settings.load(), "postgresql://nobody@127.0.0.1:1/nothing", address)
print(json.dumps(sorted(walk(app.routes))))
"""

# What wants no key, and what is the same for all who have one.
OPEN = {"GET /health", "GET /live", "GET /ready", "GET /dashboard"}
ALIKE = {
    "GET /",
    "GET /docs",
    "GET /docs/oauth2-redirect",
    "GET /info",
    "GET /openapi.json",
    "GET /v1/docs",
    "GET /v1/docs/oauth2-redirect",
    "GET /v1/models",
    "GET /v1/models/{model_id:path}",
    "GET /v1/openapi.json",
    *(
        f"GET /{door}/{place}{schema}"
        for door in ("agent", "chain")
        for place in ("", "c/{config_hash}/")
        for schema in ("config_schema", "input_schema", "output_schema")
    ),
    *(
        f"GET /{door}/{place}playground/{{file_path:path}}"
        for door in ("agent", "chain")
        for place in ("", "c/{config_hash}/")
    ),
}
# {route: the statuses that another user may get}
HIDDEN = (404,)
OWN = (200, 204)
"""Only what is the user's own is shown or changed."""
TAKEN = (409,)
NOT_FOR_USERS = (403,)
ROUTES = {
    **dict.fromkeys(
        (
            "DELETE /assistants/{assistant_id}",
            "DELETE /quota/parked/{thread_id}",
            "DELETE /runs/crons/{cron_id}",
            "DELETE /threads/{thread_id}",
            "DELETE /threads/{thread_id}/runs/{run_id}",
            "DELETE /v1/responses/{response_id}",
            "GET /assistants/{assistant_id}",
            "GET /assistants/{assistant_id}/graph",
            "GET /assistants/{assistant_id}/schemas",
            "GET /assistants/{assistant_id}/subgraphs",
            "GET /store/items",
            "GET /threads/{thread_id}",
            "GET /threads/{thread_id}/history",
            "GET /threads/{thread_id}/runs/{run_id}",
            "GET /threads/{thread_id}/runs/{run_id}/join",
            "GET /threads/{thread_id}/runs/{run_id}/stream",
            "GET /threads/{thread_id}/state",
            "GET /threads/{thread_id}/state/{checkpoint_id}",
            "GET /v1/responses/{response_id}",
            "GET /v1/responses/{response_id}/input_items",
            "PATCH /assistants/{assistant_id}",
            "PATCH /runs/crons/{cron_id}",
            "PATCH /threads/{thread_id}",
            "PATCH /threads/{thread_id}/runs/{run_id}",
            "POST /assistants/{assistant_id}/latest",
            "POST /assistants/{assistant_id}/versions",
            "POST /quota/parked/{thread_id}/resume",
            "POST /runs",
            "POST /runs/crons",
            "POST /runs/stream",
            "POST /runs/wait",
            "POST /threads/{thread_id}/commands",
            "POST /threads/{thread_id}/history",
            "POST /threads/{thread_id}/runs",
            "POST /threads/{thread_id}/runs/crons",
            "POST /threads/{thread_id}/runs/stream",
            "POST /threads/{thread_id}/runs/wait",
            "POST /threads/{thread_id}/runs/{run_id}/cancel",
            "POST /threads/{thread_id}/state",
            "POST /threads/{thread_id}/state/checkpoint",
            "POST /threads/{thread_id}/stream/events",
            "POST /v1/responses",
            "POST /v1/responses/{response_id}/cancel",
        ),
        HIDDEN,
    ),
    **dict.fromkeys(
        (
            "DELETE /store/items",
            "GET /assistants",
            "GET /quota",
            "GET /quota/hours",
            "GET /quota/parked",
            "GET /threads",
            "GET /threads/{thread_id}/runs",
            "POST /assistants",
            "POST /assistants/count",
            "POST /assistants/search",
            "POST /runs/cancel",
            "POST /runs/crons/count",
            "POST /runs/crons/search",
            "POST /store/items/search",
            "POST /store/namespaces",
            "POST /threads/prune",
            "POST /threads/search",
            "POST /v1/chat/completions",
            "PUT /store/items",
        ),
        OWN,
    ),
    **{
        f"POST /{door}/{place}{verb}": TAKEN if verb in {"batch", "invoke"} else OWN
        for door in ("agent",)
        for place in ("", "c/{config_hash}/")
        for verb in ("batch", "invoke", "stream", "stream_events", "stream_log")
    },
    # The chain keeps nothing; a thread is only a name to it.
    **{
        f"POST /chain/{place}{verb}": OWN
        for place in ("", "c/{config_hash}/")
        for verb in ("batch", "invoke", "stream", "stream_events", "stream_log")
    },
    **dict.fromkeys(("POST /agent/token_feedback", "POST /chain/token_feedback"), (422,)),
    # Files of the pages that describe the doors; the folder itself is none
    **dict.fromkeys(("* /static-offline-docs", "* /v1/static-offline-docs"), (307, 404)),
    "GET /metrics": NOT_FOR_USERS,
    "POST /threads": TAKEN,
}


@dataclass
class User:
    """Asks with one key."""

    url: str
    key: str

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        sent = {"X-Api-Key": self.key} if self.key else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.request(
            method, self.url + path, json=body, headers=sent, timeout=STREAMS_END_S
        )

    def made(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        answer = self.ask(method, path, body, **headers)
        assert answer.status_code < 300, (path, answer.text)
        return answer.json() if answer.content else None


@dataclass
class World:
    """A server on which Ann has one of everything."""

    server: PotluckServer
    ids: dict[str, str] = field(default_factory=dict)

    def user(self, name: str) -> User:
        return User(self.server.url, f"of-{name}" if name else "")


def says(text: str) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": f"{text} {MARK}"}]}


def chat(text: str) -> dict[str, object]:
    return {"model": "potluck", **says(text)}


def fill(world: World, simulator: SimulatorServer) -> None:
    ann = world.user("ann")
    simulator.script.on(Reply(text=f"It is {MARK}."))
    made = {"metadata": {"about": MARK}}
    thread = ann.made("POST", "/threads", made)["thread_id"]
    run = {"assistant_id": "agent", "input": says("Hello")}
    ann.made("POST", f"/threads/{thread}/runs/wait", run)
    assistant = ann.made(
        "POST",
        "/assistants",
        {"graph_id": "agent", "name": MARK, "context": {"instructions": MARK}},
    )
    cron = {"assistant_id": "agent", "schedule": "0 0 1 1 *", "input": says("Yearly")}
    ann.made("POST", "/runs/crons", cron)
    for namespace in (["things"], ["notes"], []):
        item = {"namespace": namespace, "key": "one", "value": {"text": MARK}}
        ann.ask("PUT", "/store/items", item)
    asked = ann.ask("POST", "/v1/chat/completions", chat("Hi"), X_Chat_Id="one")
    assert MARK in asked.text, asked.text
    response = ann.made(
        "POST", "/v1/responses", {"model": "potluck", "input": MARK, "conversation": "conv_one"}
    )
    world.ids = {
        "thread_id": thread,
        "run_id": ann.made("GET", f"/threads/{thread}/runs")[0]["run_id"],
        "checkpoint_id": ann.made("GET", f"/threads/{thread}/state")["checkpoint"]["checkpoint_id"],
        "assistant_id": assistant["assistant_id"],
        "cron_id": ann.made("POST", "/runs/crons/search", {})[0]["cron_id"],
        "response_id": response["id"],
        "item_id": response["output"][0]["id"],
        "chat_thread_id": asked.headers["x-potluck-thread-id"],
    }
    simulator.script.clear()
    simulator.script.on(Reply(text="Nothing of anybody's."))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("config")
    yaml = YAML()
    providers = {
        "box": {"base_url": "http://127.0.0.1:1/v1", "model": "box"},
    }
    yaml.dump({"providers": providers}, folder / "providers.yaml")
    (folder / "limits.yaml").write_text("parking: {wait_limit_seconds: 1}\n")
    with SimulatorServer() as simulator:
        env = {"POTLUCK_CONFIG_DIR": str(folder), "POTLUCK_API_KEYS": KEYS}
        server = PotluckServer(make_home(), simulator, env=env).start()
        made = World(server)
        fill(made, simulator)
        yield made
        remove(server)


def body_for(route: str, world: World) -> dict[str, object] | None:
    """What the route takes, with everything in it that can be named Ann's."""
    ids = world.ids
    text = {"messages": [{"role": "user", "content": "Take over."}]}
    hers = {"thread_id": ids["thread_id"], "checkpoint_id": ids["checkpoint_id"]}
    forged = {**hers, "user_id": "ann", "langgraph_auth_user": {"identity": "ann"}}
    everything: dict[str, object] = {
        **ids,
        "run_ids": [ids["run_id"]],
        "input": text,
        "inputs": [text],
        "values": text,
        "metadata": {"owner": "ann"},
        "context": {"tenant": "ann"},
        "config": {"configurable": forged},
        "checkpoint": hers,
        "status": "interrupted",
        "schedule": "* * * * *",
        "channels": ["values"],
        "id": 1,
        "method": "run.start",
        "params": {"assistant_id": "agent", "input": text},
        "namespace": ["users", "ann", "things"],
        "namespace_prefix": ["users", "ann"],
        "prefix": ["users", "ann"],
        "key": "one",
        "value": {"text": "taken"},
        "name": "taken",
        "version": 1,
        "limit": 100,
    }
    reference = {"type": "item_reference", "id": ids["item_id"]}
    own: dict[str, dict[str, object]] = {
        "POST /assistants": {"graph_id": "agent", "metadata": {"owner": "ann"}},
        "POST /runs/cancel": {"status": "all"},
        "POST /v1/chat/completions": {"model": "potluck", **text},
        "POST /v1/responses": {
            "model": "potluck",
            "input": [reference, {"role": "user", "content": "Take over."}],
            "previous_response_id": ids["response_id"],
        },
    }
    if "/c/{config_hash}/" in route:
        everything["config"] = {"configurable": {"thread_id": ids["thread_id"]}}
    return None if route.startswith("GET ") else own.get(route, everything)


def of_ann(world: World) -> dict[str, object]:
    """All that Ann has, as she sees it."""
    ann, ids = world.user("ann"), world.ids
    thread = ids["thread_id"]
    return {
        path: ann.made(method, path, body)
        for method, path, body in (
            ("GET", f"/threads/{thread}", None),
            ("GET", f"/threads/{thread}/state", None),
            ("GET", f"/threads/{thread}/runs", None),
            ("GET", f"/threads/{ids['chat_thread_id']}/state", None),
            ("GET", f"/assistants/{ids['assistant_id']}", None),
            ("GET", f"/v1/responses/{ids['response_id']}", None),
            ("POST", "/runs/crons/search", {}),
            ("POST", "/store/items/search", {"namespace_prefix": []}),
        )
    }


def address_of(path: str, world: World) -> str:
    """The path of what is Ann's."""
    known = {"model_id": "potluck", "config_hash": EMPTY_CONFIG, "file_path": "index.html"}
    filled = re.sub(r"\{(\w+)(?::path)?\}", lambda found: (world.ids | known)[found[1]], path)
    store = "?key=one&namespace=users&namespace=ann&namespace=things"
    return filled + (store if path == "/store/items" else "")


@pytest.fixture(scope="module")
def routes() -> list[str]:
    """Every method and path of the app that `potluck serve` serves."""
    home = make_home()
    listed = subprocess.run(
        [sys.executable, "-c", LIST_ROUTES],
        cwd=PROJECT_DIR,
        env=PotluckServer(home).environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    shutil.rmtree(home)
    assert listed.returncode == 0, listed.stderr
    found = {f"{method} {path}" for method, path in json.loads(listed.stdout.splitlines()[-1])}
    # What answers GET answers HEAD with the same headers.
    return sorted(one for one in found if not one.startswith("HEAD "))


def test_every_route_is_known_here(routes: list[str]) -> None:
    new = set(routes) - OPEN - ALIKE - set(ROUTES)
    assert not new, "say in ROUTES what another user gets there"
    assert not (OPEN | ALIKE | set(ROUTES)) - set(routes), "they are gone: take them out"


def test_no_route_answers_without_a_key(world: World, routes: list[str]) -> None:
    for key in ("", "wrong"):
        for route in set(routes) - OPEN if not key else list(ROUTES)[:5]:
            method, path = route.split(" ", 1)
            asked = User(world.server.url, key).ask(method, address_of(path, world), {})
            assert asked.status_code == 401, route
            assert MARK not in asked.text


def test_a_key_that_counts_opens_nothing_else(world: World, routes: list[str]) -> None:
    for route in set(routes) - OPEN:
        method, path = route.split(" ", 1)
        asked = world.user("prom").ask(method, address_of(path, world), {}, X_Potluck_User="ann")
        assert asked.status_code == (200 if path == "/metrics" else 403), route
        assert MARK not in asked.text


@pytest.mark.parametrize("other", ["bob", "anna"])
def test_no_route_shows_or_changes_what_is_anothers(
    world: World, routes: list[str], other: str
) -> None:
    before = of_ann(world)
    assert all(MARK in json.dumps(seen) for seen in before.values())
    for route in sorted(set(routes) - OPEN):
        method, path = route.split(" ", 1)
        body = body_for(route, world)
        asked = world.user(other).ask(method, address_of(path, world), body, X_Chat_Id="one")
        allowed = ROUTES.get(route, (200,))
        assert asked.status_code in allowed, (route, asked.text)
        assert MARK not in asked.text, route
        assert asked.headers.get("x-potluck-thread-id") != world.ids["chat_thread_id"]
    assert of_ann(world) == before
