"""An answer that has begun is finished: by the next model, and so that nobody notices."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.messages.tool import tool_call_chunk
from langgraph.graph import END, START, MessagesState, StateGraph

from potluck.errors import ChainError, ErrorKind, ProviderError
from potluck.providers.catalog import Fallback
from potluck.providers.chain import Call, Chain
from potluck.providers.trim import Trim

Say = Callable[..., AIMessageChunk]
GONE = ConnectionError("gone")
TEXT = "The lighthouse stands where the old mole begins, and whoever came by sea saw it first."
PIECES = [f"{word} " for word in TEXT.split()]
PIECES[-1] = PIECES[-1].rstrip()


class BadRequestError(Exception):
    status_code = 400


def thought(text: str) -> AIMessageChunk:
    return AIMessageChunk(content="", additional_kwargs={"reasoning_content": text})


def call(name: str | None, args: str, *, index: int = 0) -> AIMessageChunk:
    chunk = tool_call_chunk(name=name, args=args, id=f"id-{name}" if name else None, index=index)
    return AIMessageChunk(content="", tool_call_chunks=[chunk])


LOOK = [call("look", ""), call(None, '{"place":'), call(None, ' "sea"}')]
LOOKED = [("look", {"place": "sea"})]


async def stream(chain: Chain, **options: Any) -> tuple[Any, list[AIMessageChunk]]:
    chunks: list[Any] = [chunk async for chunk in chain.runnable(Call(**options)).astream("hi")]
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    return whole, chunks


def asked(model: Any) -> list[tuple[str, str]]:
    """The messages of the model's last call."""
    return [(message.type, str(message.text)) for message in model.calls[-1][0]]


def calls_of(message: AIMessage) -> list[tuple[str, dict[str, Any]]]:
    return [(made["name"], made["args"]) for made in message.tool_calls]


@pytest.fixture(params=["drop", "end", "stall"])
def death(request: Any, world: Any) -> Any:
    return {"drop": GONE, "end": world.cut, "stall": world.stall}[request.param]


@pytest.fixture
def quick(world: Any) -> Callable[..., Chain]:
    """A chain whose models may be silent only for a moment."""

    def make(**catalog: Any) -> Chain:
        chain = world.chain(**catalog)
        for link in chain._links:
            link.backend.silence_s = 0.02
        return chain

    return make


@pytest.mark.parametrize("after", range(1, len(PIECES) + 1))
async def test_a_text_is_continued_after_any_chunk(
    world: Any, speak: Say, after: int, quick: Any, death: Any
) -> None:
    world.add("a/1", [*map(speak, PIECES[:after]), death])
    second = world.add("b/2", [*map(speak, PIECES[after:]), speak("")])
    whole, chunks = await stream(quick())
    assert whole.text == TEXT
    assert "".join(chunk.text for chunk in chunks) == TEXT
    assert len({chunk.id for chunk in chunks}) == 1
    out = "".join(PIECES[:after])
    assert asked(second)[:2] == [("human", "hi"), ("ai", out)]
    assert asked(second)[2][0] == "human"
    assert out.split()[-1] in asked(second)[2][1]


@pytest.mark.parametrize("after", range(1, len(PIECES)))
async def test_a_next_model_that_begins_again_is_not_seen_to(
    world: Any, speak: Say, after: int
) -> None:
    world.add("a/1", [*map(speak, PIECES[:after]), GONE])
    world.add("b/2", [*map(speak, PIECES)])
    whole, _ = await stream(world.chain())
    assert whole.text == TEXT


async def test_the_answer_names_all_who_wrote_it_and_sums_what_they_used(
    world: Any, speak: Say
) -> None:
    world.add("a/1", [speak("The light", tokens=10), GONE])
    world.add("b/2", [speak("house", tokens=7)], provider={"api": "gemini"})
    whole, _ = await stream(world.chain())
    assert whole.text == "The lighthouse"
    metadata = whole.response_metadata
    assert metadata["models"] == ["a/1", "b/2"]
    assert (metadata["model_provider"], metadata["model_name"]) == ("b", "2")
    assert (metadata["finish_reason"], metadata["model_dialect"]) == ("stop", "mixed")
    assert whole.usage_metadata["total_tokens"] == 17


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_in_one_piece_names_its_only_writer(world: Any, streamed: bool) -> None:
    world.add("a/1", GONE)
    world.add("b/2")
    chain = world.chain()
    whole = (await stream(chain))[0] if streamed else await chain.runnable(Call()).ainvoke("hi")
    assert whole.response_metadata["models"] == ["b/2"]
    assert whole.response_metadata["model_dialect"] == "groq"


async def test_the_chain_goes_on_while_one_after_the_other_dies(world: Any, speak: Say) -> None:
    for place, after in enumerate([3, 6, 9]):
        world.add(f"m/{place}", [*map(speak, PIECES[max(0, after - 3) : after]), GONE])
    world.add("dead/1", GONE)
    world.add("last/1", [*map(speak, PIECES[9:])])
    failed: list[ProviderError] = []
    whole, _ = await stream(world.chain(), on_failover=failed.append)
    assert whole.text == TEXT
    assert [error.provider for error in failed] == ["m", "m", "m", "dead"]


@pytest.mark.parametrize("after", range(1, 4))
async def test_fragments_of_a_tool_call_are_dropped_and_the_call_is_asked_again_whole(
    world: Any, after: int
) -> None:
    world.add("a/1", [*LOOK[:after], GONE])
    second = world.add("b/2", [call("look", '{"place": "sea"}')])
    whole, chunks = await stream(world.chain())
    assert calls_of(whole) == LOOKED
    assert len([chunk for chunk in chunks if chunk.tool_call_chunks]) == 1
    assert asked(second) == [("human", "hi")]


@pytest.mark.parametrize("after", range(1, 4))
async def test_text_before_a_broken_tool_call_stays(world: Any, speak: Say, after: int) -> None:
    world.add("a/1", [speak("Let me see."), *LOOK[:after], GONE])
    second = world.add("b/2", LOOK)
    whole, _ = await stream(world.chain())
    assert (whole.text, calls_of(whole)) == ("Let me see.", LOOKED)
    assert asked(second)[1] == ("ai", "Let me see.")


async def test_reasoning_that_is_out_stays_and_the_answer_is_asked_as_if_new(
    world: Any, speak: Say
) -> None:
    world.add("a/1", [thought("Hm, "), thought("so"), GONE])
    second = world.add("b/2", [thought("Well."), speak("Yes.")])
    whole, _ = await stream(world.chain())
    assert whole.text == "Yes."
    assert whole.additional_kwargs["reasoning_content"] == "Hm, so\n\nWell."
    assert asked(second) == [("human", "hi")]


async def test_blocks_of_one_vendor_and_text_of_another_are_one_answer(
    world: Any, speak: Say
) -> None:
    block = {"type": "text", "text": "The light", "index": 0}
    world.add("a/1", [AIMessageChunk(content=[block]), GONE])
    more = {"type": "text", "text": "house", "index": 0, "extras": {"signature": "x"}}
    world.add("b/2", [AIMessageChunk(content=[more])])
    whole, _ = await stream(world.chain())
    assert whole.text == "The lighthouse"


async def test_a_model_with_nothing_to_add_ends_the_answer(world: Any, speak: Say) -> None:
    world.add("a/1", [speak("All is said."), world.cut])
    world.add("b/2", [speak("")])
    third = world.add("c/3")
    whole, _ = await stream(world.chain())
    assert whole.text == "All is said."
    assert third.calls == []


async def test_in_mid_sentence_one_silent_model_is_not_believed(world: Any, speak: Say) -> None:
    world.add("a/1", [speak("The lighthouse stands where the old mole begins, and"), GONE])
    world.add("b/2", [speak("")])
    world.add("c/3", [speak(" whoever came by sea saw it first.")])
    whole, _ = await stream(world.chain())
    assert whole.text == TEXT


async def test_two_silent_models_are_believed(world: Any, speak: Say) -> None:
    world.add("a/1", [speak("42"), world.cut])
    world.add("b/2", [speak("")])
    world.add("c/3", [speak("")])
    whole, _ = await stream(world.chain())
    assert whole.text == "42"


async def test_a_model_that_answers_anew_is_passed_over(world: Any, speak: Say) -> None:
    world.add("a/1", [speak("The lighthouse stands where the old mole begins, and"), GONE])
    world.add("b/2", [speak("The lighthouse stands where the old mole ends. It is white.")])
    world.add("c/3", [speak(" whoever came by sea saw it first.")])
    failed: list[ProviderError] = []
    whole, _ = await stream(world.chain(), on_failover=failed.append)
    assert whole.text == TEXT
    assert "began the answer anew" in str(failed[-1])


async def test_a_model_that_does_not_take_the_request_for_the_rest_is_passed_over(
    world: Any, speak: Say
) -> None:
    world.add("a/1", [speak("The light"), GONE])
    world.add("b/2", BadRequestError("bad messages"))
    world.add("c/3", [speak("house")])
    whole, _ = await stream(world.chain())
    assert whole.text == "The lighthouse"


async def test_when_no_other_is_left_the_model_that_fell_is_asked_for_the_rest(
    world: Any, speak: Say
) -> None:
    world.add("a/1", [speak("The light"), GONE], [speak("house")])
    whole, _ = await stream(world.chain(), only="a/1")
    assert whole.text == "The lighthouse"
    assert whole.response_metadata["models"] == ["a/1"]


class TestNobodyCanFinish:
    async def test_the_answer_ends_with_a_plain_word_on_why(self, world: Any, speak: Say) -> None:
        world.add("a/1", [speak("The light"), GONE])
        world.add("b/2", GONE)
        whole, _ = await stream(world.chain())
        text, _, note = whole.text.partition("\n\n")
        assert text == "The light"
        assert "cut off" in note
        assert "a/1: network" in note
        assert "b/2: network" in note
        assert "offline" not in whole.text
        assert whole.response_metadata["finish_reason"] == "length"
        assert whole.response_metadata["models"] == ["a/1"]

    async def test_the_word_stands_outside_of_code(self, world: Any, speak: Say) -> None:
        world.add("a/1", [speak("```py\nx = 1"), GONE])
        whole, _ = await stream(world.chain())
        assert whole.text.startswith("```py\nx = 1\n```\n\nThe answer was cut off")

    async def test_with_only_one_allowed_it_is_an_error(self, world: Any, speak: Say) -> None:
        world.add("a/1", [speak("The light"), GONE])
        with pytest.raises(ChainError) as caught:
            await stream(world.chain(), only="a/1")
        assert {error.kind for error in caught.value.attempts} == {ErrorKind.NETWORK}

    async def test_after_reasoning_alone_the_offline_model_may_answer(self, world: Any) -> None:
        world.add("a/1", [thought("Hm."), GONE])
        whole, _ = await stream(world.chain())
        assert "no LLM could answer" in whole.text
        assert "cut off" not in whole.text
        assert whole.response_metadata["model_provider"] == "offline"


class TestTime:
    async def test_no_call_takes_longer_than_its_deadline(self, world: Any) -> None:
        for place in range(5):
            world.add(f"m/{place}", [world.stall])
        chain = world.chain(fallback=Fallback(timeout_seconds=0.2))
        loop = asyncio.get_running_loop()
        begin = loop.time()
        with pytest.raises(ChainError) as caught:
            await stream(chain, only="m")
        assert loop.time() - begin < 0.4
        assert {error.kind for error in caught.value.attempts} == {ErrorKind.TIMEOUT}

    async def test_a_model_that_hangs_leaves_time_for_the_next(self, world: Any) -> None:
        world.add("a/1", [world.stall])
        world.add("b/2")
        whole, _ = await stream(world.chain(fallback=Fallback(timeout_seconds=0.2)))
        assert whole.text == "I am b/2."

    async def test_time_that_others_took_is_not_held_against_a_model(self, world: Any) -> None:
        world.add("a/1", [world.stall])
        chain = world.chain(fallback=Fallback(timeout_seconds=0.05))
        with pytest.raises(ChainError):
            await stream(chain, only="a/1")
        assert chain._outages.find("a", "1", account=0) is None

    async def test_a_chain_that_is_asked_again_has_its_time_again(self, world: Any) -> None:
        world.add("a/1", [world.stall], [world.stall], AIMessageChunk(content="now"))
        runnable = world.chain(fallback=Fallback(timeout_seconds=0.05)).runnable(Call(only="a/1"))
        for _ in range(2):
            with pytest.raises(ChainError) as caught:
                await runnable.ainvoke("hi")
            assert len(caught.value.attempts) == 1
        assert (await runnable.ainvoke("hi")).text == "now"


@pytest.mark.parametrize("after", range(1, len(PIECES)))
async def test_a_graph_shows_one_message_without_a_gap(world: Any, speak: Say, after: int) -> None:
    world.add("a/1", [*map(speak, PIECES[:after]), GONE])
    world.add("b/2", [*map(speak, PIECES[after - 1 :])])
    chain = world.chain()

    async def model(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await chain.runnable(Call()).ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("model", model)
    builder.add_edge(START, "model")
    builder.add_edge("model", END)
    shown: list[Any] = []
    state: Any = None
    async for mode, part in builder.compile().astream(
        {"messages": [HumanMessage("hi")]}, stream_mode=["messages", "values"]
    ):
        if mode == "messages":
            shown.append(part[0])
        else:
            state = part
    assert "".join(chunk.text for chunk in shown) == TEXT
    assert {chunk.id for chunk in shown} == {state["messages"][-1].id}
    assert state["messages"][-1].text == TEXT


async def test_an_answer_ends_where_its_caller_wants_whoever_writes_it(world: Any) -> None:
    world.add("a/1", [*map(AIMessageChunk, PIECES[:4]), GONE])
    world.add("b/2", [AIMessageChunk(" ".join(TEXT.split()[2:]))])
    whole, _ = await stream(world.chain(), trim=Trim(stop=("by sea",)))
    assert whole.text == "The lighthouse stands where the old mole begins, and whoever came "
    assert whole.response_metadata["finish_reason"] == "stop"


async def test_a_whole_answer_is_ended_too_and_its_models_know_nothing_of_it(world: Any) -> None:
    model = world.add("a/1", [AIMessageChunk(TEXT)])
    answer = await world.chain().runnable(Call(trim=Trim(max_tokens=2))).ainvoke("hi")
    assert (answer.text, answer.response_metadata["finish_reason"]) == ("The ligh", "length")
    assert "trim" not in model.calls[-1][1]
