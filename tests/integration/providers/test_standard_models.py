"""LangChain's standard tests of chat models, on the link to each provider and on the chain.

Many of them call a model synchronously. Ours are asynchronous by design, so here, and nowhere
else, their synchronous methods run the asynchronous ones on the event loop of another thread.
"""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from potluck.errors import PotluckError
from potluck.providers.async_model import AsyncChatModel
from potluck.providers.backend import Backend
from potluck.providers.chain import Call, Chain
from potluck.providers.link import Link
from potluck.quota.limiter import NoLimiter
from potluck.simulator.reply import FaultKind, Reply
from potluck.simulator.request import ModelRequest
from potluck.simulator.schema import sample
from potluck.simulator.server import SimulatorServer

pytestmark = [
    pytest.mark.integration,
    # google-genai subclasses aiohttp's session
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]

CALL_TIMEOUT_S = 20.0
# Where any argument that fits the schema is not enough
EXPECTED_CALLS: dict[str, dict[str, object]] = {
    "magic_function": {"input": 3},
    "greeting_generator": {"answer_style": "pirate"},
}

SCHEMA_TYPES = ["pydantic", "typeddict", "json_schema"]
TWO_STARTS = "the test wants one model asked, and here the first fails before the second answers"
NO_EVENTS_V3 = "LangChain has this protocol for models and graphs, not for RunnableWithFallbacks"

type Run = Callable[[Coroutine[Any, Any, Any]], Any]
MakeChain = Callable[..., Chain]


def call_as_expected(request: ModelRequest) -> Reply | None:
    """The call that a model would make that understands the question."""
    if not request.tools or request.tool_results or request.tool_choice == "none":
        return None
    tool = request.tools[0]
    args = EXPECTED_CALLS.get(tool.name) or sample(tool.parameters, text=request.last_user_text)
    return Reply.call(tool.name, **(args if isinstance(args, dict) else {}))


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Runs a coroutine on the loop of another thread, and waits for it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def submit(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(CALL_TIMEOUT_S)

    yield submit
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def synchronous(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Gives our models the synchronous methods that they do without."""

    def generate(self: Any, messages: Any, stop: Any = None, _: Any = None, **given: Any) -> Any:
        given.pop("run_manager", None)
        return run(self._agenerate(messages, stop=stop, **given))

    def stream(
        self: Any, messages: Any, stop: Any = None, _: Any = None, **given: Any
    ) -> Iterator[Any]:
        given.pop("run_manager", None)
        chunks = self._astream(messages, stop=stop, **given)

        async def advance() -> Any:
            return await anext(chunks, None)

        while (chunk := run(advance())) is not None:
            yield chunk

    monkeypatch.setattr(AsyncChatModel, "_generate", generate)
    monkeypatch.setattr(AsyncChatModel, "_stream", stream, raising=False)
    return run


class OneLink:
    """The model under test: a link to each vendor in turn."""

    backend: Backend

    @pytest.fixture(autouse=True)
    async def _set_up(
        self,
        vendor: str,
        make_chain: MakeChain,
        simulator: SimulatorServer,
        synchronous: Run,
        request: pytest.FixtureRequest,
    ) -> AsyncIterator[None]:
        simulator.script.on(call_as_expected)
        self.backend = make_chain([vendor])._links[0].backend
        yield
        await close(self.backend.aclose(), request, synchronous)

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return Link

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"backend": self.backend, "limiter": NoLimiter(), "clock": now}

    @property
    def supports_model_override(self) -> bool:
        """A link is one model: the chain is asked for others."""
        return False


async def close(closing: Coroutine[Any, Any, None], request: Any, run: Run) -> None:
    """Close on the loop on which the test has opened."""
    if inspect.iscoroutinefunction(request.function):
        await closing
    else:
        await asyncio.to_thread(run, closing)


class TestLinkUnit(OneLink, ChatModelUnitTests):
    @pytest.fixture
    def benchmark(self, benchmark: Any) -> Any:
        """Once is enough: how long a start takes is measured elsewhere."""
        benchmark.disabled = True
        return benchmark

    @pytest.mark.xfail(reason="a link is one model: the chain is asked for others", strict=True)
    def test_standard_params_model_override(self, model: BaseChatModel) -> None:
        super().test_standard_params_model_override(model)


class TestLink(OneLink, ChatModelIntegrationTests):
    """Images have tests of our own: the standard ones fetch theirs from the internet."""


class TestChain(ChatModelIntegrationTests):
    """The chain, over a model that answers and another that is not needed."""

    chain: Chain
    is_first_down = False

    @pytest.fixture(autouse=True)
    async def _set_up(
        self,
        make_chain: MakeChain,
        simulator: SimulatorServer,
        synchronous: Run,
        request: pytest.FixtureRequest,
        monkeypatch: pytest.MonkeyPatch,
    ) -> AsyncIterator[None]:
        if self.is_first_down:
            simulator.script.on(Reply.failing(FaultKind.OVERLOAD), provider="groq")
        simulator.script.on(call_as_expected)
        callspec = getattr(request.node, "callspec", None)
        wanted = callspec.params.get("model", {}) if callspec else {}
        if "output_version" in wanted:
            # A chain takes no such parameter, but each model in it reads this one
            monkeypatch.setenv("LC_OUTPUT_VERSION", wanted["output_version"])
        self.chain = make_chain(["groq", "google_gemini"])
        yield
        await close(self.chain.aclose(), request, synchronous)

    def build(self, **params: Any) -> Runnable[Any, Any]:
        return self.chain.runnable(Call(params=params))

    @property
    def chat_model_class(self) -> Any:
        return self.build

    @pytest.fixture
    def model(self, request: Any) -> Any:  # noqa: ARG002 # what makes it take the parameters
        return self.build()

    @property
    def has_tool_calling(self) -> bool:
        return True

    @property
    def has_tool_choice(self) -> bool:
        return True

    @property
    def has_structured_output(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        """It is asked for a model by `Call`."""
        return False

    @pytest.mark.xfail(reason=NO_EVENTS_V3, raises=NotImplementedError, strict=True)
    def test_stream_events_v3(self, model: BaseChatModel) -> None:
        super().test_stream_events_v3(model)

    @pytest.mark.xfail(reason=NO_EVENTS_V3, raises=NotImplementedError, strict=True)
    async def test_astream_events_v3(self, model: BaseChatModel) -> None:
        await super().test_astream_events_v3(model)


class TestChainWithFirstModelDown(TestChain):
    """The chain while its first model is overloaded: the next one answers."""

    is_first_down = True

    @pytest.mark.xfail(reason=TWO_STARTS, raises=AssertionError, strict=True)
    @pytest.mark.parametrize("schema_type", SCHEMA_TYPES)
    def test_structured_output(self, model: BaseChatModel, schema_type: str) -> None:
        super().test_structured_output(model, schema_type)

    @pytest.mark.xfail(reason=TWO_STARTS, raises=AssertionError, strict=True)
    @pytest.mark.parametrize("schema_type", SCHEMA_TYPES)
    async def test_structured_output_async(self, model: BaseChatModel, schema_type: str) -> None:
        await super().test_structured_output_async(model, schema_type)


async def test_a_synchronous_call_is_refused_with_the_way_out(
    make_chain: MakeChain, vendor: str
) -> None:
    with pytest.raises(PotluckError, match="ainvoke or astream"):
        make_chain([vendor]).runnable(Call()).invoke("Good day?")
