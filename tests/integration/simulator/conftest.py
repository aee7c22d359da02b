import gc
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_groq import ChatGroq
from langchain_huggingface import ChatHuggingFace, HuggingFaceEndpoint
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from langchain_together import ChatTogether

from potluck.simulator.server import SimulatorServer

Build = Callable[..., BaseChatModel]


def openai_model(url: str, **options: Any) -> BaseChatModel:
    options = {"model": "gpt-5-mini", "api_key": "made-up", **options}
    return ChatOpenAI(base_url=f"{url}/openai/v1", max_retries=0, stream_usage=True, **options)


def openrouter_model(url: str, **options: Any) -> BaseChatModel:
    options = {"model": "openai/gpt-oss-120b:free", "api_key": "made-up", **options}
    base_url = f"{url}/openrouter/api/v1"
    return ChatOpenAI(base_url=base_url, max_retries=0, stream_usage=True, **options)


def mistral_model(url: str, **options: Any) -> BaseChatModel:
    options = {"model": "mistral-small-latest", "api_key": "made-up", **options}
    return ChatOpenAI(base_url=f"{url}/mistral/v1", max_retries=0, stream_usage=True, **options)


def groq_model(url: str, **options: Any) -> BaseChatModel:
    options = {"model": "openai/gpt-oss-120b", "api_key": "made-up", **options}
    return ChatGroq(base_url=f"{url}/groq", max_retries=0, **options)


def together_model(url: str, **options: Any) -> BaseChatModel:
    options = {"model": "openai/gpt-oss-20b", "api_key": "made-up", **options}
    return ChatTogether(base_url=f"{url}/together/v1", max_retries=0, stream_usage=True, **options)


def gemini_model(url: str, **options: Any) -> BaseChatModel:
    options = {"model": "gemini-3.8-flash", "api_key": "made-up", **options}
    return ChatGoogleGenerativeAI(base_url=f"{url}/google_gemini", max_retries=1, **options)


def ollama_model(url: str, **options: Any) -> BaseChatModel:
    options.pop("api_key", None)
    options = {"model": "qwen3:0.6b", **options}
    return ChatOllama(base_url=f"{url}/ollama", **options)


def huggingface_model(url: str, **options: Any) -> BaseChatModel:
    key = options.pop("api_key", "made-up")
    model = options.pop("model", "openai/gpt-oss-120b")
    endpoint = HuggingFaceEndpoint(
        endpoint_url=f"{url}/huggingface/v1",
        server_kwargs={"headers": {"Authorization": f"Bearer {key}"}},
    )
    named = {"model": model}
    return ChatHuggingFace(
        llm=endpoint, model_id=model, model_kwargs=named, stream_usage=True, **options
    )


BUILDERS: dict[str, Build] = {
    "openai": openai_model,
    "openrouter": openrouter_model,
    "mistral": mistral_model,
    "groq": groq_model,
    "together": together_model,
    "google_gemini": gemini_model,
    "ollama": ollama_model,
    "huggingface": huggingface_model,
}


@pytest.fixture(scope="module", autouse=True)
def _collect_left_clients() -> Iterator[None]:
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="session")
def _running() -> Iterator[SimulatorServer]:
    with SimulatorServer() as server:
        yield server


@pytest.fixture
def simulator(_running: SimulatorServer) -> SimulatorServer:
    _running.script.clear()
    _running.log.clear()
    return _running


@pytest.fixture(params=sorted(BUILDERS))
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def build(simulator: SimulatorServer, provider: str) -> Build:
    def builder(**options: Any) -> BaseChatModel:
        return BUILDERS[provider](simulator.url, **options)

    return builder
