"""A stream that dies on the wire is finished by another vendor's model, and nobody sees it."""

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.tools import tool

from graph.agent import graph
from potluck.engine import Engine, use_engine
from potluck.errors import ErrorKind, ProviderError
from potluck.providers.catalog import Catalog
from potluck.providers.chain import Call, Chain
from potluck.settings import Settings
from potluck.simulator.reply import CutKind, FaultKind, Reply
from potluck.simulator.request import ModelRequest, ToolCall
from potluck.simulator.server import SimulatorServer

pytestmark = [
    pytest.mark.integration,
    # google-genai subclasses aiohttp's session
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]

MakeChain = Callable[..., Chain]
VENDORS = ["google_gemini", "groq", "huggingface", "ollama", "openrouter", "together"]
TEXT = (
    "The harbour of **Genoa** lies in a wide bay that opens to the south. In the twelfth century "
    "its merchants traded with Acre, Alexandria and the Black Sea:\n\n1. pepper, 2. silk;\n\n"
    "and the lighthouse that they built still stands where the old mole begins."
)
CUTS: list[CutKind] = ["drop", "end", "error", "stall"]


@tool
def calculator(expression: str) -> str:
    """Work out an arithmetic expression."""
    return expression


def continued(request: ModelRequest) -> Reply:
    """What a model says that goes on exactly where the partial answer stops."""
    said = next((m.text for m in reversed(request.messages) if m.role == "assistant"), "")
    assert TEXT.startswith(said)
    return Reply(TEXT[len(said) :])


def repeated(request: ModelRequest) -> Reply:
    """What a model says that does as it is told: first the last words again."""
    said = next((m.text for m in reversed(request.messages) if m.role == "assistant"), "")
    words = said.split()
    return Reply(" ".join(words[-8:]) + TEXT[len(said.rstrip()) :])


STYLES = {"exact": continued, "last words": repeated, "from the beginning": Reply(TEXT)}


async def stream(chain: Chain, **call: Any) -> tuple[AIMessageChunk, list[Any]]:
    chunks: list[Any] = [chunk async for chunk in chain.runnable(Call(**call)).astream("Genoa?")]
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    return whole, chunks


@pytest.mark.parametrize("other", VENDORS)
async def test_each_vendor_goes_on_for_each_other(
    simulator: SimulatorServer, make_chain: MakeChain, vendor: str, other: str
) -> None:
    if vendor == other:
        pytest.skip("a chain has each of them once")
    simulator.script.on(Reply(TEXT, cut_after=9, cut="drop"), provider=vendor)
    simulator.script.on(continued, provider=other)
    whole, chunks = await stream(make_chain([vendor, other]))
    assert whole.text == TEXT
    assert len({chunk.id for chunk in chunks}) == 1
    models = [ref.partition("/")[0] for ref in whole.response_metadata["models"]]
    assert models == [vendor, other]
    assert len(simulator.log) == 2


@pytest.mark.parametrize("cut", CUTS)
async def test_every_way_to_die_is_noticed(
    simulator: SimulatorServer, make_chain: MakeChain, vendor: str, cut: CutKind
) -> None:
    other = "together" if vendor == "groq" else "groq"
    simulator.script.on(Reply(TEXT, cut_after=9, cut=cut), provider=vendor)
    simulator.script.on(continued, provider=other)
    failed: list[ProviderError] = []
    chain = make_chain([vendor, other], timeout_s=0.5)
    # The first use of a vendor's class is its import, which is not what is timed here
    for link in chain._links:
        await link.backend.chat_model()
    whole, _ = await stream(chain, on_failover=failed.append)
    assert whole.text == TEXT
    assert [error.provider for error in failed] == [vendor]
    assert failed[0].kind is not ErrorKind.CALLER


@pytest.mark.parametrize("style", STYLES)
async def test_after_any_chunk(
    simulator: SimulatorServer, make_chain: MakeChain, style: str
) -> None:
    pieces = len(Reply(TEXT).text_pieces())
    for after in range(1, pieces + 2):
        simulator.script.clear()
        simulator.script.on(Reply(TEXT, cut_after=after, cut="end"), provider="groq")
        simulator.script.on(STYLES[style], provider="together")
        whole, chunks = await stream(make_chain(["groq", "together"]))
        assert whole.text == TEXT, after
        assert "".join(chunk.text for chunk in chunks) == TEXT, after


@pytest.mark.parametrize("after", range(2, 8))
async def test_a_tool_call_that_breaks_is_made_whole_by_the_next(
    simulator: SimulatorServer, make_chain: MakeChain, after: int
) -> None:
    call = ToolCall("calculator", {"expression": "17*23"})
    broken = Reply("Let me see.", tool_calls=(call,), cut_after=after)
    simulator.script.on(broken, provider="groq")
    simulator.script.on(Reply(tool_calls=(call,)), provider="google_gemini")
    whole, chunks = await stream(make_chain(["groq", "google_gemini"]), tools=[calculator])
    [made] = whole.tool_calls
    assert (made["name"], made["args"]) == ("calculator", {"expression": "17*23"})
    assert not whole.invalid_tool_calls
    assert "Let me see.".startswith(whole.text)
    assert len([chunk for chunk in chunks if chunk.tool_call_chunks]) == 1


@pytest.mark.parametrize("first", ["groq", "ollama", "huggingface"])
@pytest.mark.parametrize("second", ["groq", "ollama", "google_gemini"])
async def test_reasoning_that_is_out_stays(
    simulator: SimulatorServer, make_chain: MakeChain, first: str, second: str
) -> None:
    if first == second:
        pytest.skip("a chain has each of them once")
    thoughts = Reply(TEXT, reasoning="Let me think about Genoa.", cut_after=3)
    simulator.script.on(thoughts, provider=first)
    simulator.script.on(Reply(TEXT), provider=second)
    whole, _ = await stream(make_chain([first, second]))
    assert whole.text == TEXT
    said = simulator.log.last.request
    assert said is not None
    assert said.last_user_text == "Genoa?"


async def test_one_stream_after_the_other_dies(
    simulator: SimulatorServer, make_chain: MakeChain
) -> None:
    def next_words(request: ModelRequest) -> Reply:
        return Reply(continued(request).text, cut_after=6)

    for vendor in VENDORS[:-1]:
        simulator.script.on(next_words, provider=vendor)
    simulator.script.on(continued, provider=VENDORS[-1])
    whole, _ = await stream(make_chain(VENDORS))
    assert whole.text == TEXT
    assert len(whole.response_metadata["models"]) == len(VENDORS)


async def test_the_agent_shows_its_user_one_answer(
    simulator: SimulatorServer, make_chain: MakeChain, tmp_path: Any
) -> None:
    call = ToolCall("calculator", {"expression": "1+1"})
    simulator.script.on(Reply(tool_calls=(call,), cut_after=2), provider="groq")
    simulator.script.on(Reply(TEXT, cut_after=11), provider="google_gemini", times=1)
    simulator.script.on(continued, provider="together")
    settings = Settings(potluck_simulator=simulator.url, potluck_home=tmp_path)  # type: ignore[arg-type] # pydantic parses it
    chain = make_chain(["groq", "google_gemini", "together"])
    events: list[Any] = []
    texts: list[str] = []
    with use_engine(Engine(settings, Catalog({}, {}), (), chain)):
        async for mode, part in graph.astream(
            {"messages": [HumanMessage("Genoa?")]}, stream_mode=["messages", "custom"]
        ):
            if mode == "custom":
                events.append(part)
            elif isinstance(part[0], AIMessageChunk):
                texts.append(str(part[0].text))
    assert "".join(texts) == TEXT
    failovers = [event["failed"] for event in events if event["type"] == "failover"]
    assert [ref.partition("/")[0] for ref in failovers] == ["groq", "google_gemini"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_broken_json_in_a_tool_call_is_mended(
    simulator: SimulatorServer, make_chain: MakeChain, vendor: str, streamed: bool
) -> None:
    if vendor in {"google_gemini", "groq"}:
        pytest.skip("its API gives no answer with a broken call, but says that it was one")
    call = ToolCall("calculator", raw_args='{"expression": "17*23"')
    written = f'{{"name": "calculator", "arguments": {call.raw_args}'
    reply = Reply(written) if vendor == "ollama" else Reply(tool_calls=(call,))
    simulator.script.on(reply, times=1)
    chain = make_chain([vendor])
    if streamed:
        answer: Any = (await stream(chain, tools=[calculator]))[0]
    else:
        answer = await chain.runnable(Call(tools=[calculator])).ainvoke("17*23?")
    assert [made["args"] for made in answer.tool_calls] == [{"expression": "17*23"}]
    assert not answer.invalid_tool_calls
    assert answer.text == ""


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_call_that_groq_refused_is_shown_to_its_model(
    simulator: SimulatorServer, make_chain: MakeChain, streamed: bool
) -> None:
    simulator.script.on(Reply.failing(FaultKind.TOOL_USE_FAILED), times=1)
    simulator.script.on(Reply.call("calculator", expression="17*23"))
    chain = make_chain(["groq"])
    if streamed:
        answer: Any = (await stream(chain, tools=[calculator], only="groq"))[0]
    else:
        answer = await chain.runnable(Call(tools=[calculator], only="groq")).ainvoke("17*23?")
    assert [made["args"] for made in answer.tool_calls] == [{"expression": "17*23"}]
    request = simulator.log.last.request
    assert request is not None
    assert "could not be used" in request.last_user_text
