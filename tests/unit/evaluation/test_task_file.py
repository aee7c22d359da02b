"""The suite itself: enough of everything, nothing twice, and nothing that cannot hold."""

import re
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from potluck.errors import ConfigError
from potluck.evaluation.plan_of_use import requests_of
from potluck.evaluation.task import TaskClass
from potluck.evaluation.task_file import chosen, load_tasks
from potluck.settings import PROJECT_DIR

TASKS = load_tasks()


def test_there_are_at_least_forty_tasks_of_every_class_in_two_languages() -> None:
    assert len(TASKS) >= 40
    assert {task.kind for task in TASKS} == set(get_args(TaskClass))
    assert sum(task.language == "ja" for task in TASKS) >= 12


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)
def test_no_answer_can_be_guessed_from_the_request(task: object) -> None:
    """What the answer must have comes from a tool, a file or thinking, never from the request."""
    assert hasattr(task, "checks")
    if task.kind != "chat":  # type: ignore[attr-defined] # checked above
        for wanted in task.checks.answer_has:  # type: ignore[attr-defined]
            assert not re.search(rf"\b{re.escape(wanted)}\b", task.request)  # type: ignore[attr-defined]


def test_every_task_that_may_be_done_wrongly_is_checked() -> None:
    for task in TASKS:
        checks = task.checks
        assert any(
            (checks.answer_has, checks.answer_lacks, checks.asks, checks.not_called, checks.files)
        ), task.id


def test_tasks_are_chosen_by_class_and_id() -> None:
    assert {task.kind for task in chosen(TASKS, kinds=["chat"])} == {"chat"}
    assert [task.id for task in chosen(TASKS, ids=["tool-product"])] == ["tool-product"]
    assert all(task.id.startswith("web-") for task in chosen(TASKS, ids=["web-*"]))
    assert chosen(TASKS, ids=["nothing"]) == ()


CHAT = "- {id: %s, class: %s, request: %s, answer: a, checks: {}%s}\n"


@pytest.mark.parametrize(
    "entry",
    [
        CHAT % ("x", "nonsense", "r", ""),
        CHAT % ("x", "chat", "r", ", moves: [{id: a, tool: t, needs: [b]}]"),
        CHAT % ("x", "chat", "r", "") + CHAT % ("x", "chat", "s", ""),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(tmp_path: Path, entry: str) -> None:
    (tmp_path / "tasks.yaml").write_text(entry)
    with pytest.raises(ConfigError):
        load_tasks(tmp_path)


def test_use_is_told_before_it_is_made() -> None:
    assert requests_of(chosen(TASKS, ids=["chat-hello"])) == 1
    assert requests_of(chosen(TASKS, ids=["tool-product"])) == 2
    assert requests_of(chosen(TASKS, ids=["several-chain"])) == 5
    assert requests_of(chosen(TASKS, ids=["thinking-6"])) == 5


def test_the_guide_tells_the_suite_as_it_is(tmp_path: Path) -> None:
    text = (PROJECT_DIR / "docs" / "evaluation.md").read_text("utf-8")
    (tmp_path / "tasks.yaml").write_text(text.partition("```yaml\n")[2].partition("```")[0])
    assert [task.id for task in load_tasks(tmp_path)] == ["example-sum"]
    counts = Counter(task.kind for task in TASKS)
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", text, re.MULTILINE))
    assert {kind: int(count) for kind, count in rows.items()} == counts
    assert f"a suite of {len(TASKS)} tasks" in text
