"""The chain asks the right models in the right order, and ends in words or in one error."""

import asyncio
import sys
from collections.abc import Callable
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.tools import tool
from pydantic import BaseModel

from potluck.errors import ChainError, ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.catalog import Fallback, Limits
from potluck.providers.chain import Call, Chain

Say = Callable[..., AIMessageChunk]
GONE = ConnectionError("gone")


class ApiError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status_code = status
        self.body = {"error": {"message": message}}


@tool
def look(place: str) -> str:
    """Look there."""
    return place


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, world: Any) -> list[str]:
    """A stand-in for the offline model, which has tests of its own; gives why it was asked."""
    reasons: list[str] = []
    scripted = type(world.add("stand/in"))
    world.providers.clear()
    world.scripts.clear()

    def build(why: str, *, may_change: bool) -> Any:
        reasons.append(why if may_change else f"{why}; change nothing")
        return scripted(replies=[AIMessageChunk(content="offline here")])

    module = ModuleType("potluck.providers.offline")
    module.OfflineModel = build  # type: ignore[attr-defined] # made up here
    monkeypatch.setitem(sys.modules, "potluck.providers.offline", module)
    return reasons


async def ask(chain: Chain, *, streamed: bool = False, **call: Any) -> AIMessage:
    runnable = chain.runnable(Call(**call))
    if not streamed:
        return await runnable.ainvoke("hi")
    whole: Any = None
    async for chunk in runnable.astream("hi"):
        whole = chunk if whole is None else whole + chunk
    return whole


def who(answer: AIMessage) -> str:
    metadata = answer.response_metadata
    return f"{metadata['model_provider']}/{metadata['model_name']}"


async def chain_error(chain: Chain, **call: Any) -> ChainError:
    with pytest.raises(ChainError) as caught:
        await ask(chain, **call)
    return caught.value


async def test_asks_the_first_of_the_tasks_route(world: Any) -> None:
    for ref in ("gemini/a", "groq/b", "groq/c", "other/d"):
        world.add(ref)
    chain = world.chain(routes={"code_generation": ("groq",), "general": ("other/d", "gemini")})
    assert who(await ask(chain, task_type="code_generation")) == "groq/b"
    assert who(await ask(chain, task_type="general")) == "other/d"
    assert who(await ask(chain, task_type="simple_task")) == "gemini/a"


async def test_goes_down_the_route_then_through_the_rest_then_to_the_emergency_provider(
    world: Any,
) -> None:
    for ref in ("together/e", "gemini/a", "groq/b", "other/d"):
        world.add(ref, GONE)
    failed: list[str] = []
    chain = world.chain(
        routes={"general": ("groq",)}, fallback=Fallback(emergency_provider="together")
    )
    await ask(chain, on_failover=lambda error: failed.append(error.provider))
    assert failed == ["groq", "gemini", "other", "together"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_next_model_answers_when_one_fails(
    world: Any, speak: Say, streamed: bool
) -> None:
    world.add("a/1", [speak(""), GONE])
    world.add("b/2", speak(" "))
    world.add("c/3", speak("I am here."))
    failed: list[ProviderError] = []
    answer = await ask(world.chain(), streamed=streamed, on_failover=failed.append)
    assert answer.text == "I am here."
    assert who(answer) == "c/3"
    assert [error.kind for error in failed] == [ErrorKind.NETWORK, ErrorKind.EMPTY]


class TestEmptyAnswers:
    @pytest.mark.parametrize("streamed", [False, True])
    @pytest.mark.parametrize("first", ["", "thinking"])
    async def test_the_only_model_is_asked_once_more(
        self, world: Any, speak: Say, offline: list[str], streamed: bool, first: str
    ) -> None:
        thought = {"reasoning_content": first} if first else {}
        model = world.add("a/1", speak("", additional_kwargs=thought), speak("I am here."))
        answer = await ask(world.chain(), streamed=streamed)
        assert (answer.text, who(answer)) == ("I am here.", "a/1")
        assert (len(model.calls), offline) == (2, [])

    @pytest.mark.parametrize("streamed", [False, True])
    async def test_of_several_one_is_asked_once_more(
        self, world: Any, speak: Say, streamed: bool
    ) -> None:
        first = world.add("a/1", speak(""), speak("I am here."))
        second = world.add("b/2", speak(""))
        answer = await ask(world.chain(), streamed=streamed)
        assert (answer.text, who(answer)) == ("I am here.", "a/1")
        assert (len(first.calls), len(second.calls)) == (2, 1)

    @pytest.mark.parametrize("streamed", [False, True])
    @pytest.mark.parametrize("first", ["", "thinking"])
    async def test_and_not_a_third_time(
        self, world: Any, speak: Say, offline: list[str], streamed: bool, first: str
    ) -> None:
        thought = {"reasoning_content": first} if first else {}
        model = world.add("a/1", speak("", additional_kwargs=thought))
        answer = await ask(world.chain(), streamed=streamed)
        assert answer.text == "offline here"
        assert len(model.calls) == 2
        assert "a/1: empty" in offline[0]

    async def test_a_model_that_tripped_over_them_leaves_it_to_the_next(
        self, world: Any, speak: Say
    ) -> None:
        chain = world.chain
        first = world.add("a/1", *[speak("")] * 3, speak("Too late."))
        second = world.add("b/2", speak("one"), speak("two"), speak(""), speak("I am here."))
        made = chain(routes={"general": ("a", "b")})
        assert [(await ask(made)).text for _ in range(3)] == ["one", "two", "I am here."]
        assert (len(first.calls), len(second.calls)) == (3, 4)

    async def test_other_failures_are_no_matter_of_luck(
        self, world: Any, speak: Say, offline: list[str]
    ) -> None:
        silent = world.add("a/1", speak(""))
        world.add("b/2", ApiError(401, "Invalid API Key"))
        assert (await ask(world.chain())).text == "offline here"
        assert len(silent.calls) == 1
        assert "a/1: empty" in offline[0]

    async def test_who_is_asked_alone_is_asked_once_more(self, world: Any, speak: Say) -> None:
        model = world.add("a/1", speak(""))
        error = await chain_error(world.chain(), only="a/1", most_wait_s=0.0)
        assert [e.kind for e in error.attempts] == [ErrorKind.EMPTY]
        assert len(model.calls) == 2


async def test_a_preferred_model_or_provider_is_asked_first(world: Any) -> None:
    for ref in ("a/1", "b/2", "b/3"):
        world.add(ref)
    chain = world.chain(routes={"general": ("a",)})
    assert who(await ask(chain, prefer="b/3")) == "b/3"
    assert who(await ask(chain, prefer="b")) == "b/2"
    assert who(await ask(chain, prefer="nobody/0")) == "a/1"


async def test_tools_are_never_offered_to_a_model_without_them(world: Any) -> None:
    world.add("a/1", capabilities=frozenset({"json"}))
    capable = world.add("b/2")
    chain = world.chain()
    assert who(await ask(chain, tools=[look], tool_choice="any")) == "b/2"
    assert capable.calls[0][1]["vendor_tools"][0]["function"]["name"] == "look"
    assert capable.calls[0][1]["vendor_choice"] == "any"
    assert who(await ask(chain)) == "a/1"


async def test_json_is_asked_only_of_models_that_can(world: Any) -> None:
    world.add("a/1", capabilities=frozenset({"tools"}))
    world.add("b/2", AIMessageChunk(content="{}"))
    params = {"response_format": {"type": "json_object"}}
    assert who(await ask(world.chain(), params=params)) == "b/2"


async def test_private_calls_go_only_to_who_never_trains_on_prompts(
    world: Any, offline: list[str]
) -> None:
    trains = world.add("a/1", provider={"trains_on_prompts": "yes"})
    unknown = world.add("b/2", provider={"trains_on_prompts": "unknown"})
    world.add("c/3", GONE, provider={"trains_on_prompts": "no"})
    answer = await ask(world.chain(), private=True)
    assert answer.text == "offline here"
    assert trains.calls == unknown.calls == []


async def test_a_paid_model_is_asked_when_nothing_free_is_on(world: Any) -> None:
    world.add("paid/1", provider={"paid": True, "by_name_only": True})
    assert who(await ask(world.chain())) == "paid/1"


async def test_a_paid_model_nobody_enabled_is_asked_only_by_name(world: Any) -> None:
    world.add("paid/1", provider={"paid": True, "by_name_only": True})
    world.add("free/2")
    chain = world.chain()
    assert who(await ask(chain)) == "free/2"
    assert who(await ask(chain, prefer="paid/1")) == "paid/1"
    assert who(await ask(chain, only="paid/1")) == "paid/1"


async def test_parameters_reach_every_model(world: Any) -> None:
    first, second = world.add("a/1", GONE), world.add("b/2")
    await ask(world.chain(), params={"temperature": 0.3, "stop": "END", "seed": None})
    for model in (first, second):
        assert model.calls[0][1] == {"stop": ["END"], "temperature": 0.3}


@pytest.mark.parametrize("reply", [ApiError(401, "Invalid API Key"), GONE], ids=["key", "network"])
async def test_one_call_meets_a_bad_key_or_dead_provider_only_once(
    world: Any, reply: Exception, offline: list[str]
) -> None:
    siblings = [world.add(f"a/{n}", reply) for n in range(3)]
    failed: list[ProviderError] = []
    await ask(world.chain(), on_failover=failed.append)
    assert [len(model.calls) for model in siblings] == [1, 0, 0]
    assert len(failed) == 1
    assert offline[0].count("a/") == 1


async def test_a_request_that_two_providers_refuse_is_not_tried_elsewhere(world: Any) -> None:
    world.add("a/1", ApiError(400, "messages must not be empty"))
    sibling = world.add("a/2")
    world.add("b/3", ApiError(400, "messages are missing"))
    third = world.add("c/4")
    error = await chain_error(world.chain())
    assert [attempt.kind for attempt in error.attempts] == [ErrorKind.CALLER] * 2
    assert "Mend the request" in str(error)
    assert sibling.calls == third.calls == []


async def test_one_providers_refusal_alone_does_not_end_the_call(world: Any) -> None:
    world.add("a/1", ApiError(400, "some whim of this provider"))
    world.add("b/2")
    assert who(await ask(world.chain())) == "b/2"


async def test_the_offline_model_does_not_cover_up_a_refused_request(world: Any) -> None:
    world.add("a/1", ApiError(400, "messages must not be empty"))
    world.add("b/2", GONE)
    assert "messages must not be empty" in str(await chain_error(world.chain()))


class TestLast:
    async def test_without_any_provider_the_offline_model_answers(
        self, world: Any, offline: list[str]
    ) -> None:
        answer = await ask(world.chain())
        assert (answer.text, who(answer)) == ("offline here", "offline/offline")
        assert offline == ["no LLM is connected"]

    @pytest.mark.parametrize("streamed", [False, True])
    async def test_when_all_fail_the_offline_model_is_told_each_reason(
        self, world: Any, offline: list[str], streamed: bool
    ) -> None:
        world.add("a/1", ApiError(401, "Invalid API Key"))
        world.add("b/2", GONE)
        answer = await ask(world.chain(), streamed=streamed)
        assert answer.text == "offline here"
        assert "a/1: auth: Invalid API Key" in offline[0]
        assert "b/2: network" in offline[0]
        assert offline[0].endswith("change nothing")

    @pytest.mark.parametrize("streamed", [False, True])
    async def test_quota_that_ran_out_elsewhere_just_now_is_waited_for_as_well(
        self, world: Any, clock: Any, offline: list[str], streamed: bool
    ) -> None:
        model = world.add("a/1")
        chain = world.chain()
        call = chain.runnable(Call())
        until = clock() + timedelta(hours=1)
        fault = ProviderFault(ErrorKind.DAY, ErrorScope.MODEL, "used up", until, 429)
        chain._outages.note(ProviderError("a", "1", fault), account=0)
        with pytest.raises(ChainError, match="out of quota for the day") as caught:
            await (anext(call.astream("hi")) if streamed else call.ainvoke("hi"))
        assert caught.value.is_quota
        assert caught.value.back_at == until
        assert (model.calls, offline) == ([], [])

    async def test_offline_can_be_asked_by_name(self, world: Any, offline: list[str]) -> None:
        model = world.add("a/1")
        assert who(await ask(world.chain(), only="offline")) == "offline/offline"
        assert model.calls == []
        assert offline == ["no LLM is connected"], "it may change things then"

    async def test_without_a_key_it_may_change_things(self, world: Any, offline: list[str]) -> None:
        world.add("a/1")
        world.off["a"] = "A_KEY is not set"
        await ask(world.chain())
        assert offline == ["no LLM is connected"]

    async def test_with_only_one_allowed_the_error_names_its_failure(
        self, world: Any, offline: list[str]
    ) -> None:
        world.add("a/1", ApiError(503, "overloaded"))
        other = world.add("b/2")
        error = await chain_error(world.chain(), only="a/1")
        assert [(e.provider, e.kind) for e in error.attempts] == [("a", ErrorKind.OVERLOAD)]
        assert other.calls == []
        assert offline == []

    @pytest.mark.parametrize("only", ["a", "a/1"])
    async def test_only_may_be_a_provider(self, world: Any, only: str) -> None:
        world.add("a/1")
        assert who(await ask(world.chain(), only=only)) == "a/1"

    async def test_only_an_unknown_model_is_an_error_with_its_name(self, world: Any) -> None:
        world.add("a/1")
        assert "a/nothing: model_gone" in str(await chain_error(world.chain(), only="a/nothing"))

    async def test_only_a_provider_that_is_off_says_why_it_is(self, world: Any) -> None:
        world.add("a/1")
        world.off["a"] = "A_KEY is not set"
        assert "A_KEY is not set" in str(await chain_error(world.chain(), only="a/1"))

    async def test_each_call_starts_with_no_failures(self, world: Any) -> None:
        world.add("a/1", GONE)
        chain = world.chain()
        first = await chain_error(chain, only="a/1")
        second = await chain_error(chain, only="a/1")
        assert len(first.attempts) == len(second.attempts) == 1


class TestMemory:
    async def test_a_model_whose_day_is_used_up_is_not_asked_until_it_is_back(
        self, world: Any, clock: Any
    ) -> None:
        day = ApiError(429, "Rate limit: tokens per day (TPD). Please try again in 1h0m0s.")
        first = world.add("a/1", day)
        second = world.add("b/2")
        chain = world.chain()
        for _ in range(5):
            assert who(await ask(chain)) == "b/2"
        assert (len(first.calls), len(second.calls)) == (1, 5)
        clock.advance(hours=1)
        await ask(chain)
        assert len(first.calls) == 2

    async def test_what_is_out_is_named_in_the_error_with_the_time_it_is_back(
        self, world: Any, clock: Any
    ) -> None:
        world.add("a/1", ApiError(429, "per day. Please try again in 1h0m0s."))
        chain = world.chain()
        await chain_error(chain, only="a/1")
        error = await chain_error(chain, only="a/1")
        assert error.back_at == clock.now + timedelta(hours=1)
        assert len(world.scripts["a/1"].calls) == 1

    async def test_a_bad_key_puts_out_all_models_of_that_key(self, world: Any) -> None:
        world.add("a/1", ApiError(401, "Invalid API Key"))
        sibling = world.add("a/2")
        world.add("b/3")
        chain = world.chain()
        await chain_error(chain, only="a/1")
        assert who(await ask(chain)) == "b/3"
        assert sibling.calls == []

    async def test_the_second_key_is_asked_when_the_first_is_used_up(self, world: Any) -> None:
        world.keys["a"] = 2
        day = ApiError(429, "per day. Please try again in 1h0m0s.")
        model = world.add("a/1", day, AIMessageChunk(content="yes"))
        chain = world.chain()
        assert (await ask(chain, only="a/1")).text == "yes"
        assert (await ask(chain, only="a/1")).text == "yes"
        assert len(model.calls) == 3

    async def test_a_model_that_only_stumbled_is_asked_after_the_healthy_ones(
        self, world: Any, speak: Say
    ) -> None:
        stumbled = world.add("a/1", GONE, speak("back"))
        world.add("b/2", speak("b"), speak("b"), GONE)
        chain = world.chain()
        assert [who(await ask(chain)) for _ in range(2)] == ["b/2", "b/2"]
        assert len(stumbled.calls) == 1
        assert who(await ask(chain)) == "a/1"

    async def test_an_answer_clears_what_was_held_against_a_model(
        self, world: Any, speak: Say
    ) -> None:
        world.add("a/1", GONE, speak("back"))
        world.add("b/2", speak("b"), ApiError(413, "Request too large"), speak("b"))
        chain = world.chain()
        assert [who(await ask(chain)) for _ in range(3)] == ["b/2", "a/1", "a/1"]

    async def test_a_dead_model_costs_one_attempt_in_a_hundred_calls(self, world: Any) -> None:
        dead = world.add("a/1", GONE)
        world.add("b/2")
        chain = world.chain()
        for _ in range(100):
            assert who(await ask(chain)) == "b/2"
        assert len(dead.calls) == 1

    async def test_three_failures_of_a_kind_put_a_model_out_even_when_no_other_is_there(
        self, world: Any, clock: Any
    ) -> None:
        dead = world.add("a/1", GONE, GONE, GONE, AIMessageChunk(content="back"))
        chain = world.chain()
        for _ in range(5):
            await chain_error(chain, only="a/1")
        assert len(dead.calls) == 3
        clock.advance(seconds=31)
        assert (await ask(chain, only="a/1")).text == "back"

    async def test_one_call_alone_tries_whether_a_model_is_back(
        self, world: Any, clock: Any, speak: Say
    ) -> None:
        dead = world.add("a/1", GONE, GONE, GONE, [speak("back"), speak("again")])
        chain = world.chain()
        for _ in range(3):
            await chain_error(chain, only="a/1")
        clock.advance(seconds=31)
        trial = chain.runnable(Call(only="a/1")).astream("hi")
        await anext(trial)
        await chain_error(chain, only="a/1")
        assert len(dead.calls) == 4
        await trial.aclose()
        # LangChain leaves the generators inside it to the event loop
        await asyncio.sleep(0.01)
        assert (await ask(chain, only="a/1")).text == "backagain"

    async def test_a_request_too_large_for_one_model_is_not_held_against_it(
        self, world: Any, speak: Say
    ) -> None:
        world.add("a/1", ApiError(413, "Request too large"), speak("a"))
        world.add("b/2")
        chain = world.chain()
        assert who(await ask(chain)) == "b/2"
        assert who(await ask(chain)) == "a/1"

    async def test_our_own_limits_send_the_call_on_without_asking(self, world: Any) -> None:
        limited = world.add("a/1", limits=Limits(requests_per_minute=2))
        world.add("b/2")
        chain = world.chain(routes={"general": ("a",)})
        answers = [who(await ask(chain)) for _ in range(4)]
        assert answers == ["a/1", "a/1", "b/2", "b/2"]
        assert len(limited.calls) == 2


async def test_structured_output_falls_over_too(world: Any) -> None:
    class Person(BaseModel):
        """A person."""

        name: str

    call = {"name": "Person", "args": {"name": "Bo"}, "id": "1"}
    world.add("a/1", GONE)
    world.add("b/2", AIMessageChunk(content="", tool_calls=[call]))
    runnable: Any = world.chain().runnable(Call())
    assert await runnable.with_structured_output(Person).ainvoke("hi") == Person(name="Bo")


def test_lists_every_model_with_why_it_is_off(world: Any) -> None:
    world.add("a/1", context=8192)
    world.add("b/2")
    world.off["b"] = "B_KEY is not set"
    listed = {model.ref: model for model in world.chain().models()}
    assert list(listed) == ["a/1", "b/2"]
    assert (listed["a/1"].owned_by, listed["a/1"].context, listed["a/1"].on) == ("a", 8192, True)
    assert (listed["b/2"].on, listed["b/2"].reason) == (False, "B_KEY is not set")
