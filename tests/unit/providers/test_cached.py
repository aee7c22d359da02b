"""A chain behind the cache: the same words, without the call."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import Field

from potluck.cache.responses import ResponseCache
from potluck.cache.store import CacheOptions
from potluck.errors import PotluckError
from potluck.providers.async_model import AsyncChatModel
from potluck.providers.cached import Desk, cache_options, cached
from potluck.providers.catalog import Optimization
from potluck.providers.replay import is_cached
from potluck.quota.calls import CallRecord

WORDS = ("Good ", "day ", "to ", "you.")


@dataclass(frozen=True)
class Wish:
    """A call, as far as the cache looks at it."""

    task_type: str = "general"
    prefer: str | None = None
    only: str | None = None
    priority: Any = "interactive"
    thread: str | None = None
    tenant: str = ""
    cache: Any = "use"
    parts: int = 1


class Model(AsyncChatModel):
    """Says the same each time, and who it is; fails as often as it is told to."""

    marks: dict[str, Any] = Field(default_factory=dict)
    calls: list[dict[str, Any]] = Field(default_factory=list)
    fails: list[Exception] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "test"

    def _chunks(self, options: dict[str, Any]) -> list[AIMessageChunk]:
        self.calls.append(options)
        used = {"input_tokens": 6, "output_tokens": 4, "total_tokens": 10}
        signed = {"model_provider": "groq", "model_name": "m", "finish_reason": "stop"}
        chunks = [AIMessageChunk(content=word) for word in WORDS]
        last = AIMessageChunk(content="", chunk_position="last", usage_metadata=used)
        last.response_metadata = signed | self.marks
        return [*chunks, last]

    async def _agenerate(self, *_args: Any, **kwargs: Any) -> ChatResult:
        first, *rest = self._chunks(kwargs)
        if self.fails:
            raise self.fails.pop()
        whole = first + rest
        message = AIMessage(
            whole.content,
            usage_metadata=whole.usage_metadata,
            response_metadata=whole.response_metadata,
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _astream(self, *_args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._chunks(kwargs):
            await asyncio.sleep(0)
            if chunk.chunk_position and self.fails:
                raise self.fails.pop()
            yield ChatGenerationChunk(message=chunk)


@dataclass
class Notes:
    records: list[CallRecord] = field(default_factory=list)

    def note(self, record: CallRecord) -> None:
        self.records.append(record)


@dataclass
class Office:
    """A model behind a cache."""

    desk: Desk
    notes: Notes
    model: Model = field(default_factory=Model)
    streamed: bool = False

    def runnable(self, options: dict[str, Any] | None = None, **wish: Any) -> Any:
        return cached(lambda: self.model, Wish(**wish), self.desk, options=options or {})

    async def ask(
        self, asked: Any = "hi", options: dict[str, Any] | None = None, **wish: Any
    ) -> AIMessage:
        runnable = self.runnable(options, **wish)
        if not self.streamed:
            return await runnable.ainvoke(asked)
        chunks = [chunk async for chunk in runnable.astream(asked)]
        assert [c.chunk_position for c in chunks] == [None] * (len(chunks) - 1) + ["last"]
        return chunks[0] + chunks[1:]


@pytest.fixture(params=["whole", "streamed"])
def office(clock: Any, request: pytest.FixtureRequest) -> Office:
    notes = Notes()
    cache = ResponseCache.open(None, CacheOptions(), clock=clock)
    return Office(Desk(cache, clock, notes), notes, streamed=request.param == "streamed")


async def test_the_same_request_is_answered_without_a_call(office: Office) -> None:
    first, second = [await office.ask() for _ in range(2)]
    assert first.text == second.text == "Good day to you."
    assert len(office.model.calls) == 1
    assert not is_cached(first)
    assert is_cached(second)
    assert first.usage_metadata
    assert second.usage_metadata is None
    assert first.id != second.id


async def test_streamed_and_whole_answers_are_the_same_to_it(office: Office) -> None:
    await office.ask()
    office.streamed = not office.streamed
    assert is_cached(await office.ask())


async def test_what_was_saved_is_noted(office: Office) -> None:
    wish = {"task_type": "simple_task", "tenant": "ann", "priority": "batch", "parts": 3}
    await office.ask(**wish)
    assert office.notes.records == [], "the call itself is noted where it is made"
    await office.ask(**wish)
    (record,) = office.notes.records
    assert (record.outcome, record.provider, record.model) == ("cached", "groq", "m")
    assert (record.input_tokens, record.output_tokens) == (6, 4)
    assert (record.task_type, record.priority) == ("simple_task", "batch")
    assert (record.tenant, record.parts) == ("ann", 3)
    assert 0 <= (record.first_token_s or 0) <= record.duration_s < 1


@pytest.mark.parametrize(
    "other",
    [{"tenant": "ann"}, {"only": "groq/m"}, {"prefer": "groq"}, {"options": {"max_tokens": 1}}],
)
async def test_others_conditions_are_another_request(office: Office, other: Any) -> None:
    await office.ask()
    await office.ask(**other)
    assert len(office.model.calls) == 2


async def test_the_same_model_at_two_providers_is_one_family(office: Office) -> None:
    await office.ask(only="groq/openai/gpt-oss-20b")
    assert is_cached(await office.ask(only="openrouter/openai/gpt-oss-20b:free"))


async def test_an_answer_by_another_model_than_wished_for_is_not_kept(office: Office) -> None:
    for _ in range(2):
        await office.ask(prefer="gemini/other")
    assert len(office.model.calls) == 2
    await office.ask(prefer="together/m")
    assert is_cached(await office.ask(prefer="groq/m"))


async def test_refresh_asks_anew_and_keeps(office: Office) -> None:
    await office.ask()
    assert not is_cached(await office.ask(cache="refresh"))
    assert is_cached(await office.ask())


async def test_off_neither_reads_nor_keeps(office: Office) -> None:
    await office.ask(cache="off")
    await office.ask()
    assert not is_cached(await office.ask(cache="off"))
    assert len(office.model.calls) == 3


async def test_warm_answers_are_not_kept_unless_asked_for(office: Office) -> None:
    warm = {"temperature": 0.7}
    for _ in range(2):
        assert not is_cached(await office.ask(options=warm))
    await office.ask(options=warm, cache="always")
    assert is_cached(await office.ask(options=warm, cache="always"))
    await office.ask(options={"temperature": 0})
    assert is_cached(await office.ask(options={"temperature": 0}))


def test_limits_yaml_sets_it_up() -> None:
    policy = Optimization(enable_caching=False, cache_ttl_hours=0.5, cache_max_megabytes=2)
    assert cache_options(policy) == CacheOptions(
        enabled=False, ttl=timedelta(minutes=30), max_bytes=2_097_152
    )


async def test_switched_off_it_is_not_there(office: Office) -> None:
    office.desk.cache.apply(CacheOptions(enabled=False))
    assert office.runnable() is office.model


async def test_a_cut_answer_is_not_kept(office: Office) -> None:
    office.model.marks["finish_reason"] = "length"
    await office.ask()
    assert not is_cached(await office.ask())


async def test_a_failure_is_raised_and_not_kept(office: Office) -> None:
    office.model.fails = [ConnectionError("gone")]
    with pytest.raises(ConnectionError):
        await office.ask()
    assert not is_cached(await office.ask())


async def test_options_given_when_asking_count(office: Office) -> None:
    runnable = office.runnable()
    await runnable.ainvoke("hi", stop=["x"])
    await runnable.ainvoke("hi", stop=["y"])
    assert len(office.model.calls) == 2
    assert is_cached(await runnable.ainvoke("hi", stop=["y"]))


async def test_what_cannot_be_told_apart_is_passed_by(office: Office) -> None:
    for _ in range(2):
        await office.ask(options={"odd": object()})
    assert len(office.model.calls) == 2


async def test_a_reader_who_leaves_midway_keeps_nothing(office: Office) -> None:
    async with aclosing(office.runnable().astream("hi")) as chunks:
        async for _ in chunks:
            break
    assert not is_cached(await office.ask())


async def test_a_reader_who_leaves_after_the_last_word_has_kept_it(office: Office) -> None:
    async with aclosing(office.runnable().astream("hi")) as chunks:
        async for chunk in chunks:
            if chunk.chunk_position == "last":
                break
    assert is_cached(await office.ask())


async def test_requests_at_the_same_time_share_one_call(office: Office) -> None:
    texts = [answer.text for answer in await asyncio.gather(*(office.ask() for _ in range(9)))]
    assert texts == ["Good day to you."] * 9
    assert len(office.model.calls) == 1
    assert len(office.notes.records) == 8


async def test_every_form_of_input_is_the_same(office: Office) -> None:
    await office.ask("hi")
    assert is_cached(await office.ask([HumanMessage("hi", id="7")]))
    assert is_cached(await office.ask([("user", "hi")]))


def test_it_cannot_be_asked_synchronously(office: Office) -> None:
    with pytest.raises(PotluckError, match="ainvoke"):
        office.runnable().invoke("hi")


class Words(AsyncCallbackHandler):
    """What a tracer hears."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.starts = 0

    async def on_chat_model_start(self, *_args: Any, **_kwargs: Any) -> None:
        self.starts += 1

    async def on_llm_new_token(self, token: Any, **_kwargs: Any) -> None:
        self.words.append(str(token))


async def test_whoever_listens_hears_every_word_once(office: Office) -> None:
    for _ in range(2):
        words = Words()
        async for _chunk in office.runnable().astream("hi", {"callbacks": [words]}):
            pass
        assert "".join(words.words) == "Good day to you."
        assert words.starts == 1


class TestInAGraph:
    """The cache knows threads and tasks from the graph that runs."""

    @pytest.fixture
    def crashes(self) -> list[Exception]:
        return []

    @pytest.fixture
    def graph(self, office: Office, crashes: list[Exception]) -> Any:
        async def node(state: MessagesState) -> dict[str, Any]:
            answer = await office.runnable().ainvoke(state["messages"])
            if crashes:
                raise crashes.pop()
            return {"messages": [answer]}

        builder = StateGraph(MessagesState)
        builder.add_node("node", node)
        builder.add_edge(START, "node")
        return builder.compile(checkpointer=InMemorySaver())

    async def test_an_answer_streams_though_it_is_cached(self, graph: Any) -> None:
        shown = []
        for thread in ("a", "b"):
            config = {"configurable": {"thread_id": thread}}
            stream = graph.astream({"messages": ["hi"]}, config, stream_mode="messages")
            shown.append([chunk.text async for chunk, _ in stream if chunk.text])
        assert shown == [list(WORDS), list(WORDS)]

    async def test_a_task_that_is_done_again_after_a_crash_costs_nothing(
        self, graph: Any, office: Office, crashes: list[Exception]
    ) -> None:
        config = {"configurable": {"thread_id": "a"}}
        crashes.append(ConnectionError("the server went down"))
        with pytest.raises(ConnectionError):
            await graph.ainvoke({"messages": ["hi"]}, config)
        state = await graph.ainvoke(None, config)
        assert is_cached(state["messages"][-1])
        assert len(office.model.calls) == 1

    async def test_going_back_in_a_thread_asks_again(self, graph: Any, office: Office) -> None:
        config = {"configurable": {"thread_id": "a"}}
        await graph.ainvoke({"messages": ["hi"]}, config)
        history = [state async for state in graph.aget_state_history(config)]
        before = next(state for state in history if state.next == ("node",))
        again = await graph.ainvoke(None, before.config)
        assert not is_cached(again["messages"][-1])
        assert len(office.model.calls) == 2
