import json

import pytest

from benchmarks.bridge_answers import CASES, Answer

BY_NAME = {case.name: case for case in CASES}
CHOICE = {"choices": [{"message": {"content": "Hi"}}]}


def refusal(status: int, param: str | None = None, code: str | None = None) -> Answer:
    return Answer(status, {"error": {"message": "no", "param": param, "code": code}})


def test_cases_have_names_of_their_own() -> None:
    assert len(BY_NAME) == len(CASES)


def test_no_two_servers_caches_are_asked_the_same_twice() -> None:
    contents = [case.content("m") for case in CASES]
    assert len(set(contents)) == len(contents)


@pytest.mark.parametrize(
    ("name", "answer", "is_good"),
    [
        ("plain", Answer(200, CHOICE), True),
        ("plain", refusal(400), False),
        ("n: 2", Answer(200, CHOICE), False),
        ("n: 2", Answer(200, {"choices": [1, 2]}), True),
        ("n: 2", refusal(400, "n"), True),
        ("unknown model", refusal(404, code="model_not_found"), True),
        ("unknown model", refusal(400), False),
        ("bad JSON", Answer(400, "nonsense"), False),
        ("temperature: 'hot'", refusal(422, "temperature"), False),
        ("stream", Answer(200, {}, (CHOICE, CHOICE)), True),
        ("stream", Answer(200, {}, (CHOICE, {"choices": []})), False),
        ("stream with usage", Answer(200, {}, ({"usage": {"total_tokens": 3}},)), True),
        ("stream with usage", Answer(200, {}, (CHOICE,)), False),
    ],
)
def test_answers_are_judged_as_clients_meet_them(name: str, answer: Answer, is_good: bool) -> None:
    assert BY_NAME[name].good(answer) is is_good


def test_requests_are_json_but_for_the_broken_one() -> None:
    for case in CASES:
        if case.name != "bad JSON":
            json.loads(case.content("m"))
