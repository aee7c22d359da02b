from typing import Any

import pytest

from potluck.simulator.reply import Reply, Usage

LONG = [{"role": "user", "content": "x" * 40_000}]


async def statuses(simulator: Any, count: int, provider: str = "groq", **body: object) -> list[int]:
    return [(await simulator.chat(provider, **body)).status_code for _ in range(count)]


async def test_minute_runs_out_and_comes_back(limited: Any) -> None:
    assert await statuses(limited, 31) == [200] * 30 + [429]
    refused = await limited.chat("groq")
    assert "requests per minute (RPM): Limit 30, Used 30" in refused.json()["error"]["message"]
    limited.clock.advance(float(refused.headers["retry-after"]))
    assert await statuses(limited, 1) == [200]


async def test_day_runs_out_until_pacific_midnight(limited: Any) -> None:
    answers = []
    for _ in range(21):
        answers.append(await limited.generate())
        limited.clock.advance(60)
    assert [answer.status_code for answer in answers] == [200] * 20 + [429]
    [violation] = answers[-1].json()["error"]["details"][1]["violations"]
    assert violation["quotaId"].startswith("GenerateRequestsPerDay")
    limited.clock.advance(86_400)
    assert (await limited.generate()).status_code == 200


async def test_headers_count_down_and_tell_the_reset(limited: Any) -> None:
    first, second = await limited.chat("groq"), await limited.chat("groq")
    assert first.headers["x-ratelimit-limit-requests"] == "1000"
    assert first.headers["x-ratelimit-remaining-requests"] == "999"
    assert second.headers["x-ratelimit-remaining-requests"] == "998"
    assert first.headers["x-ratelimit-reset-requests"] == "1m26.4s"
    left = [int(one.headers["x-ratelimit-remaining-tokens"]) for one in (first, second)]
    assert 8000 > left[0] > left[1]


async def test_real_usage_is_what_counts_in_the_end(limited: Any) -> None:
    limited.script.on(Reply("x", usage=Usage(100, 7000)))
    await limited.chat("groq")
    refused = await limited.chat("groq", messages=[{"role": "user", "content": "x" * 8000}])
    assert refused.status_code == 429
    assert "(TPM)" in refused.json()["error"]["message"]


async def test_too_large_a_request_is_refused_for_good(limited: Any) -> None:
    refused = await limited.chat("groq", messages=LONG)
    assert refused.status_code == 413
    assert "Request too large" in refused.json()["error"]["message"]
    assert "retry-after" not in refused.headers


async def test_models_have_their_own_budget_at_groq(limited: Any) -> None:
    await statuses(limited, 31)
    assert await statuses(limited, 1, model="another") == [200]


async def test_the_account_is_one_budget_at_openrouter(limited: Any) -> None:
    await statuses(limited, 20, "openrouter")
    assert await statuses(limited, 1, "openrouter", model="another") == [429]


async def test_keys_have_budgets_of_their_own(limited: Any) -> None:
    await statuses(limited, 31)
    limited.client.headers["authorization"] = "Bearer another-key"
    assert await statuses(limited, 1) == [200]


async def test_cerebras_reserves_the_largest_answer(limited: Any) -> None:
    assert await statuses(limited, 4, "cerebras") == [200, 200, 200, 429]
    limited.meter.reset()
    assert await statuses(limited, 4, "cerebras", max_completion_tokens=100) == [200] * 4


async def test_a_model_that_is_not_free_has_limit_zero(limited: Any) -> None:
    refused = await limited.generate("gemini-3.1-pro")
    assert refused.status_code == 429
    assert "limit: 0" in refused.json()["error"]["message"]


async def test_failed_calls_use_up_nothing(limited: Any) -> None:
    limited.script.on(Reply.failing("server_error"), times=40)
    assert await statuses(limited, 40) == [500] * 40
    assert await statuses(limited, 1) == [200]


@pytest.mark.parametrize("provider", ["groq", "openrouter", "cohere", "cerebras"])
async def test_without_enforcement_nothing_runs_out(simulator: Any, provider: str) -> None:
    assert await statuses(simulator, 60, provider) == [200] * 60


async def test_without_enforcement_headers_show_plenty(simulator: Any) -> None:
    await statuses(simulator, 40)
    response = await simulator.chat("groq")
    assert response.headers["x-ratelimit-remaining-requests"] == "999"
