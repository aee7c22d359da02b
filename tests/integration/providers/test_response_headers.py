"""Every vendor's class hands over the headers of each response, whatever it keeps to itself."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from potluck.providers.catalog import Api, Model, Provider
from potluck.providers.response_headers import SeenResponses, captured_headers
from potluck.providers.vendors import build_chat_model, close_chat_model
from potluck.simulator.reply import Fault, FaultKind, Reply
from potluck.simulator.server import SimulatorServer

pytestmark = pytest.mark.integration

# id: its API, the path of its base URL, a model, a header that each of its answers has
VENDORS: dict[str, tuple[Api, str, str, str]] = {
    "cerebras": ("openai", "/v1", "gpt-oss-120b", "x-ratelimit-limit-requests-day"),
    "google_gemini": ("gemini", "", "gemini-3.8-flash", "content-type"),
    "groq": ("groq", "/openai/v1", "openai/gpt-oss-120b", "x-ratelimit-limit-requests"),
    "huggingface": ("huggingface", "/v1", "openai/gpt-oss-120b", "content-type"),
    "ollama": ("ollama", "", "qwen3:0.6b", "content-type"),
    "together": ("together", "/v1", "openai/gpt-oss-20b", "x-ratelimit-limit"),
}


@pytest.fixture(scope="module")
def _running() -> Iterator[SimulatorServer]:
    with SimulatorServer(limits=True) as server:
        yield server


@pytest.fixture
def simulator(_running: SimulatorServer) -> SimulatorServer:
    _running.script.clear()
    _running.meter.reset()
    return _running


def opened(simulator: SimulatorServer, vendor: str) -> AbstractAsyncContextManager[BaseChatModel]:
    return opened_at(simulator.url, vendor)


@asynccontextmanager
async def opened_at(address: str, vendor: str) -> AsyncIterator[BaseChatModel]:
    api, path, model_id, _ = VENDORS[vendor]
    model = Model(provider=vendor, id=model_id)
    url = f"{address}/{vendor}{path}"
    provider = Provider(id=vendor, api=api, base_url=url, api_key_env=(), models=(model,))
    chat_model = build_chat_model(
        provider, model, api_key=SecretStr("made-up"), base_url=url, timeout_s=10
    )
    try:
        yield chat_model
    finally:
        await close_chat_model(chat_model)


@pytest.fixture(params=sorted(VENDORS))
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_of_a_plain_answer(simulator: SimulatorServer, vendor: str) -> None:
    simulator.script.on(Reply("Good morning."))
    async with opened(simulator, vendor) as model:
        with captured_headers() as seen:
            await model.ainvoke("Good day?")
    assert [response.status for response in seen.responses] == [200]
    assert VENDORS[vendor][3] in seen.headers


async def test_of_a_stream_driven_step_by_step(simulator: SimulatorServer, vendor: str) -> None:
    simulator.script.on(Reply("One two three."))
    seen = SeenResponses()
    async with opened(simulator, vendor) as model:
        stream = model.astream("Count.")
        ended = False
        while not ended:
            with captured_headers(seen):
                ended = await anext(stream, None) is None
    assert [response.status for response in seen.responses] == [200]
    assert VENDORS[vendor][3] in seen.headers


async def test_of_a_refusal(simulator: SimulatorServer, vendor: str) -> None:
    simulator.script.on(Reply(fault=Fault(FaultKind.MINUTE_REQUESTS)))
    async with opened(simulator, vendor) as model:
        with captured_headers() as seen, pytest.raises(Exception):  # noqa: B017, PT011 # each its own
            await model.ainvoke("Good day?")
    assert seen.status == 429


async def test_each_tells_when_the_request_is_sent_but_not_before_it_has_a_connection(
    simulator: SimulatorServer, vendor: str
) -> None:
    simulator.script.on(Reply("Good morning."))
    sent: list[int] = []
    seen = SeenResponses(on_sent=lambda: sent.append(len(seen.responses)))
    async with opened(simulator, vendor) as model:
        with captured_headers(seen):
            await model.ainvoke("Good day?")
            await model.ainvoke("Good night?")
    assert sent == [0, 1]
    assert len(seen.responses) == 2


async def test_nothing_is_sent_where_nobody_listens(vendor: str, unused_tcp_port: int) -> None:
    sent: list[bool] = []
    seen = SeenResponses(on_sent=lambda: sent.append(True))
    async with opened_at(f"http://127.0.0.1:{unused_tcp_port}", vendor) as model:
        with captured_headers(seen), pytest.raises(Exception):  # noqa: B017, PT011 # each its own
            await model.ainvoke("Good day?")
    assert sent == []
