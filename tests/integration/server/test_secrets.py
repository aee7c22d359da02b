"""Marked secrets are planted, a session with errors of all kinds is held, and nobody finds them."""

import contextlib
import gzip
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg
import pytest
from ruamel.yaml import YAML

from potluck.database import database_url
from potluck.settings import PROJECT_DIR, Settings
from potluck.simulator.reply import Fault, Reply
from potluck.simulator.request import ModelRequest
from potluck.simulator.server import SimulatorServer
from tests.conftest import PotluckServer, make_home

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

MARK = "planted5ecret"
GIVEN = "given5ecret-to-a-tool"
"""What a program of the user's is given, and tells: it stands in that program's environment."""
ANN = f"{MARK}-of-ann"
MCP_SERVER = Path(__file__).parents[1] / "tools" / "mcp_notes_server.py"
KEYS = f"ann:{ANN},root:{MARK}-of-root:admin,{MARK}-bare"
# Every place from where a program in the sandbox might read what the server knows
SPY = (
    "env; set; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline; ps axeww; "
    "cat {home}/.env {home}/server.json {home}/output.log {config}/*; ls -R {home}; "
    "for fd in /proc/self/fd/*; do readlink $fd; done; cat /proc/[0-9]*/mem; true"
)


@dataclass
class Stage:
    """A server with planted secrets, and all that anybody has been told."""

    server: PotluckServer
    simulator: SimulatorServer
    database: str
    traces: "Collector"
    told: list[str] = field(default_factory=list)

    def ask(self, method: str, path: str, body: object = None, key: str = ANN) -> str:
        """A request; its answer with its headers is kept, whatever it is."""
        answer = httpx.request(
            method,
            self.server.url + path,
            json=body,
            headers={"Authorization": f"Bearer {key}", "X-Chat-Id": "one"},
            timeout=60,
        )
        said = f"{answer.status_code} {answer.headers} {answer.text}"
        self.told.append(f"{method} {path}: {said}")
        return said


class Collector(ThreadingHTTPServer):
    """Takes in traces, as Jaeger and its like do."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.keys: set[str] = set()
        super().__init__(("127.0.0.1", 0), _Collecting)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Collecting(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        is_packed = self.headers.get("Content-Encoding") == "gzip"
        self.server.bodies.append(gzip.decompress(body) if is_packed else body)
        self.server.keys.add(self.headers.get("X-Collector-Key", ""))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing is to be printed."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def catalog(folder: Path, simulator: str) -> set[str]:
    """The shipped providers, all reached at the simulator with keys; the names of the keys."""
    folder.mkdir()
    yaml = YAML()
    shipped = yaml.load(PROJECT_DIR / "config" / "providers.yaml")
    names: set[str] = set()
    for name, provider in shipped["providers"].items():
        path = urlsplit(str(provider.get("base_url") or "")).path.rstrip("/")
        if "api_key_env" not in provider or "$" in path:
            provider["enabled"] = False
            continue
        provider["base_url"] = f"{simulator}/{name}{path}"
        provider.pop("limits", None)
        given = provider["api_key_env"]
        names |= {given} if isinstance(given, str) else set(given)
    yaml.dump(shipped, folder / "providers.yaml")
    (folder / "limits.yaml").write_text(
        "optimization: {enable_caching: false}\nparking: {wait_limit_seconds: 1}\n"
    )
    return names


def tools(folder: Path) -> dict[str, str]:
    """Tools that are given keys, some of which they tell; the variables with these keys."""
    local = {"command": sys.executable, "args": [str(MCP_SERVER)], "sandbox": False}
    servers = {
        "notes": {**local, "env": {"NOTES_KEY": "${NOTES_KEY}"}},
        "gone": {"url": "http://127.0.0.1:1/mcp?key=${NOTES_KEY}"},
    }
    (folder / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
    (folder / "tools.yaml").write_text(
        "tools: {mcp_notes_environment: allow}\ndatabases: {sales: {url_env: SALES_URL}}\n"
    )
    # Not escaped, so that its end is taken for the host's name
    url = f"postgresql://sales:first@{GIVEN}@127.0.0.1:1/sales"
    return {"NOTES_KEY": GIVEN, "SALES_URL": url}


@pytest.fixture
def stage(start_server: Callable[..., PotluckServer], collector: Collector) -> Iterator[Stage]:
    home = make_home()
    with (
        SimulatorServer() as simulator,
        database_url(Settings(potluck_home=home, database_url=None)) as database,
    ):
        names = catalog(home / "config", simulator.url)
        # The embedded PostgreSQL trusts its socket: any password will do.
        parts = urlsplit(database)
        user = parts.netloc.rpartition("@")[0].partition(":")[0]
        host = parts.netloc.rpartition("@")[2]
        planted = parts._replace(netloc=f"{user}:{MARK}-d%40ta%2Fbase@{host}").geturl()
        env = {
            **{name: f"{MARK}-{name.lower()}" for name in names},
            **tools(home / "config"),
            "POTLUCK_CONFIG_DIR": str(home / "config"),
            "POTLUCK_API_KEYS": KEYS,
            "POTLUCK_OPENWEBUI_JWT_SECRET": f"{MARK}-shared-with-open-webui-for-signing",
            "POTLUCK_LOG_LEVEL": "debug",
            "DATABASE_URL": planted,
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-collector-key={MARK}-of-collector",
            "POTLUCK_TRACE_CONTENTS": "true",
        }
        server = start_server(env=env)
        yield Stage(server, simulator, database, collector)
        server.stop()
    shutil.rmtree(home)


def echoing(status: int) -> Callable[[ModelRequest], Reply]:
    """An error that quotes the key: alone, in a URL, in a header, and half hidden in JSON."""

    def reply(request: ModelRequest) -> Reply:
        key = request.key or "none"
        text = f"Incorrect API key provided: {key}. See https://{key}@api.example/v1?key={key}"
        error = {"message": text, "type": "auth", "param": {"authorization": f"Bearer {key}"}}
        fault = Fault(status=status, body={"error": error}, headers={"x-echo": key})
        return Reply(fault=fault)

    return reply


def chat(text: str, model: str = "potluck", **more: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def run_of(text: str) -> dict[str, object]:
    asked = {"messages": [{"role": "user", "content": text}]}
    modes = ["values", "updates", "messages", "custom", "debug"]
    return {"assistant_id": "agent", "input": asked, "stream_mode": modes}


def ask_every_door(stage: Stage, text: str) -> None:
    stage.ask("POST", "/v1/chat/completions", chat(text))
    stage.ask("POST", "/v1/chat/completions", chat(text, "auto", stream=True))
    stage.ask("POST", "/v1/responses", {"model": "potluck", "input": text})
    stage.ask("POST", "/v1/responses", {"model": "auto", "input": text, "stream": True})
    stage.ask("POST", "/agent/invoke", {"input": text})
    stage.ask("POST", "/agent/stream", {"input": text})
    stage.ask("POST", "/chain/invoke", {"input": text})
    stage.ask("POST", "/runs/wait", run_of(text))
    stage.ask("POST", "/runs/stream", run_of(text))


def spy_with_tools(stage: Stage) -> None:
    script = stage.simulator.script
    for tool, given in (
        ("shell", {"command": SPY.format(home=stage.server.home,
                                         config=stage.server.env["POTLUCK_CONFIG_DIR"])}),
        ("python", {"code": "import os, sys; print(dict(os.environ), sys.argv, vars())"}),
        ("read_file", {"path": "/proc/self/environ"}),
        ("fetch_page", {"url": "http://127.0.0.1:1/"}),
        ("mcp_notes_environment", {"name": "NOTES_KEY"}),
        ("query_database", {"sql": "schema", "database": "sales"}),
    ):  # fmt: skip
        script.clear()
        script.on(Reply.call(tool, **given), results=0)
        script.on(lambda request: Reply(text=f"It says {request.messages[-1].text}"))
        thread = json.loads(
            httpx.post(f"{stage.server.url}/threads", headers={"X-Api-Key": ANN}, json={}).text
        )["thread_id"]
        stage.ask("POST", f"/threads/{thread}/runs/stream", run_of(f"Use {tool}"))
        stage.ask("GET", f"/threads/{thread}/state")
        stage.ask("GET", f"/threads/{thread}/history")


def meet_errors(stage: Stage) -> None:
    script = stage.simulator.script
    for status in (401, 400, 429, 500):
        script.clear()
        script.on(echoing(status))
        ask_every_door(stage, f"What is the weather, {status}?")
    script.clear()
    script.on(lambda request: Reply(text="Half an ans", cut_after=2, cut="error",
                                    fault=echoing(500)(request).fault))  # fmt: skip
    stage.ask("POST", "/v1/chat/completions", chat("A tale", stream=True))
    script.clear()
    script.on(Reply(fault=Fault.named("drop")))
    stage.ask("POST", "/v1/chat/completions", chat("Anybody?"))


def look_around(stage: Stage) -> None:
    quota = ["/quota", "/quota/hours", "/quota/parked", "/metrics", "/dashboard"]
    for path in [*quota, "/v1/models", "/info", "/openapi.json", "/agent/input_schema", "/nowhere"]:
        stage.ask("GET", path)
        stage.ask("GET", path, key=f"{MARK[:4]}-wrong")
    for headers in (
        {"X-Potluck-User": f"{MARK}-of-root"},
        {"Authorization": f"Basic {MARK}"},
        {"X-OpenWebUI-User-Jwt": f"{MARK}.{MARK}.{MARK}"},
    ):
        answer = httpx.get(f"{stage.server.url}/quota", headers={"X-Api-Key": ANN} | headers)
        stage.told.append(f"{answer.status_code} {answer.headers}")
    for path in ("/threads/search", "/assistants/search", "/store/namespaces", "/store/items"):
        stage.ask("POST", path, {})
    stage.ask("POST", "/v1/chat/completions", {"model": 5})
    stage.ask("POST", "/threads", [])


def cut_the_database(stage: Stage) -> None:
    """Every connection of the server is ended in the middle of its work."""
    script = stage.simulator.script
    script.clear()
    script.on(Reply(text="Fine."))
    with psycopg.connect(stage.database, autocommit=True) as connection:
        for _ in range(3):
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            ask_every_door(stage, "What is the weather without a database?")
            stage.ask("GET", "/quota")


def kept_in(database: str) -> Iterator[tuple[str, bytes]]:
    """Every table of the database, as text."""
    with psycopg.connect(database, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) "
            "FROM information_schema.tables WHERE table_type = 'BASE TABLE' "
            "AND table_schema NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for (table,) in rows:
            with connection.cursor().copy(f"COPY {table} TO STDOUT") as copy:  # type: ignore[arg-type] # quoted by PostgreSQL
                yield table, b"".join(bytes(part) for part in copy)


def processes_of(server: PotluckServer) -> str:
    """The command lines of the server and all it has started."""
    assert server.process is not None
    root = psutil.Process(server.process.pid)
    lines = []
    for process in [root, *root.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            lines.append(" ".join([process.name(), *process.cmdline()]))
    return "\n".join(lines)


def environments_of_children(server: PotluckServer) -> str:
    assert server.process is not None
    found = []
    for process in psutil.Process(server.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            found.append(f"{process.name()} {process.environ()}")
    return "\n".join(found)


def places_with_secrets(stage: Stage, processes: str, secret: str = MARK) -> list[str]:
    mark = secret.encode()
    # What the database holds as bytes is shown in hexadecimal.
    forms = (mark, mark.hex().encode())
    found = [f"told: {said[:3_000]}" for said in stage.told if secret in said]
    for where, text in (
        ("processes", processes),
        ("sent to models", json.dumps([str(one.body) for one in stage.simulator.log])),
    ):
        found += [f"{where}: {line[:500]}" for line in text.splitlines() if secret in line]
    for body in stage.traces.bodies:
        at = body.find(mark)
        found += [f"trace: {body[max(0, at - 200) : at + 100]!r}"] if at >= 0 else []
    for table, rows in kept_in(stage.database):
        lines = [line for line in rows.splitlines() if any(form in line for form in forms)]
        found += [f"table {table}: {line[:800]!r}" for line in lines[:1]]
    for folder, _, names in os.walk(stage.server.home):
        for name in names:
            path = Path(folder, name)
            with contextlib.suppress(OSError):
                lines = [one for one in path.read_bytes().splitlines() if mark in one]
                found += [f"file {path}: {line[:500]!r}" for line in lines[:3]]
    return found


def test_no_secret_is_found_anywhere_after_a_session_with_errors(stage: Stage) -> None:
    # First: after the errors no provider is asked for a while.
    spy_with_tools(stage)
    meet_errors(stage)
    look_around(stage)
    cut_the_database(stage)
    processes = f"{processes_of(stage.server)}\n{environments_of_children(stage.server)}"
    # What is still to be written and sent is, at the end.
    stage.server.stop()
    assert stage.traces.keys == {f"{MARK}-of-collector"}
    assert any(b"gen_ai" in body for body in stage.traces.bodies), "calls were traced"
    assert any("401" in said for said in stage.told)
    assert any("tool_result" in said and "PATH=" in said for said in stage.told), "it has spied"
    assert any("It says [key]" in said for said in stage.told), "a tool has told its key"
    assert any("failed to resolve host" in said for said in stage.told)
    keys = {one.request.key for one in stage.simulator.log if one.request}
    assert any(key and MARK in key for key in keys), "the providers were asked with the keys"
    found = places_with_secrets(stage, processes) + places_with_secrets(stage, "", GIVEN)
    assert not found, "\n\n".join(found)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", f"postgresql://potluck:{MARK}@127.0.0.1:1/potluck"),
        ("DATABASE_URL", f"postgresql://potluck:first@{MARK}@127.0.0.1:1/potluck"),
        ("DATABASE_URL", f"postgresql://potluck:first/{MARK}@127.0.0.1:1/potluck"),
        ("DATABASE_URL", f"mysql://potluck:{MARK}@127.0.0.1:1/potluck"),
        ("REDIS_URL", f"redis://:{MARK}@127.0.0.1:1/0"),
        ("REDIS_URL", f"nothing://:{MARK}@127.0.0.1:1/0"),
        ("POTLUCK_API_KEYS", f"a b:{MARK}"),
        ("POTLUCK_API_KEYS", f"system:{MARK}"),
        ("POTLUCK_API_KEYS", f"ann:{MARK},bob:{MARK}"),
    ],
)
def test_a_start_that_fails_tells_the_setting_and_no_secret(name: str, value: str) -> None:
    server = PotluckServer(make_home(), env={name: value, "POTLUCK_LOG_LEVEL": "debug"})
    with pytest.raises(AssertionError):
        server.start()
    assert name in server.output
    assert MARK not in server.output
    shutil.rmtree(server.home)
