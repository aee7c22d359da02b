from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potluck.simulator.faults import Counts, Facts, as_bytes, go_duration, wire_error
from potluck.simulator.profile import profile_of, provider_ids
from potluck.simulator.reply import Fault, FaultKind, Reply

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ANSWERS = [kind for kind in FaultKind if kind not in {FaultKind.HANG, FaultKind.DROP}]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.134, "134ms"),
        (7.66, "7.66s"),
        (11.8125, "11.813s"),
        (60, "1m0s"),
        (86.4, "1m26.4s"),
        (179.56, "2m59.56s"),
        (5692.896, "1h34m52.896s"),
        (0, "0ms"),
    ],
)
def test_durations_read_as_go_prints_them(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text


@given(st.floats(min_value=0, max_value=1e7))
def test_durations_are_never_shorter_than_the_wait(seconds: float) -> None:
    rest, total = go_duration(seconds), 0.0
    for unit, size in (("h", 3600.0), ("m", 60.0)):
        head, found, tail = rest.partition(unit)
        if (found and not tail.startswith("s")) or (found and unit == "h"):
            total += float(head) * size
            rest = tail
    total += float(rest[:-2]) / 1000 if rest.endswith("ms") else float(rest.rstrip("s") or 0)
    assert seconds - 1e-6 <= total <= seconds + 0.002


@pytest.mark.parametrize("provider", provider_ids())
@pytest.mark.parametrize("kind", ANSWERS)
def test_every_provider_has_words_for_every_fault(provider: str, kind: FaultKind) -> None:
    profile = profile_of(provider)
    facts = Facts(model="some-model", now=NOW)
    error = wire_error(profile.dialect, profile, Fault(kind), facts)
    assert error.status >= 400
    text = as_bytes(error.body).decode() + "".join(error.headers.values())
    assert len(text) > 10
    assert "{model}" not in text
    assert not any(f"{{{name}" in text for name in ("wait", "limit", "used", "back", "message"))


def test_what_is_no_answer_has_no_words() -> None:
    profile = profile_of("groq")
    with pytest.raises(ValueError, match="hang"):
        wire_error("openai", profile, Fault(FaultKind.HANG), Facts(model="m", now=NOW))


def test_a_fault_may_be_any_answer() -> None:
    fault = Fault(status=418, body="short and stout", headers={"x-pot": "tea"})
    error = wire_error("openai", profile_of("groq"), fault, Facts(model="m", now=NOW))
    assert (error.status, error.body, error.headers) == (418, "short and stout", {"x-pot": "tea"})


def test_groq_quotes_counts_and_wait() -> None:
    facts = Facts(
        model="openai/gpt-oss-120b",
        now=NOW,
        counts=Counts(limit=8000, used=6644, requested=2931),
        retry_after_s=11.8125,
    )
    error = wire_error("openai", profile_of("groq"), Fault(FaultKind.MINUTE_TOKENS), facts)
    assert error.status == 429
    assert error.headers["retry-after"] == "12"
    message = error.body["error"]["message"]  # type: ignore[index]
    assert "`openai/gpt-oss-120b`" in message
    assert "(TPM): Limit 8000, Used 6644, Requested 2931. Please try again in 11.813s." in message


def test_gemini_names_the_quota_that_is_used_up() -> None:
    facts = Facts(model="gemini-3.8-flash", now=NOW, retry_after_s=25.46)
    fault = Fault(FaultKind.DAY_REQUESTS)
    body: Any = wire_error("gemini", profile_of("google_gemini"), fault, facts).body
    assert "Please retry in 25.46s." in body["error"]["message"]
    _, quota, retry = body["error"]["details"]
    [violation] = quota["violations"]
    assert violation["quotaId"] == "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
    assert violation["quotaDimensions"]["model"] == "gemini-3.8-flash"
    assert retry["retryDelay"] == "26s"


def test_openrouter_tells_the_reset_in_milliseconds() -> None:
    facts = Facts(model="m", now=NOW, retry_after_s=60)
    fault = Fault(FaultKind.DAY_REQUESTS)
    body: Any = wire_error("openai", profile_of("openrouter"), fault, facts).body
    told = body["error"]["metadata"]["headers"]["X-RateLimit-Reset"]
    assert told == str(int(NOW.timestamp() * 1000) + 60_000)


async def test_scripted_fault_shows_in_the_headers_too(simulator: Any) -> None:
    simulator.script.on(Reply.failing("minute_tokens", retry_after_s=90.5))
    response = await simulator.chat("groq")
    assert response.status_code == 429
    assert response.headers["x-ratelimit-remaining-tokens"] == "0"
    assert response.headers["x-ratelimit-reset-tokens"] == "1m30.5s"
    assert response.headers["retry-after"] == "91"
    assert response.headers["x-ratelimit-remaining-requests"] == "999"
    assert simulator.log.last.answer_headers["retry-after"] == "91"


@pytest.mark.parametrize(
    ("provider", "status"), [("groq", 401), ("mistral", 401), ("together", 401), ("my_box", 401)]
)
async def test_bad_key_is_refused(simulator: Any, provider: str, status: int) -> None:
    simulator.client.headers["authorization"] = "Bearer bad-key"
    assert (await simulator.chat(provider)).status_code == status


async def test_no_key_is_refused_only_where_one_is_needed(simulator: Any) -> None:
    del simulator.client.headers["authorization"]
    assert (await simulator.chat("groq")).status_code == 401
    assert (await simulator.chat("my_box")).status_code == 200
    assert (await simulator.chat("huggingface")).status_code == 200


async def test_huggingface_refuses_the_model_its_class_makes_up(simulator: Any) -> None:
    response = await simulator.chat("huggingface", model="dummy")
    assert response.json()["error"]["code"] == "model_not_supported"


async def test_names_users_give_a_provider_stand_for_it(simulator: Any) -> None:
    response = await simulator.chat("groq_llama")
    assert "x-ratelimit-limit-requests" in response.headers
    assert simulator.log.last.request.provider == "groq_llama"


async def test_retired_models_are_gone_in_the_providers_words(simulator: Any) -> None:
    at_groq = await simulator.chat("groq", model="llama3-70b-8192")
    assert at_groq.status_code == 400
    assert at_groq.json()["error"]["code"] == "model_decommissioned"
    assert (await simulator.generate("gemini-1.5-flash")).status_code == 404
