"""What every client program must find, and what the simulated providers answer it.

A program gets the base URL as its argument, does what is named here in its library's own way, and
prints what it found as one JSON object.
"""

import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from potluck.simulator.reply import Delay, Reply

FOLDER = Path(__file__).parent
TIMEOUT_S = 150
# Others do not notice that a client has left until they send again
CUT_TIMEOUT_S = 10
FOREIGN = ("_API_KEY", "_TOKEN", "DATABASE_URL", "REDIS_URL", "POTLUCK_", "_proxy", "_PROXY")

EXPECTED: dict[str, object] = {
    # From the agent, and from the chain alone
    "plain": ["Forty-two.", "Forty-two."],
    "streamed": ["One two three", "One two three"],
    # A function of the client's is called and its result sent back, whole and streamed
    "called": [["get_weather", {"city": "Genoa"}], ["get_weather", {"city": "Genoa"}]],
    "told": "It is sunny in Genoa.",
    "image": "I see a dot.",
    "object": {"name": "Ada", "age": 36},
    # The status, or what the library makes of it
    "unknown": 404,
    "wrong": 400,
    "spent": 429,
    "left": True,
}


def prepare(script: Any) -> None:
    """Let the simulated providers answer what the programs ask."""
    script.on(Reply.failing("minute_requests", retry_after_s=40), provider="mistral")
    script.on(Reply(text="Forty-two."), text="plain")
    script.on(Reply(text="", pieces=("One", " two", " three")), text="streamed")
    script.on(Reply.call("get_weather", city="Genoa"), text="weather", results=0)
    script.on(Reply(text="It is sunny in Genoa."), text="weather", results=1)
    script.on(Reply(text="I see a dot."), text="image")
    script.on(Reply(text='{"name": "Ada", "age": 36}'), text="person")
    script.on(Reply(text="word " * 400, delay=Delay(per_chunk_s=0.05)), text="endless")


def findings(command: Sequence[str | Path], url: str, *, cwd: Path = FOLDER) -> dict[str, object]:
    """What the program finds. Raises AssertionError with its output when it fails."""
    kept = {k: v for k, v in os.environ.items() if not any(mark in k for mark in FOREIGN)}
    done = subprocess.run(
        [*command, url],
        cwd=cwd, env=kept, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    found: dict[str, object] = json.loads(done.stdout.strip().rpartition("\n")[2])
    return found


def check(found: dict[str, object], log: Any) -> None:
    """Raise AssertionError unless all is as expected, here and at the providers."""
    assert {name: value for name, value in found.items() if value != EXPECTED[name]} == {}
    assert set(found) >= {"plain", "streamed", "unknown", "left"}
    if "image" in found:
        assert any(sum(m.images for m in asked.messages) == 1 for asked in log.requests())
    was_cut(log)


def was_cut(log: Any) -> None:
    """Raise AssertionError unless the provider's endless answer ended early."""
    deadline = time.monotonic() + CUT_TIMEOUT_S
    while time.monotonic() < deadline:
        asked = [e for e in log.exchanges() if "endless" in e.request.last_user_text]
        if asked and all(e.outcome == "client_gone" for e in asked):
            return
        time.sleep(0.1)
    raise AssertionError([e.outcome for e in asked])
