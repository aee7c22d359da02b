"""haproxy.cfg is one that HAProxy takes, and asks the servers that there are."""

import re
import subprocess

from nodes.budget import DEFAULT_MAX_SECONDS
from potluck.server.draining import NOTICED_S
from potluck.server.guard import OPEN_PATHS
from tests.unit.deploy.stack import DEPLOY, needed, server_names, services

FILE = DEPLOY / "haproxy.cfg"
TEXT = FILE.read_text("utf-8")


def sections(kind: str) -> dict[str, str]:
    found = re.findall(rf"^{kind} (\w+)\n((?:(?:    .*)?\n)+)", TEXT, re.MULTILINE)
    return dict(found)


def test_haproxy_takes_it() -> None:
    haproxy = needed("haproxy", "`apt install haproxy`")
    done = subprocess.run(
        [haproxy, "-c", "-f", str(FILE)], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if "WARNING" in line]
    # Their names are known inside of compose's network alone
    assert [line for line in warnings if "could not resolve address 'potluck-" not in line] == []


def test_every_backend_has_all_servers() -> None:
    backends = sections("backend")
    assert set(backends) == {"ready", "alive"}
    for text in backends.values():
        named = re.findall(r"^    server (\S+) (\S+)$", text, re.MULTILINE)
        assert named == [(name, f"{name}:8123") for name in server_names()]


def test_it_asks_doors_that_are_open_without_a_key() -> None:
    asked = re.findall(r"http-check send meth GET uri (\S+)", TEXT)
    assert sorted(asked) == ["/live", "/ready"]
    assert set(asked) <= OPEN_PATHS


def test_only_what_may_be_asked_twice_is_asked_twice() -> None:
    for text in sections("backend").values():
        assert "http-request disable-l7-retry unless METH_GET or { method HEAD OPTIONS }" in text


def test_it_is_silent_longer_than_the_longest_run() -> None:
    # Unless its caller gives it more; what it waits for is not counted
    for side in ("client", "server"):
        [minutes] = re.findall(rf"timeout {side} +(\d+)m", TEXT)
        assert int(minutes) * 60 > 2 * DEFAULT_MAX_SECONDS


def test_a_stopping_server_is_left_out_before_it_takes_nothing_more() -> None:
    [every_s, fast_ms, falls] = re.findall(
        r"check inter (\d+)s fastinter (\d+)ms .* fall (\d)", TEXT
    )[0]
    assert int(every_s) + int(fast_ms) / 1000 * (int(falls) - 1) < NOTICED_S


def test_compose_gives_it_the_time_that_it_takes_to_stop() -> None:
    balancer = services()["balancer"]
    [drain_s] = re.findall(r"hard-stop-after (\d+)s", TEXT)
    assert int(balancer["stop_grace_period"].removesuffix("s")) > int(drain_s)
    assert balancer["stop_signal"] == "SIGUSR1"


def test_compose_asks_what_it_answers_itself() -> None:
    [path] = re.findall(r"monitor-uri (\S+)", TEXT)
    [port] = re.findall(r"bind :(\d+)", TEXT)
    assert services()["balancer"]["healthcheck"]["test"][-1] == f"http://127.0.0.1:{port}{path}"
    assert services()["balancer"]["ports"][0].endswith(f":{port}")
