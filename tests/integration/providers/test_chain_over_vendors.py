"""Each vendor's own LangChain class answers through the chain, and fails as the chain expects."""

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph

from potluck.errors import ChainError, ErrorKind, ProviderError
from potluck.providers.catalog import Model, Provider
from potluck.providers.chain import Call, Chain
from potluck.providers.dialects import to_vendor
from potluck.providers.vendors import build_chat_model, close_chat_model
from potluck.simulator.reply import Fault, FaultKind, Reply, Usage
from potluck.simulator.request import ToolCall
from potluck.simulator.server import SimulatorServer

pytestmark = [
    pytest.mark.integration,
    # google-genai subclasses aiohttp's session
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]

MakeChain = Callable[..., Chain]


@tool
def calculator(expression: str) -> str:
    """Work out an arithmetic expression."""
    return expression


@tool
def clock(zone: str) -> str:
    """Tell the time in a zone."""
    return zone


async def ask(chain: Chain, messages: Any = "Good day?", **call: Any) -> AIMessage:
    return await chain.runnable(Call(**call)).ainvoke(messages)


async def stream(
    chain: Chain, messages: Any = "Good day?", **call: Any
) -> tuple[AIMessageChunk, list[AIMessageChunk]]:
    chunks: list[Any] = [chunk async for chunk in chain.runnable(Call(**call)).astream(messages)]
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    return whole, chunks


async def either(
    streamed: bool, chain: Chain, messages: Any = "Good day?", **call: Any
) -> AIMessage:
    if streamed:
        return (await stream(chain, messages, **call))[0]
    return await ask(chain, messages, **call)


def who(answer: AIMessage) -> str:
    return str(answer.response_metadata["model_provider"])


async def test_answers_with_usage_and_our_names(
    simulator: SimulatorServer, make_chain: MakeChain, vendor: str
) -> None:
    simulator.script.on(Reply("Good morning.", usage=Usage(11, 7)))
    answer = await ask(make_chain([vendor]))
    assert answer.text == "Good morning."
    assert who(answer) == vendor
    assert answer.usage_metadata is not None
    assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (
        11,
        7,
    )


async def test_streams_in_pieces_with_usage_and_our_names(
    simulator: SimulatorServer, make_chain: MakeChain, vendor: str
) -> None:
    simulator.script.on(Reply("One two three four.", usage=Usage(5, 6)))
    whole, chunks = await stream(make_chain([vendor]))
    assert whole.text == "One two three four."
    assert len([chunk for chunk in chunks if chunk.text]) > 2
    assert len({chunk.id for chunk in chunks}) == 1
    assert who(whole) == vendor
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["total_tokens"] == 11


@pytest.mark.parametrize("streamed", [False, True])
async def test_parameters_of_a_call_reach_the_wire(
    simulator: SimulatorServer, make_chain: MakeChain, vendor: str, streamed: bool
) -> None:
    """An answer that is cut short comes as it is, also when it was to be JSON."""
    simulator.script.on(Reply('{"ok": tr', finish_reason="length"))
    params = {
        "temperature": 0.25,
        "max_tokens": 77,
        "stop": ["END"],
        "seed": 5,
        "response_format": {"type": "json_object"},
    }
    answer = await either(streamed, make_chain([vendor]), params=params)
    assert answer.text == '{"ok": tr'
    request = simulator.log.last.request
    assert request is not None
    assert request.response_format is not None
    assert request.response_format.kind == "json_object"
    sent = str(dict(request.body)).replace("_", "").lower()
    assert "'temperature': 0.25" in sent
    assert "['END']".lower() in sent
    assert "'seed': 5" in sent
    limits = {"google_gemini": "'maxoutputtokens': 77", "ollama": "'numpredict': 77"}
    assert limits.get(vendor, "'maxtokens': 77") in sent


async def test_a_call_for_json_keeps_the_models_own_output_limit() -> None:
    model = Model(provider="openrouter", id="m", max_output=300)
    provider = Provider("openrouter", "openai", None, (), (model,))
    url = "http://127.0.0.1:9/v1"
    inner = build_chat_model(provider, model, api_key=None, base_url=url, timeout_s=1)
    wanted = {"type": "json_object"}
    _, options = to_vendor(inner, "openai", url, {"response_format": wanted})
    assert options == {"extra_body": {"max_tokens": 300, "response_format": wanted}}
    await close_chat_model(inner)


@pytest.mark.parametrize("streamed", [False, True])
async def test_calls_a_tool_and_takes_its_result(
    simulator: SimulatorServer, make_chain: MakeChain, vendor: str, streamed: bool
) -> None:
    simulator.script.on(Reply.call("calculator", expression="17*23"), times=1)
    simulator.script.on(Reply("It is 391."))
    chain = make_chain([vendor])
    messages: list[Any] = [HumanMessage("17*23?")]
    call: dict[str, Any] = {"tools": [calculator, clock]}
    answer = await either(streamed, chain, messages, **call)
    [wanted] = answer.tool_calls
    assert (wanted["name"], wanted["args"]) == ("calculator", {"expression": "17*23"})
    messages += [answer, ToolMessage("391", tool_call_id=wanted["id"])]
    assert (await ask(chain, messages, **call)).text == "It is 391."
    request = simulator.log.last.request
    assert request is not None
    assert [result.text for result in request.tool_results] == ["391"]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("other", ["google_gemini", "groq", "huggingface", "ollama", "together"])
async def test_another_vendor_takes_over_between_a_tool_call_and_its_answer(
    simulator: SimulatorServer, make_chain: MakeChain, vendor: str, other: str, streamed: bool
) -> None:
    calls = tuple(ToolCall("calculator", {"expression": text}) for text in ("1", "2"))
    simulator.script.on(Reply(tool_calls=calls, reasoning="Let me see."), times=1)
    simulator.script.on(Reply("It is 3."))
    messages: list[Any] = [HumanMessage("1+2?")]
    answer = await either(streamed, make_chain([vendor]), messages, tools=[calculator])
    messages += [answer, *(ToolMessage("x", tool_call_id=c["id"]) for c in answer.tool_calls)]
    chain = make_chain([other])
    assert (await ask(chain, messages, tools=[calculator], only=other)).text == "It is 3."


@pytest.mark.parametrize(
    ("choice", "expected"), [("any", "required"), ("calculator", "calculator"), ("none", "none")]
)
async def test_a_choice_among_several_tools_reaches_the_wire(
    simulator: SimulatorServer, make_chain: MakeChain, vendor: str, choice: str, expected: str
) -> None:
    if vendor == "ollama":
        pytest.skip("Ollama's API has no tool_choice")
    simulator.script.on(Reply("Fine."))
    await ask(make_chain([vendor]), tools=[calculator, clock], tool_choice=choice)
    request = simulator.log.last.request
    assert request is not None
    assert request.tool_choice == expected
    assert [offered.name for offered in request.tools] == ["calculator", "clock"]


KINDS = {
    FaultKind.MINUTE_REQUESTS: ErrorKind.MINUTE,
    FaultKind.DAY_REQUESTS: ErrorKind.DAY,
    FaultKind.AUTH: ErrorKind.AUTH,
    FaultKind.MODEL_GONE: ErrorKind.MODEL_GONE,
    FaultKind.TOO_LARGE: ErrorKind.TOO_LARGE,
    FaultKind.OVERLOAD: ErrorKind.OVERLOAD,
    FaultKind.SERVER_ERROR: ErrorKind.OVERLOAD,
    FaultKind.BAD_REQUEST: ErrorKind.CALLER,
    FaultKind.DROP: ErrorKind.NETWORK,
}
# Ollama on one's own machine counts no days
ONLY_ELSEWHERE = {"ollama": {FaultKind.MINUTE_REQUESTS, FaultKind.DAY_REQUESTS}}


@pytest.mark.parametrize("streamed", [False, True])
async def test_each_fault_is_tried_once_and_understood(
    simulator: SimulatorServer, make_chain: MakeChain, vendor: str, streamed: bool
) -> None:
    expected = {f: k for f, k in KINDS.items() if f not in ONLY_ELSEWHERE.get(vendor, ())}
    found: dict[FaultKind, ErrorKind] = {}
    tries: dict[FaultKind, int] = {}
    for fault in expected:
        simulator.script.clear()
        simulator.log.clear()
        simulator.script.on(Reply.failing(fault))
        chain = make_chain([vendor])
        with pytest.raises(ChainError) as caught:
            await either(streamed, chain, only=vendor)
        [attempt] = caught.value.attempts
        found[fault] = attempt.kind
        tries[fault] = len(simulator.log)
    assert found == expected
    assert set(tries.values()) == {1}


async def test_silence_is_a_timeout(
    simulator: SimulatorServer, make_chain: MakeChain, vendor: str
) -> None:
    simulator.script.on(Reply.failing(FaultKind.HANG))
    chain = make_chain([vendor], timeout_s=0.3)
    # The first use of a vendor's class is its import, which is not what is timed here
    await chain._links[0].backend.chat_model()
    with pytest.raises(ChainError) as caught:
        await stream(chain, only=vendor)
    assert [attempt.kind for attempt in caught.value.attempts] == [ErrorKind.TIMEOUT]


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_next_vendor_answers(
    simulator: SimulatorServer, make_chain: MakeChain, vendor: str, streamed: bool
) -> None:
    other = "together" if vendor == "groq" else "groq"
    simulator.script.on(Reply.failing(FaultKind.OVERLOAD), provider=vendor)
    simulator.script.on(Reply("Here I am."), provider=other)
    failed: list[ProviderError] = []
    chain = make_chain([vendor, other])
    call: dict[str, Any] = {"on_failover": failed.append}
    answer = await either(streamed, chain, **call)
    assert (answer.text, who(answer)) == ("Here I am.", other)
    assert [(error.provider, error.kind) for error in failed] == [(vendor, ErrorKind.OVERLOAD)]


async def test_an_empty_stream_is_answered_by_the_next_vendor(
    simulator: SimulatorServer, make_chain: MakeChain, vendor: str
) -> None:
    other = "together" if vendor == "groq" else "groq"
    simulator.script.on(Reply(""), provider=vendor)
    simulator.script.on(Reply("Here I am."), provider=other)
    whole, _ = await stream(make_chain([vendor, other]))
    assert (whole.text, who(whole)) == ("Here I am.", other)


async def test_a_key_that_the_provider_refuses_is_named_but_not_shown(
    simulator: SimulatorServer, make_chain: MakeChain, vendor: str
) -> None:
    if vendor == "ollama":
        pytest.skip("a local Ollama looks at no key")
    with pytest.raises(ChainError) as caught:
        await ask(make_chain([vendor], key="bad-key"), only=vendor)
    assert [attempt.kind for attempt in caught.value.attempts] == [ErrorKind.AUTH]
    assert "bad-key" not in str(caught.value)


async def test_without_a_key_of_ours_none_is_taken_from_the_environment(
    simulator: SimulatorServer,
    make_chain: MakeChain,
    vendor: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ("OPENAI_API_KEY", "GROQ_API_KEY", "TOGETHER_API_KEY", "GOOGLE_API_KEY")
    for name in (*names, "HF_TOKEN", "GEMINI_API_KEY"):
        monkeypatch.setenv(name, "canary-of-another-account")
    simulator.script.on(Reply("Fine."))
    await ask(make_chain([vendor], key=None))
    assert "canary" not in str(simulator.log.last.headers)


async def test_without_network_the_chain_goes_on_at_once(
    make_chain: MakeChain, vendor: str
) -> None:
    chain = make_chain([vendor], url="http://127.0.0.1:9")
    with pytest.raises(ChainError) as caught:
        await ask(chain, only=vendor)
    [attempt] = caught.value.attempts
    assert (attempt.kind, attempt.provider) == (ErrorKind.NETWORK, vendor)


async def test_when_all_are_down_the_offline_model_answers_and_says_so(
    simulator: SimulatorServer, make_chain: MakeChain
) -> None:
    simulator.script.on(Reply.failing(FaultKind.OVERLOAD))
    answer = await ask(make_chain(["groq", "google_gemini"]), "Hello!")
    assert who(answer) == "offline"
    assert "no LLM" in answer.text
    assert len(simulator.log) == 2


async def test_an_exhausted_provider_is_not_asked_again(
    simulator: SimulatorServer, make_chain: MakeChain
) -> None:
    simulator.script.on(Reply.failing(FaultKind.DAY_REQUESTS), provider="google_gemini")
    simulator.script.on(Reply("Here."), provider="groq")
    chain = make_chain(["google_gemini", "groq"])
    for _ in range(3):
        assert who(await ask(chain)) == "groq"
    assert len(simulator.log.exchanges("google_gemini")) == 1


async def test_openrouters_error_in_a_stream_that_began_as_200_fails_over(
    simulator: SimulatorServer, make_chain: MakeChain
) -> None:
    simulator.script.on(
        Reply("Never seen.", cut_after=1, cut="error"), provider="openrouter", stream=True
    )
    simulator.script.on(Reply("Here I am."), provider="groq")
    whole, _ = await stream(make_chain(["openrouter", "groq"]))
    assert (whole.text, who(whole)) == ("Here I am.", "groq")


async def test_a_graph_streams_each_word_once_though_the_first_model_failed(
    simulator: SimulatorServer, make_chain: MakeChain, vendor: str
) -> None:
    simulator.script.on(Reply(fault=Fault(kind=FaultKind.OVERLOAD)), times=1)
    simulator.script.on(Reply("One two three four."))
    chain = make_chain(["together" if vendor == "groq" else "groq", vendor])

    async def model(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await chain.runnable(Call()).ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("model", model)
    builder.add_edge(START, "model")
    builder.add_edge("model", END)
    texts = []
    async for chunk, _ in builder.compile().astream(
        {"messages": [HumanMessage("Good day?")]}, stream_mode="messages"
    ):
        texts.append(chunk.text)
    assert "".join(texts) == "One two three four."
    assert len(texts) > 2
