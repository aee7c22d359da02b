"""Any history that one provider's class has produced is accepted by each other provider."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, SecretStr

from potluck.errors import ErrorKind, ProviderError
from potluck.providers.backend import Backend
from potluck.providers.catalog import Api, Model, Provider
from potluck.providers.history_calls import NOTHING, UNFINISHED
from potluck.providers.link import Link
from potluck.quota.limiter import NoLimiter
from potluck.simulator.reply import Reply
from potluck.simulator.request import ModelRequest
from potluck.simulator.request import ToolCall as Called
from potluck.simulator.server import SimulatorServer

pytestmark = [
    pytest.mark.integration,
    # google-genai subclasses aiohttp's session
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]

# id: its API, the path of its base URL, a model. Each is strict about something else.
PROVIDERS: dict[str, tuple[Api, str, str]] = {
    "cerebras": ("openai", "/v1", "gpt-oss-120b"),
    "google_gemini": ("gemini", "", "gemini-3.8-flash"),
    "groq": ("groq", "/openai/v1", "openai/gpt-oss-120b"),
    "huggingface": ("huggingface", "/v1", "openai/gpt-oss-120b"),
    "mistral": ("openai", "/v1", "mistral-small-latest"),
    "ollama": ("ollama", "", "qwen3:0.6b"),
    "openai": ("openai", "/v1", "gpt-5.4-mini"),
    "openrouter": ("openai", "/api/v1", "openai/gpt-oss-120b:free"),
    "together": ("together", "/v1", "openai/gpt-oss-20b"),
}


class Place(BaseModel):
    """Where to look."""

    city: str | None = None
    country: str = "Japan"


@tool
def look_up(what: str, where: Place | None = None, limits: dict[str, int] | None = None) -> str:
    """Look something up."""
    return f"{what} {where} {limits}"


TOOLS = [convert_to_openai_tool(look_up)]


@dataclass
class World:
    """One link for each provider, all on one event loop."""

    simulator: SimulatorServer
    links: dict[str, Link]
    run: Callable[..., Any]

    async def ask(self, provider: str, history: Sequence[BaseMessage], *, streamed: bool) -> Any:
        model = self.links[provider].bind(tools=TOOLS)
        if not streamed:
            return await model.ainvoke(list(history))
        whole: Any = None
        async for chunk in model.astream(list(history)):
            whole = chunk if whole is None else whole + chunk
        return whole

    def answer(
        self, provider: str, history: Sequence[BaseMessage], reply: Reply, *, streamed: bool
    ) -> Any:
        """The answer, or the error if the provider sent no usable one. Never a refusal."""
        self.simulator.script.clear()
        self.simulator.script.on(reply)
        try:
            return self.run(self.ask(provider, history, streamed=streamed))
        except ProviderError as error:
            if error.kind in {ErrorKind.CALLER, ErrorKind.UNKNOWN}:
                pytest.fail(f"{provider} refused the history: {error}")
            return error

    def request(self) -> ModelRequest:
        request = self.simulator.log.last.request
        assert request is not None
        return request


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with SimulatorServer() as simulator, asyncio.Runner() as runner:
        links = {provider: build_link(provider, simulator) for provider in PROVIDERS}
        yield World(simulator, links, runner.run)
        for link in links.values():
            runner.run(link.backend.aclose())


def build_link(provider_id: str, simulator: SimulatorServer) -> Link:
    api, path, model_id = PROVIDERS[provider_id]
    model = Model(provider=provider_id, id=model_id)
    provider = Provider(provider_id, api, None, (), (model,))
    url = simulator.provider_url(provider_id, path)
    backend = Backend(provider, model, SecretStr("made-up"), url, timeout_s=10)
    return Link(backend=backend, limiter=NoLimiter(), clock=now)


def now() -> datetime:
    return datetime.now(UTC)


# What became of a call: its result came, was lost, came twice, or only after the next question
FATES = ("given", "given", "given", "lost", "twice", "late")

# Ollama's client takes these for the end of a line, and with it of a chunk
LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\x85\u2028\u2029")
words = st.text(LETTERS, max_size=20)
texts = st.one_of(st.sampled_from(["", " ", "\n", "NaN", "1" * 5000, '{"a": 1.50}']), words)
args = st.fixed_dictionaries(
    {"what": words}, optional={"limits": st.dictionaries(words, st.integers(-(2**53), 2**53))}
)


@dataclass(frozen=True)
class Round:
    """One answer of one provider, and the results that its calls were given."""

    provider: str
    streamed: bool
    text: str
    reasoning: str
    calls: tuple[Called, ...]
    fates: tuple[str, ...]
    results: tuple[str, ...]


@dataclass(frozen=True)
class Turn:
    """One question, and the answers to it until somebody asks the next."""

    question: str
    rounds: tuple[Round, ...]


@st.composite
def rounds(draw: st.DrawFn) -> Round:
    calls = draw(st.lists(args.map(lambda given: Called("look_up", given)), max_size=3))
    if calls and draw(st.integers(0, 5)) == 0:
        calls[-1] = Called("look_up", raw_args='{"what": "half')
    each = {"min_size": len(calls), "max_size": len(calls)}
    return Round(
        provider=draw(st.sampled_from(sorted(PROVIDERS))),
        streamed=draw(st.booleans()),
        text=draw(texts),
        reasoning=draw(st.sampled_from(["", "Let me see. I had better look."])),
        calls=tuple(calls),
        fates=tuple(draw(st.lists(st.sampled_from(FATES), **each))),
        results=tuple(draw(st.lists(texts, **each))),
    )


turns = st.builds(Turn, texts, st.lists(rounds(), max_size=3).map(tuple))


def play(world: World, conversation: Sequence[Turn]) -> list[BaseMessage]:
    """The history that this conversation leaves behind."""
    history: list[BaseMessage] = [SystemMessage("Be brief.")]
    late: list[BaseMessage] = []
    for turn in conversation:
        history += [HumanMessage(turn.question), *late]
        late.clear()
        for one in turn.rounds:
            reply = Reply(one.text, tool_calls=one.calls, reasoning=one.reasoning)
            answer = world.answer(one.provider, history, reply, streamed=one.streamed)
            if isinstance(answer, ProviderError):
                # what a careless client would keep
                history.append(AIMessage(one.text))
                continue
            history.append(answer)
            calls = [*answer.tool_calls, *answer.invalid_tool_calls]
            for call, fate, text in zip(calls, one.fates, one.results, strict=False):
                result = ToolMessage(text, tool_call_id=call["id"], name=call["name"])
                if fate == "late":
                    late.append(result)
                else:
                    history += {"given": [result], "lost": [], "twice": [result, result]}[fate]
    return history


def said(history: Sequence[BaseMessage], kind: type[BaseMessage]) -> list[str]:
    return [one.text for one in history if isinstance(one, kind) and one.text.strip()]


def results_of(history: Sequence[BaseMessage]) -> list[str]:
    """What each call of the history should be seen to have brought."""
    results = {}
    for one in history:
        if isinstance(one, ToolMessage):
            results.setdefault(one.tool_call_id, one.text if one.text.strip() else NOTHING)
    calls = [call for one in history if isinstance(one, AIMessage) for call in one.tool_calls]
    return [results.get(str(call["id"]), UNFINISHED) for call in calls]


def in_order(needles: Sequence[str], hay: str) -> bool:
    position = 0
    for needle in needles:
        position = hay.find(needle, position)
        if position < 0:
            return False
        position += len(needle)
    return True


def check_meaning(history: Sequence[BaseMessage], request: ModelRequest) -> None:
    """What was said, called and found out is all there, in its order."""
    heard = "\n".join(m.text for m in request.messages if m.role == "user")
    assert in_order(said(history, HumanMessage), heard)
    spoken = "\n".join(m.text for m in request.messages if m.role == "assistant")
    assert in_order(said(history, AIMessage), spoken)
    answers = [one for one in history if isinstance(one, AIMessage)]
    if any(one.invalid_tool_calls for one in answers):
        return
    calls = [(call["name"], call["args"]) for one in answers for call in one.tool_calls]
    asked = [(call.name, dict(call.args)) for m in request.messages for call in m.tool_calls]
    assert asked == calls
    found = {m.tool_call_id: m.text for m in request.messages if m.role == "tool"}
    told = [found[call.id] for m in request.messages for call in m.tool_calls]
    assert told == results_of(history)


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
@given(conversation=st.lists(turns, min_size=1, max_size=3))
def test_every_provider_takes_the_history_of_every_other(
    world: World, conversation: list[Turn]
) -> None:
    history = play(world, conversation)
    for provider in PROVIDERS:
        answer = world.answer(provider, history, Reply("Fine."), streamed=False)
        assert isinstance(answer, AIMessage), (provider, answer)
        check_meaning(history, world.request())


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_every_provider_takes_over_in_the_midst_of_parallel_calls(
    world: World, provider: str, streamed: bool
) -> None:
    calls = tuple(Called("look_up", {"what": what}) for what in ("sun", "moon"))
    question = HumanMessage("Sun and moon?")
    reply = Reply("I look.", tool_calls=calls, reasoning="Two things.")
    asked = world.answer(provider, [question], reply, streamed=streamed)
    assert isinstance(asked, AIMessage)
    found = [ToolMessage("It shines.", tool_call_id=asked.tool_calls[1]["id"])]
    history = [question, asked, *found]
    for other in PROVIDERS:
        answer = world.answer(other, history, Reply("Fine."), streamed=False)
        assert isinstance(answer, AIMessage), (other, answer)
        check_meaning(history, world.request())


def test_gemini_gets_its_own_signatures_back_and_no_one_elses(world: World) -> None:
    question = HumanMessage("Sun?")
    reply = Reply.call("look_up", what="sun")
    own = world.answer("google_gemini", [question], reply, streamed=True)
    foreign = world.answer("groq", [question], reply, streamed=True)
    seen = []
    for asked in (own, foreign):
        result = ToolMessage("It shines.", tool_call_id=asked.tool_calls[0]["id"])
        world.answer("google_gemini", [question, asked, result], Reply("Fine."), streamed=False)
        contents: Any = world.request().body["contents"]
        parts = [part for content in contents for part in content["parts"]]
        seen += [part["thoughtSignature"] for part in parts if "functionCall" in part]
    assert seen[0].startswith("c2ltdWxhdGVkIHRob3VnaHQg")
    assert seen[1] == "skip_thought_signature_validator"


def test_mistral_gets_ids_of_nine_letters_and_digits(world: World) -> None:
    question = HumanMessage("Sun?")
    asked = world.answer("openai", [question], Reply.call("look_up", what="sun"), streamed=False)
    assert len(asked.tool_calls[0]["id"]) > 9
    result = ToolMessage("It shines.", tool_call_id=asked.tool_calls[0]["id"])
    world.answer("mistral", [question, asked, result], Reply("Fine."), streamed=False)
    [call] = world.request().tool_calls
    assert call.id is not None
    assert (len(call.id), call.id.isalnum()) == (9, True)


def test_a_stream_ends_as_one_message_that_others_take(world: World) -> None:
    question = HumanMessage("Good day?")
    chunk = world.answer("google_gemini", [question], Reply("Good day."), streamed=True)
    assert isinstance(chunk, AIMessageChunk)
    answer = world.answer(
        "mistral", [question, chunk, HumanMessage("And?")], Reply("Fine."), streamed=False
    )
    assert isinstance(answer, AIMessage)
    assert [m.role for m in world.request().messages] == ["user", "assistant", "user"]
