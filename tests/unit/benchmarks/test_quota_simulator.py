"""The referee of the quota benchmark: it holds the tiers' limits, and notes what it did."""

from datetime import UTC, datetime

from benchmarks.quota_cells import Run
from benchmarks.quota_contests import joined
from benchmarks.quota_simulator import Referee, answer
from benchmarks.quota_tiers import TIERS, WARM_UP, prompt, tokens_out
from potluck.simulator.clock import Clock
from potluck.simulator.profile import profile_of
from potluck.simulator.reply import FaultKind, Usage
from potluck.simulator.request import Message, ModelRequest

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MODELS = {tier.provider: tier.models[0] for tier in TIERS}


def asked(provider: str, text: str = prompt(1), key: str = "a") -> ModelRequest:
    messages = (Message("user", text),)
    return ModelRequest(
        provider=provider, model=MODELS[provider], messages=messages, key=key, size_bytes=9_999
    )


def refusal(referee: Referee, request: ModelRequest) -> FaultKind | None:
    """Why the request is refused; an answer that takes no time follows an admission."""
    admission = referee.admit(profile_of(request.provider), request, NOW)
    if admission.denial is not None:
        return admission.denial.kind
    admission.settle(Usage(334, 100), NOW)
    return None


def test_each_tier_gives_what_its_minute_holds() -> None:
    referee = Referee(Clock())
    for provider, most, kind in (
        ("groq", 18, FaultKind.MINUTE_TOKENS),
        ("google_gemini", 15, FaultKind.MINUTE_REQUESTS),
        ("openrouter", 20, FaultKind.MINUTE_REQUESTS),
        ("sambanova", 20, FaultKind.DAY_REQUESTS),
    ):
        got = [refusal(referee, asked(provider)) for _ in range(most + 1)]
        assert got == [None] * most + [kind], provider


def test_one_answer_at_a_time_is_under_way_at_nvidia() -> None:
    referee = Referee(Clock())
    profile = profile_of("nvidia")
    first = referee.admit(profile, asked("nvidia"), NOW)
    assert refusal(referee, asked("nvidia")) is FaultKind.CONCURRENCY
    first.settle(Usage(334, 100), NOW)
    assert refusal(referee, asked("nvidia")) is None


def test_clients_have_budgets_of_their_own() -> None:
    referee = Referee(Clock())
    assert [refusal(referee, asked("google_gemini", key="a")) for _ in range(16)][-1]
    assert refusal(referee, asked("google_gemini", key="b")) is None


def test_warming_up_costs_nothing_and_is_not_noted() -> None:
    referee = Referee(Clock())
    assert [refusal(referee, asked("google_gemini", WARM_UP)) for _ in range(30)] == [None] * 30
    assert refusal(referee, asked("google_gemini")) is None
    assert len(referee.seen["a"]["google_gemini"].admitted_s) == 1


def test_answers_take_the_tiers_time_and_tell_their_use() -> None:
    reply = answer(asked("nvidia", prompt(7)))
    assert reply.delay.first_byte_s == 4.0
    assert reply.usage == Usage(334, tokens_out(7))


def test_goodput_is_what_was_admitted_in_time_and_reached_its_client() -> None:
    referee = Referee(Clock())
    for _ in range(17):
        refusal(referee, asked("google_gemini"))
    seen = {"google_gemini": referee.seen["a"]["google_gemini"].as_json(60.0)}
    found = joined({"asked": 20, "answered": 13}, seen, Run(60.0, 0.0))
    assert found["maximum"] == 20
    assert (found["answered_in_run"], found["goodput"]) == (13, 65.0)
    assert found["refusals"] == found["worst_in_window"] == 2
