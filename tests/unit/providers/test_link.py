"""A link gives a vendor's answer under our name, or one ProviderError, and counts what it used."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.tools import tool

from potluck.errors import ChainError, ErrorKind, PotluckError, ProviderError
from potluck.providers.backend import Backend
from potluck.providers.catalog import CreditRate, Limits
from potluck.providers.chain import Call
from potluck.providers.link import Link
from potluck.providers.terms import Terms
from potluck.quota.limiter import NoLimiter, Reservation
from potluck.quota.windows import Amounts, Deployment, Priority, StatedLimit

Say = Callable[..., AIMessageChunk]
REF = "groq/m"


class Ledger(NoLimiter):
    """Admits everything and keeps what was done with each reservation."""

    def __init__(self) -> None:
        self.estimates: list[float] = []
        self.asked: list[tuple[Deployment, Priority, float]] = []
        self.settled: list[float | str] = []
        self.ways: list[str] = []
        self.learned: list[StatedLimit] = []
        self.used: list[Amounts] = []

    async def reserve(
        self,
        deployment: Deployment,
        estimate: Amounts,
        *,
        priority: Priority = "interactive",
        patience_s: float = 0.0,
    ) -> Reservation:
        self.estimates.append(estimate.of("tokens"))
        self.asked.append((deployment, priority, patience_s))
        return self

    def sent(self) -> None:
        self.ways.append("sent")

    def arrived(self) -> None:
        self.ways.append("arrived")

    async def commit(self, used: Amounts) -> None:
        self.used.append(used)
        self.settled.append(used.of("tokens"))

    async def release(self) -> None:
        self.settled.append("released")

    def learn(
        self,
        deployment: Deployment,  # noqa: ARG002 # the protocol's
        stated: Sequence[StatedLimit],
        *,
        refused: bool = False,  # noqa: ARG002 # the protocol's
    ) -> None:
        self.learned.extend(stated)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def make_link(world: Any, ledger: Ledger) -> Callable[..., Link]:
    def make(*replies: Any, timeout_s: float = 5.0, **model: Any) -> Link:
        world.add(REF, *replies, **model)
        backend = world.backend(REF, timeout_s=timeout_s)
        return Link(backend=backend, limiter=ledger, clock=world.clock)

    return make


async def stream(link: Any, **options: Any) -> list[AIMessageChunk]:
    return [chunk async for chunk in link.astream("hi", **options)]


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_vendors_class_is_built_before_room_is_taken(
    make_link: Callable[..., Link],
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    streamed: bool,
) -> None:
    """The first import takes longer than a provider may be late in counting a call."""
    link = make_link()
    built, link.backend._built = link.backend._built, None

    def build(_: Backend) -> Any:
        assert ledger.asked == []
        return built

    monkeypatch.setattr(Backend, "_build", build)
    await (stream(link) if streamed else link.ainvoke("hi"))
    assert len(ledger.asked) == 1


async def test_room_that_was_waited_for_is_used(
    make_link: Callable[..., Link], ledger: Ledger
) -> None:
    link = make_link()
    given = Ledger()
    await link.model_copy(update={"terms": Terms(reservation=given)}).ainvoke("hi")
    assert ledger.asked == []
    assert len(given.settled) == 1


@pytest.mark.parametrize(
    ("options", "output"),
    [({}, 16_384), ({"max_tokens": 100}, 100), ({"max_tokens": None}, 16_384)],
)
async def test_an_answer_that_is_counted_beforehand_is_estimated_and_kept_whole(
    make_link: Callable[..., Link],
    ledger: Ledger,
    speak: Say,
    options: dict[str, Any],
    output: int,
) -> None:
    link = make_link(speak("Yes.", tokens=9))
    link.backend.provider = replace(link.backend.provider, reserves_output=16_384)
    await link.ainvoke("hi", **options)
    assert ledger.used[0].output_tokens == output
    assert ledger.used[0].input_tokens == 8
    assert output < ledger.estimates[0] < output + 50


def joined(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    return whole


async def until_it_breaks(link: Any) -> tuple[list[AIMessageChunk], ProviderError]:
    """What came out of a stream, and the error that ended it."""
    chunks: list[AIMessageChunk] = []
    try:
        async for chunk in link.astream("hi"):
            chunks.append(chunk)  # noqa: PERF401 # those before the error are wanted
    except ProviderError as error:
        return chunks, error
    raise AssertionError("it did not break")


async def failure(link: Any, *, streamed: bool = False) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await (stream(link) if streamed else link.ainvoke("hi"))
    return caught.value


async def test_an_answer_bears_our_names_once(make_link: Any, speak: Say) -> None:
    marks = {"model_provider": "vendor", "model_name": "vendor-name"}
    pieces = [speak("Hel", response_metadata=marks), speak("lo", response_metadata=marks)]
    for message in (
        await make_link(pieces).ainvoke("hi"),
        joined(await stream(make_link(pieces))),
    ):
        assert message.text == "Hello"
        assert message.response_metadata["model_provider"] == "groq"
        assert message.response_metadata["model_name"] == "m"


async def test_ids_are_ours_so_that_two_providers_never_give_the_same(
    make_link: Any, speak: Say
) -> None:
    link = make_link(speak("a", id="chatcmpl-1"))
    ids = {(await link.ainvoke("hi")).id, (await link.ainvoke("hi")).id}
    ids |= {chunk.id for chunk in await stream(link)}
    assert len(ids) == 3
    assert not any("chatcmpl" in str(i) for i in ids)


async def test_its_own_message_comes_back_to_a_vendor_under_the_vendors_mark(
    world: Any, ledger: Ledger
) -> None:
    """Else Gemini's class takes its own messages for another's and drops their signatures."""
    inner = world.add("my_gemini/g", provider={"api": "gemini"})
    link = Link(backend=world.backend("my_gemini/g"), limiter=ledger, clock=world.clock)
    answer = await link.ainvoke("hi")
    assert answer.response_metadata["model_provider"] == "my_gemini"
    await link.ainvoke([HumanMessage("hi"), answer, HumanMessage("and?")])
    sent = inner.calls[-1][0][1]
    assert sent.response_metadata["model_provider"] == "google_genai"
    assert answer.response_metadata["model_provider"] == "my_gemini"


async def test_chunks_before_the_first_word_are_held_back(make_link: Any, speak: Say) -> None:
    link = make_link([speak(""), speak("  "), ConnectionError("gone")])
    chunks, error = await until_it_breaks(link)
    assert chunks == []
    assert error.kind is ErrorKind.NETWORK


async def test_held_chunks_come_out_in_order_with_the_first_word(
    make_link: Any, speak: Say
) -> None:
    chunks = await stream(make_link([speak(""), speak("\n"), speak("a"), speak("b")]))
    assert [chunk.text for chunk in chunks][:4] == ["", "\n", "a", "b"]


@pytest.mark.parametrize(
    "first",
    [
        AIMessageChunk(content="", additional_kwargs={"reasoning_content": "hm"}),
        AIMessageChunk(content=[{"type": "thinking", "thinking": "hm"}]),
        AIMessageChunk(content=[{"type": "text", "text": "word"}]),
    ],
    ids=["reasoning", "thinking block", "text block"],
)
async def test_text_and_reasoning_are_let_out_at_once(
    make_link: Any, first: AIMessageChunk
) -> None:
    chunks, _ = await until_it_breaks(make_link([first, ConnectionError("gone")]))
    assert len(chunks) == 1


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("stop", ErrorKind.EMPTY),
        ("length", ErrorKind.EMPTY),
        ("content_filter", ErrorKind.CONTENT_FILTER),
        ("SAFETY", ErrorKind.CONTENT_FILTER),
        ("MALFORMED_FUNCTION_CALL", ErrorKind.BAD_TOOL_CALL),
    ],
)
async def test_an_empty_answer_is_a_failure(
    make_link: Any, speak: Say, streamed: bool, reason: str, kind: ErrorKind
) -> None:
    link = make_link([speak(" \n", response_metadata={"finish_reason": reason})])
    assert (await failure(link, streamed=streamed)).kind is kind


@pytest.mark.parametrize("streamed", [False, True])
async def test_silence_is_a_timeout(make_link: Any, world: Any, streamed: bool) -> None:
    link = make_link([world.stall], timeout_s=0.01)
    assert (await failure(link, streamed=streamed)).kind is ErrorKind.TIMEOUT


async def test_tools_and_parameters_reach_the_vendor_in_its_own_form(
    make_link: Any, world: Any
) -> None:
    @tool
    def look(place: str) -> str:
        """Look there."""
        return place

    link = make_link()
    await link.bind_tools([look], tool_choice="look").ainvoke("hi", stop=["END"], temperature=0.1)
    options = world.scripts[REF].calls[-1][1]
    assert options["vendor_tools"][0]["function"]["name"] == "look"
    assert options["vendor_choice"] == "look"
    assert (options["stop"], options["temperature"]) == (["END"], 0.1)
    assert "tools" not in options


async def test_callers_see_one_model_call_with_its_tokens(make_link: Any, speak: Say) -> None:
    class Seen(AsyncCallbackHandler):
        def __init__(self) -> None:
            self.started = 0
            self.tokens: list[str] = []

        async def on_chat_model_start(self, *_args: Any, **_kwargs: Any) -> None:
            self.started += 1

        async def on_llm_new_token(self, token: Any, **_kwargs: Any) -> None:
            self.tokens.append(token)

    seen = Seen()
    await stream(make_link([speak("a"), speak("b")]), config={"callbacks": [seen]})
    assert seen.started == 1
    assert "".join(seen.tokens) == "ab"


async def test_commits_what_the_provider_says_was_used(
    make_link: Any, ledger: Ledger, speak: Say
) -> None:
    await make_link(speak("a", tokens=77)).ainvoke("hi")
    await stream(make_link([speak("a"), speak("", tokens=78)]))
    assert ledger.settled == [77, 78]


async def test_commits_its_estimate_when_the_provider_says_nothing(
    make_link: Any, ledger: Ledger
) -> None:
    await make_link().ainvoke("hi", max_tokens=100)
    assert ledger.settled == ledger.estimates
    assert 100 < ledger.estimates[0] < 130


async def test_a_call_that_failed_before_it_began_costs_nothing(
    make_link: Any, ledger: Ledger
) -> None:
    await failure(make_link(ConnectionError("gone")))
    assert ledger.settled == ["released"]


async def test_a_stream_that_died_half_way_is_counted(
    make_link: Any, ledger: Ledger, speak: Say
) -> None:
    await failure(make_link([speak("a"), ConnectionError("gone")]), streamed=True)
    assert ledger.settled == ledger.estimates


async def test_a_client_that_leaves_half_way_is_counted(
    make_link: Any, ledger: Ledger, speak: Say
) -> None:
    answer = make_link([speak("a"), speak("b", tokens=9)]).astream("hi")
    await anext(answer)
    await answer.aclose()
    assert ledger.settled == ledger.estimates


async def test_cancelling_passes_through_and_is_counted(
    make_link: Any, world: Any, ledger: Ledger
) -> None:
    task = asyncio.create_task(make_link([world.stall]).ainvoke("hi"))
    await asyncio.sleep(0.01)
    assert ledger.estimates
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ledger.settled == ledger.estimates


async def test_more_than_the_models_context_is_refused_unsent(make_link: Any, world: Any) -> None:
    link = make_link(context=1000)
    with pytest.raises(ProviderError) as caught:
        await link.ainvoke("word " * 2000)
    assert caught.value.kind is ErrorKind.TOO_LARGE
    assert world.scripts[REF].calls == []


async def test_an_error_of_the_vendors_code_is_a_provider_error_too(make_link: Any) -> None:
    error = await failure(make_link(KeyError("choices")))
    assert (error.provider, error.model, error.kind) == ("groq", "m", ErrorKind.UNKNOWN)


async def test_tells_its_watch_how_each_call_ended(make_link: Any, speak: Say) -> None:
    class Watch:
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def check(self) -> None:
            self.seen.append("asked")

        def spoke(self, after_s: float) -> None:
            assert after_s >= 0

        def answered(self) -> None:
            self.seen.append("answered")

        def patience_s(self, longest_s: float) -> float:
            return longest_s

        def failed(self, error: ProviderError) -> None:
            self.seen.append(error.kind)

        def left(self) -> None:
            self.seen.append("left")

    watch = Watch()
    gone = ConnectionError("gone")
    link = make_link([gone], [speak("a"), gone], [speak("a")])
    link = link.model_copy(update={"watch": watch})
    await failure(link, streamed=True)
    await failure(link, streamed=True)
    await stream(link)
    left = link.astream("hi")
    await anext(left)
    await left.aclose()
    ends = [ErrorKind.NETWORK, ErrorKind.NETWORK, "answered", "left"]
    assert watch.seen == [event for end in ends for event in ("asked", end)]


def test_a_synchronous_call_says_what_to_use_instead(make_link: Any) -> None:
    with pytest.raises(PotluckError, match="ainvoke"):
        make_link().invoke("hi")


async def test_traces_are_told_its_name_and_none_of_its_parts(make_link: Any) -> None:
    class Trace(AsyncCallbackHandler):
        told: Any = None

        async def on_chat_model_start(self, serialized: Any, *_args: Any, **kwargs: Any) -> None:
            self.told = serialized, kwargs

    trace = Trace()
    link = make_link()
    await link.ainvoke("hi", config={"callbacks": [trace]})
    assert repr(link) == "Link(groq/m)"
    assert "Backend" not in repr(trace.told)
    assert trace.told[1]["metadata"]["ls_model_name"] == "m"


class TestRecords:
    """Each call is noted for the usage history, whatever came of it."""

    async def test_an_answer_with_its_tokens_times_and_terms(self, world: Any, speak: Say) -> None:
        world.add("a/1", [speak("hello"), speak("", tokens=9)])
        call = Call(task_type="simple_task", priority="batch", parts=3, tenant="t")
        _ = [chunk async for chunk in world.chain().runnable(call).astream("hi")]
        [record] = world.records
        assert (record.outcome, record.error) == ("answered", None)
        assert (record.input_tokens, record.output_tokens) == (8, 1)
        assert (record.task_type, record.priority) == ("simple_task", "batch")
        assert (record.parts, record.tenant) == (3, "t")
        assert record.key_id == sha256(b"key-0").hexdigest()[:8]
        assert record.first_token_s is not None
        assert 0 < record.first_token_s <= record.duration_s

    async def test_failures_refusals_and_those_who_left(self, world: Any, speak: Say) -> None:
        world.add("a/1", ConnectionError("gone"))
        world.add("b/2", [speak("one"), speak("two")], limits=Limits(requests_per_minute=1))
        chain = world.chain()
        stream = chain.runnable(Call(only="b/2")).astream("hi")
        await anext(stream)
        await stream.aclose()
        # LangChain leaves the generators inside it to the event loop
        await asyncio.sleep(0.01)
        for only in ("a/1", "b/2"):
            with pytest.raises(ChainError):
                await chain.runnable(Call(only=only)).ainvoke("hi")
        found = [(record.provider, record.outcome, record.error) for record in world.records]
        assert found[:2] == [("b", "cancelled", None), ("a", "failed", "network")]
        assert set(found[2:]) == {("b", "refused", "minute")}


async def test_credits_are_counted_at_the_models_rate(
    make_link: Any, ledger: Ledger, speak: Say
) -> None:
    rate = CreditRate(input=1_000_000, output=2_000_000)
    await make_link(speak("a", tokens=10), credits=rate).ainvoke("hi")
    assert ledger.used[-1].credits == 9 + 2
