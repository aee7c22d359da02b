from typing import Any

import pytest

RULE = {"when": {"text": "hello"}, "reply": {"text": "Scripted"}}


async def test_health_names_the_providers(simulator: Any) -> None:
    health = (await simulator.client.get("/_sim/health")).json()
    assert health["status"] == "ok"
    assert "groq" in health["providers"]


async def test_rules_come_in_over_http(simulator: Any) -> None:
    added = await simulator.client.post("/_sim/rules", json={"rules": [RULE]})
    assert added.status_code == 201
    answer = (await simulator.chat()).json()
    assert answer["choices"][0]["message"]["content"] == "Scripted"
    shown = (await simulator.client.get("/_sim/rules")).json()
    assert shown["rules"] == [{"used": 1, "times": None}]
    assert (await simulator.client.delete("/_sim/rules")).status_code == 204
    assert "simulated" in (await simulator.chat()).text


async def test_rules_may_say_all_that_python_can(simulator: Any) -> None:
    replies = [
        {"tool_calls": [{"name": "f", "args": {"a": 1}}], "reasoning": "Hm"},
        {"text": "x", "usage": {"input_tokens": 1, "output_tokens": 2}, "finish_reason": "length"},
        {"fault": "overload"},
        {"fault": {"status": 418, "body": {"tea": True}, "headers": {"x-pot": "tea"}}},
    ]
    body = {"rules": [{"replies": replies}], "replace": True}
    await simulator.client.post("/_sim/rules", json=body)
    first, second, third, fourth = [await simulator.chat("groq") for _ in range(4)]
    assert first.json()["choices"][0]["finish_reason"] == "tool_calls"
    assert second.json()["usage"]["total_tokens"] == 3
    assert second.json()["choices"][0]["finish_reason"] == "length"
    assert third.status_code == 498
    assert (fourth.status_code, fourth.json(), fourth.headers["x-pot"]) == (
        418,
        {"tea": True},
        "tea",
    )


async def test_troubles_come_in_over_http(simulator: Any) -> None:
    trouble = {"when": {"provider": "groq"}, "fault": "server_error", "times": 1}
    await simulator.client.post("/_sim/rules", json={"troubles": [trouble]})
    assert [(await simulator.chat("groq")).status_code for _ in range(2)] == [500, 200]
    shown = (await simulator.client.get("/_sim/rules")).json()
    assert shown["troubles"] == [{"used": 1, "times": 1}]


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({"rules": [{"when": {}}]}, "either reply or replies"),
        ({"rules": [{"reply": {"txt": "x"}}]}, "rules.0.reply.txt"),
        ({"rules": [{"when": {"text": "["}, "reply": {}}]}, "regular expression"),
        ({"rules": [{"reply": {"fault": {}}}]}, "needs a kind or a status"),
        ({"troubles": [{"chance": 0}]}, "troubles.0.chance"),
        ({"troubles": [{"every_s": 5}]}, "go together"),
        ({"troubles": [{"cut_after": [5, 1]}]}, "least and the most"),
        ([], "body"),
    ],
)
async def test_wrong_rules_are_refused_with_the_place(
    simulator: Any, body: object, what: str
) -> None:
    response = await simulator.client.post("/_sim/rules", json=body)
    assert response.status_code == 400
    assert what in response.json()["error"]
    assert simulator.script.rules == ()


async def test_log_shows_requests_and_answers_without_keys(simulator: Any) -> None:
    simulator.client.headers["authorization"] = "Bearer sk-a-very-secret-key"
    await simulator.chat("groq")
    await simulator.chat("together")
    shown = await simulator.client.get("/_sim/log", params={"provider": "groq"})
    [exchange] = shown.json()["exchanges"]
    assert exchange["request"]["messages"][0]["text"] == "Hello"
    assert "Hello" in exchange["reply"]["text"]
    assert (exchange["status"], exchange["outcome"]) == (200, "answered")
    assert "secret" not in shown.text
    assert simulator.log.last.request.key == "sk-a-very-secret-key"
    await simulator.client.delete("/_sim/log")
    assert len(simulator.log) == 0


async def test_clock_can_be_moved_on(simulator: Any) -> None:
    before = simulator.clock.now()
    moved = await simulator.client.post("/_sim/clock", json={"advance_s": 3600})
    assert moved.status_code == 200
    assert (simulator.clock.now() - before).total_seconds() >= 3600
    wrong = await simulator.client.post("/_sim/clock", json={"advance_s": -1})
    assert wrong.status_code == 400
