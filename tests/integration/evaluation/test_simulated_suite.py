"""The agent on scripted models: what it did is checked, what it sent is counted."""

import shutil
from collections.abc import Sequence

import httpx
import pytest

from potluck.evaluation.models import ModelKind, scripted_model
from potluck.evaluation.record import Record, Result
from potluck.evaluation.simulated import simulated_model, simulated_stage
from potluck.evaluation.stage import Scene
from potluck.evaluation.suite import MAX_REQUESTS, Player, play
from potluck.evaluation.task import Task
from potluck.evaluation.task_file import chosen, load_tasks
from potluck.simulator.reply import Reply

pytestmark = pytest.mark.integration

TASKS = load_tasks()
NO_CODE = [task for task in TASKS if not task.needs_code]


async def played(
    tasks: Sequence[Task], kind: ModelKind = "strong", player: Player | None = None
) -> list[Result]:
    async with (
        simulated_model(scripted_model(kind, TASKS)) as model,
        simulated_stage(model) as (stage, own, _),
    ):
        return [r async for r in play(tasks, stage, player or own, model, model=kind)]


async def test_a_strong_model_finishes_everything_that_needs_no_code() -> None:
    results = await played(NO_CODE)
    assert {r.task: r.wrong or r.ending for r in results if not r.finished} == {}
    assert len(results) >= 30


async def test_code_is_run_and_tested_in_the_sandbox() -> None:
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    results = await played(chosen(TASKS, ids=["code-median", "data-plot", "failing-code"]))
    assert {r.task: r.wrong or r.ending for r in results if not r.finished} == {}


@pytest.mark.parametrize(
    ("task", "requests"),
    [("chat-hello", 1), ("tool-product", 2), ("several-products", 2), ("ask-which", 1)]
    + [(f"thinking-{n}", 2 + -(-n // 3)) for n in (2, 3, 6)],
)
async def test_a_finished_task_costs_what_it_should(task: str, requests: int) -> None:
    (result,) = await played(chosen(TASKS, ids=[task]))
    assert (result.finished, result.requests) == (True, requests)
    assert result.input_tokens > 0


async def test_who_only_says_that_it_is_done_has_finished_nothing() -> None:
    async def liar(scene: Scene) -> Record:
        return Record(answer=f"All is done, as you asked: {scene.task.kind}.")

    able = [task for task in TASKS if task.kind not in {"chat", "impossible"}]
    results = await played(able, player=liar)
    assert [r.task for r in results if r.finished] == []


async def test_a_run_that_goes_round_in_circles_is_stopped_and_called_a_loop() -> None:
    statuses: list[int] = []

    async def circling(_: Scene) -> Record:
        """An agent that asks and asks."""
        url = model.server.provider_url("together", "/v1/chat/completions")
        asked = {"model": "openai/gpt-oss-20b", "messages": [{"role": "user", "content": "?"}]}
        async with httpx.AsyncClient(headers={"Authorization": "Bearer key"}) as client:
            for _ in range(MAX_REQUESTS + 2):
                answer = await client.post(url, json=asked)
                statuses.append(answer.status_code)
        return Record(answer="Round and round.")

    async with (
        simulated_model(lambda _: Reply("Ask again.")) as model,
        simulated_stage(model) as (stage, _, __),
    ):
        (result,) = [r async for r in play(TASKS[:1], stage, circling, model, model="x")]
    assert (result.ending, result.finished) == ("loop", False)
    assert statuses == [200] * MAX_REQUESTS + [400] * 2


async def test_most_tasks_are_finished_with_a_weak_model() -> None:
    results = await played(NO_CODE, "weak")
    assert sum(r.finished for r in results) >= 0.9 * len(results)
    assert {r.ending for r in results} <= {"answered", "error"}


async def test_the_contrary_model_ends_no_run_in_a_loop() -> None:
    kinds = ["chat", "one_tool", "several_tools", "thinking"]
    results = await played(chosen(NO_CODE, kinds=kinds), "contrary")
    assert {r.ending for r in results} == {"answered"}
