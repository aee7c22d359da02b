"""The aims of the benchmark: worse figures must not meet them."""

from typing import Any

from benchmarks.mind import _aims
from potluck.evaluation.record import Result
from potluck.evaluation.task_file import load_tasks

TASKS = load_tasks()
GOOD = {"chat": 1, "one_tool": 2, "thinking": 3}


def results(**changed: Any) -> list[Result]:
    return [
        Result(**{
            "task": task.id, "kind": task.kind, "model": "m", "ending": "answered", "wrong": (),
            "requests": GOOD.get(task.kind, 4), "input_tokens": 1, "output_tokens": 1,
            "tool_calls": 0, "seconds": 1.0, **changed,
        })
        for task in TASKS
    ]  # fmt: skip


def met(**runs: list[Result]) -> dict[str, bool | None]:
    own = {(kind, 0): runs.get(kind, results()) for kind in ("strong", "weak", "contrary")}
    peer = {("strong", 0): runs.get("peer", results())}
    figures = _aims({"potluck": own, "create_agent": peer}, TASKS)  # type: ignore[dict-item] # kinds by name
    return {figure.name: figure.met for figure in figures}


def test_what_is_as_it_should_be_meets_every_aim() -> None:
    assert False not in met().values()


def test_one_loop_misses_its_aim() -> None:
    loops = "loops and unhandled errors"
    assert met(contrary=[*results()[1:], results(ending="loop")[0]])[loops] is False


def test_fewer_than_nine_in_ten_with_a_weak_model_misses_its_aim() -> None:
    wrong = results(wrong=("x",))
    assert met(weak=[*wrong[:5], *results()[5:]])["finished, weak model"] is True
    assert met(weak=[*wrong[:6], *results()[6:]])["finished, weak model"] is False


def test_a_second_request_for_chat_misses_its_aim() -> None:
    assert met(strong=results(requests=2))["requests for chat"] is False


def test_a_peer_with_fewer_requests_is_told() -> None:
    name = "classes in which a peer needs fewer requests"
    assert met(peer=results(requests=1))[name] is False
    assert met(peer=results(requests=1, wrong=("x",)))[name] is True
