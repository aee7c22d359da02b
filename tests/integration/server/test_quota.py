"""The quota report of a real server: after so many calls it says exactly so many."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from potluck.simulator.server import SimulatorServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

PROJECT_DIR = Path(__file__).parents[3]
CALLS = 7
MODEL = "gemini-3.5-flash-lite"


@pytest.fixture
def own_simulator() -> Iterator[SimulatorServer]:
    """A simulator whose windows no other test has used."""
    with SimulatorServer() as running:
        yield running


def ask(server: Any, number: int) -> dict[str, int]:
    answer = httpx.post(
        f"{server.url}/v1/chat/completions",
        json={
            "model": f"google_gemini/{MODEL}",
            "messages": [{"role": "user", "content": f"Question {number}"}],
        },
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    usage: dict[str, int] = answer.json()["usage"]
    return usage


def potluck(server: Any, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "potluck", *args],
        cwd=PROJECT_DIR,
        env=server.environment() | {"COLUMNS": "140"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def provider_in(report: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(p for p in report["providers"] if p["id"] == name)
    return found


def test_after_so_many_calls_the_report_says_exactly_so_many(
    start_server: Callable[..., Any], own_simulator: SimulatorServer
) -> None:
    server = start_server(simulator=own_simulator)
    with ThreadPoolExecutor(4) as threads:
        usages = list(threads.map(lambda number: ask(server, number), range(CALLS)))

    report = httpx.get(f"{server.url}/quota?days=2", timeout=30).json()

    gemini = provider_in(report, "google_gemini")
    model = next(m for m in gemini["models"] if m["id"] == MODEL)
    day = next(w for w in model["windows"] if (w["unit"], w["period"]) == ("requests", "day"))
    assert (day["limit"], day["used"], day["left"]) == (500, CALLS, 500 - CALLS)
    assert day["reset"] == "America/Los_Angeles"
    assert model["advice"]["status"] == "CAN_INCREASE"
    assert model["available"]

    today = report["today"]
    assert (today["sent"], today["answered"], today["failed"]) == (CALLS, CALLS, 0)
    assert today["input_tokens"] == sum(usage["prompt_tokens"] for usage in usages)
    assert today["output_tokens"] == sum(usage["completion_tokens"] for usage in usages)
    assert today["saved_usd"] > 0 == today["spent_usd"]
    assert [day["totals"]["sent"] for day in report["days"]] == [0, CALLS]
    assert len(own_simulator.log.requests()) == CALLS

    shown = potluck(server, "usage")
    assert shown.returncode == 0, shown.stderr
    assert f"{CALLS}/500" in shown.stdout
    assert f"today (UTC): {CALLS} calls;" in shown.stdout
    told = json.loads(potluck(server, "usage", "--json", "--days", "2").stdout)
    assert told["today"] == today
    assert told["days"] == report["days"]


def test_wrong_parameters_are_told_with_the_fix(server: Any) -> None:
    for query in ("days=0", "days=seven", "dayz=7"):
        answer = httpx.get(f"{server.url}/quota?{query}")
        assert answer.status_code == 422
        assert "/quota?days=7" in answer.text


def test_a_thread_that_is_not_parked_cannot_be_resumed_or_cancelled(server: Any) -> None:
    for option in ("--resume", "--cancel"):
        done = potluck(server, "usage", option, "no such thread")
        assert done.returncode == 1
        assert done.stderr.startswith("potluck: The server at")
        assert "Traceback" not in done.stderr
