"""What is counted, and that nothing makes the series grow without end."""

import asyncio
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from potluck.errors import ErrorKind, ErrorScope, ProviderError, ProviderFault, SandboxError
from potluck.providers.observed import ChainRecord
from potluck.quota.calls import CallRecord
from potluck.sandbox.outcome import Outcome
from potluck.server.metrics import MOST_MODELS, Metrics
from potluck.server.metrics_loop import lag_watched
from potluck.server.metrics_sandbox import CountedRunner

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def record(**more: Any) -> CallRecord:
    facts = {"provider": "groq", "model": "m", "outcome": "answered", "input_tokens": 30}
    told = {"at": NOW, "key_id": "k", "task_type": "general", "priority": "batch", **facts}
    return CallRecord(**told | more)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def test_a_call_counts_with_its_tokens_and_times(metrics: Metrics) -> None:
    metrics.note_call(record(output_tokens=7, first_token_s=0.3, duration_s=1.5))
    groq = {"provider": "groq", "model": "m"}
    assert value(metrics, "potluck_calls_total", **groq, outcome="answered") == 1
    assert value(metrics, "potluck_tokens_total", **groq, direction="input") == 30
    assert value(metrics, "potluck_tokens_total", **groq, direction="output") == 7
    first = "potluck_time_to_first_token_seconds_bucket"
    assert value(metrics, first, provider="groq", le="0.25") == 0
    assert value(metrics, first, provider="groq", le="0.5") == 1
    assert value(metrics, "potluck_call_duration_seconds_sum", provider="groq") == 1.5


def test_an_answer_from_the_cache_uses_nothing_and_saves_something(metrics: Metrics) -> None:
    metrics.note_call(record(outcome="cached", output_tokens=7, first_token_s=0.001))
    groq = {"provider": "groq", "model": "m"}
    assert value(metrics, "potluck_cache_hits_total", **groq) == 1
    assert value(metrics, "potluck_cache_saved_tokens_total", direction="input") == 30
    assert value(metrics, "potluck_tokens_total", **groq, direction="input") is None
    assert value(metrics, "potluck_time_to_first_token_seconds_count", provider="groq") is None


def test_a_failure_counts_by_its_kind_and_not_as_an_answers_time(metrics: Metrics) -> None:
    metrics.note_call(record(outcome="failed", error="day", duration_s=9))
    told = value(metrics, "potluck_call_failures_total", provider="groq", model="m", kind="day")
    assert told == 1
    assert value(metrics, "potluck_call_duration_seconds_count", provider="groq") is None


def test_who_was_passed_over_counts_only_if_another_answered(metrics: Metrics) -> None:
    fault = ProviderFault(ErrorKind.OVERLOAD, ErrorScope.MODEL, "busy")
    passed = (ProviderError("groq", "m", fault),)
    labels = {"provider": "groq", "model": "m", "kind": "overload"}
    metrics.note_chain(ChainRecord("general", "failed", passed, 1.0))
    assert value(metrics, "potluck_fallbacks_total", **labels) is None
    metrics.note_chain(ChainRecord("general", "fallback", passed, 1.0))
    assert value(metrics, "potluck_fallbacks_total", **labels) == 1
    assert value(metrics, "potluck_chain_calls_total", outcome="failed") == 1
    assert value(metrics, "potluck_chain_calls_total", outcome="first") == 0


def test_runs_count_by_how_they_ended(metrics: Metrics) -> None:
    assert value(metrics, "potluck_runs_total", status="error") == 0
    metrics.note_run("error", 3.0)
    assert value(metrics, "potluck_runs_total", status="error") == 1
    assert value(metrics, "potluck_run_duration_seconds_sum", status="error") == 3.0


def test_models_without_end_share_one_series(metrics: Metrics) -> None:
    for number in range(MOST_MODELS + 1000):
        metrics.note_call(record(model=f"m{number}"))
    other = {"provider": "other", "model": "other", "outcome": "answered"}
    assert value(metrics, "potluck_calls_total", **other) == 1000
    [calls] = [one for one in metrics.registry.collect() if one.name == "potluck_calls"]
    assert len({sample.labels["model"] for sample in calls.samples}) == MOST_MODELS + 1


def test_the_build_is_told(metrics: Metrics) -> None:
    [build] = [one for one in metrics.registry.collect() if one.name == "potluck_build"]
    assert set(build.samples[0].labels) == {
        "version", "python", "aegra", "langgraph", "langchain_core",
    }  # fmt: skip
    assert "" not in build.samples[0].labels.values()


def test_two_apps_count_apart(metrics: Metrics) -> None:
    Metrics().note_run("error", 1.0)
    assert value(metrics, "potluck_runs_total", status="error") == 0


class Scripted:
    """A runner whose cells end as told."""

    def __init__(self, ending: Outcome | Exception | None) -> None:
        self.ending = ending
        self.forgotten: list[Path] = []

    async def python(self, *_: Any, **__: Any) -> Outcome:
        if self.ending is None:
            await asyncio.sleep(10)
        if isinstance(self.ending, Exception):
            raise self.ending
        assert self.ending is not None
        return self.ending

    shell = python

    async def forget(self, workspace: Path) -> None:
        self.forgotten.append(workspace)

    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        (Outcome("391"), "ok"),
        (Outcome("", error="ZeroDivisionError"), "error"),
        (Outcome("", exit_code=2), "error"),
        (Outcome("", stopped="time"), "time"),
        (SandboxError("none here"), "refused"),
    ],
)
async def test_cells_count_by_how_they_ended(
    metrics: Metrics, ending: Outcome | Exception, told: str
) -> None:
    runner = CountedRunner(Scripted(ending), metrics.note_sandbox)
    for kind in ("python", "shell"):
        raised = pytest.raises(SandboxError) if isinstance(ending, Exception) else nullcontext()
        with raised:
            assert await getattr(runner, kind)(Path("w"), "1/0") is ending
        assert value(metrics, "potluck_sandbox_runs_total", kind=kind, result=told) == 1
        assert value(metrics, "potluck_sandbox_run_duration_seconds_count", kind=kind) == 1


async def test_a_cell_that_nobody_waits_for_any_more_was_cancelled(metrics: Metrics) -> None:
    runner = CountedRunner(Scripted(None), metrics.note_sandbox)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await runner.python(Path("w"), "wait()")
    assert value(metrics, "potluck_sandbox_runs_total", kind="python", result="cancel") == 1


async def test_the_inner_runner_forgets(metrics: Metrics) -> None:
    inner = Scripted(Outcome(""))
    await CountedRunner(inner, metrics.note_sandbox).forget(Path("w"))
    assert inner.forgotten == [Path("w")]


async def test_a_loop_that_is_blocked_is_late() -> None:
    late: list[float] = []
    async with lag_watched(late.append, every_s=0.005):
        await asyncio.sleep(0.02)
        calm = len(late)
        time.sleep(0.05)  # noqa: ASYNC251 - what the test is about
        await asyncio.sleep(0.01)
    assert calm >= 1
    assert max(late) >= 0.04
    await asyncio.sleep(0.02)
    assert len(late) < calm + 5
