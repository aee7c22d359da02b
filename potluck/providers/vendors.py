"""The vendors' LangChain classes, each set up the same: one try, one timeout, usage reported."""

import math
import ssl
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import httpx
from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from potluck.providers.catalog import Api, Model, Provider
from potluck.providers.dialects import Keywords, output_limit
from potluck.providers.raw_completions import RawCompletions
from potluck.providers.response_headers import note_aiohttp, response_hooks

# Without a key of ours, a class would take whichever it finds in the environment, and send it
# to a place that it was not made for.
_NO_KEY = SecretStr("none")
_HUGGINGFACE_URL = "https://router.huggingface.co/v1"


@dataclass(frozen=True, slots=True)
class _Setup:
    model: Model
    api_key: SecretStr
    base_url: str | None
    timeout_s: float


_importing = threading.Lock()


def build_chat_model(
    provider: Provider,
    model: Model,
    *,
    api_key: SecretStr | None,
    base_url: str | None,
    timeout_s: float,
) -> BaseChatModel:
    """The LangChain class for the provider's API, pointed at `base_url`. Opens no connection."""
    build = _BUILDERS[provider.api]
    # Two threads that import the vendors' packages at once find each other's half made.
    with _importing:
        return build(_Setup(model, api_key or _NO_KEY, base_url, timeout_s))


async def close_chat_model(chat_model: BaseChatModel) -> None:
    """Close the connections of a model that `build_chat_model` made."""
    # Any: each vendor keeps its client in a place of its own, all of them loosely typed
    vendor = cast("Any", chat_model)
    match chat_model.__class__.__name__:
        case "ChatGoogleGenerativeAI":
            await vendor.aclose()
        case "ChatOllama":
            await vendor._async_client.close()  # noqa: SLF001 # it has no door of its own
        case "ChatHuggingFace":
            await vendor.llm.async_client.close()
        case _:
            await vendor.http_async_client.aclose()


@cache
def _tls() -> ssl.SSLContext:
    """One for all: each holds every root certificate, in megabytes and tens of milliseconds."""
    return httpx.create_ssl_context()


def _common(setup: _Setup) -> Keywords:
    """What all OpenAI-shaped classes take by the same names."""
    stated = {"temperature": setup.model.temperature, "base_url": setup.base_url}
    return {
        "model": setup.model.id,
        "api_key": setup.api_key,
        "timeout": setup.timeout_s,
        "max_retries": 0,
        **{name: value for name, value in stated.items() if value is not None},
    }


def _build_openai(setup: _Setup) -> BaseChatModel:
    import openai  # noqa: PLC0415 # only who uses it pays for it
    from langchain_openai import ChatOpenAI  # noqa: PLC0415 # likewise

    limit = setup.model.max_output
    made = ChatOpenAI(
        **_common(setup),
        **(output_limit(setup.base_url, limit) if limit else {}),
        stream_usage=True,
        stream_chunk_timeout=None,
        use_responses_api=False,
        http_client=openai.DefaultHttpxClient(verify=_tls()),
        http_async_client=openai.DefaultAsyncHttpxClient(
            verify=_tls(), event_hooks=response_hooks()
        ),
    )
    made.async_client = RawCompletions(made.root_async_client, openai.AsyncStream[object])
    return made


def _build_together(setup: _Setup) -> BaseChatModel:
    import openai  # noqa: PLC0415 # only who uses it pays for it
    from langchain_together import ChatTogether  # noqa: PLC0415 # likewise

    made = ChatTogether(
        **_common(setup),
        max_tokens=setup.model.max_output,
        stream_usage=True,
        stream_chunk_timeout=None,
        http_client=openai.DefaultHttpxClient(verify=_tls()),
        http_async_client=openai.DefaultAsyncHttpxClient(
            verify=_tls(), event_hooks=response_hooks()
        ),
    )
    made.async_client = RawCompletions(made.root_async_client, openai.AsyncStream[object])
    return made


def _build_groq(setup: _Setup) -> BaseChatModel:
    import groq  # noqa: PLC0415 # only who uses it pays for it
    from langchain_groq import ChatGroq  # noqa: PLC0415 # likewise

    common = _common(setup)
    if setup.base_url is not None:
        # Its client adds this path by itself
        common["base_url"] = setup.base_url.rstrip("/").removesuffix("/openai/v1")
    return ChatGroq(
        **common,
        max_tokens=setup.model.max_output,
        http_client=groq.DefaultHttpxClient(verify=_tls()),
        http_async_client=groq.DefaultAsyncHttpxClient(verify=_tls(), event_hooks=response_hooks()),
    )


def _build_gemini(setup: _Setup) -> BaseChatModel:
    from langchain_google_genai import ChatGoogleGenerativeAI  # noqa: PLC0415 # only who uses it pays

    common = _common(setup)
    if setup.base_url is not None:
        common["base_url"] = setup.base_url.rstrip("/").removesuffix("/v1beta")
    # 0 would mean the SDK's own six tries
    common["max_retries"] = 1
    return ChatGoogleGenerativeAI(
        **common,
        max_output_tokens=setup.model.max_output,
        # The SDK hands to each of its HTTP clients what that client takes; aiohttp the second
        client_args={"verify": _tls(), "middlewares": (note_aiohttp,)},
    )


def _build_ollama(setup: _Setup) -> BaseChatModel:
    from langchain_ollama import ChatOllama  # noqa: PLC0415 # only who uses it pays for it

    client: dict[str, object] = {"timeout": setup.timeout_s, "verify": _tls()}
    if setup.api_key is not _NO_KEY:
        client["headers"] = {"Authorization": f"Bearer {setup.api_key.get_secret_value()}"}
    return ChatOllama(
        model=setup.model.id,
        base_url=setup.base_url,
        temperature=setup.model.temperature,
        num_predict=setup.model.max_output,
        client_kwargs=client,
        async_client_kwargs={"event_hooks": response_hooks()},
    )


def _build_huggingface(setup: _Setup) -> BaseChatModel:
    from langchain_huggingface import (  # noqa: PLC0415 # only who uses it pays for it
        ChatHuggingFace,
        HuggingFaceEndpoint,
    )

    key = setup.api_key.get_secret_value()
    endpoint = HuggingFaceEndpoint(  # type: ignore[call-arg] # its validator fills in `model`
        endpoint_url=setup.base_url or _HUGGINGFACE_URL,
        timeout=math.ceil(setup.timeout_s),
        huggingfacehub_api_token=key,
        # To any other host than Hugging Face's own, the class sends no token
        server_kwargs={"headers": {"Authorization": f"Bearer {key}"}},
    )
    _watch_huggingface(endpoint.async_client)
    chat_model = ChatHuggingFace(llm=endpoint, stream_usage=True)
    # The class takes these from the endpoint, whose defaults are for text completion
    chat_model.model_id = setup.model.id
    chat_model.temperature = setup.model.temperature
    chat_model.max_tokens = setup.model.max_output
    return chat_model


def _watch_huggingface(client: Any) -> None:  # Any: its client is opened by a private method
    opened: Callable[[], Awaitable[httpx.AsyncClient]] = client._get_async_client  # noqa: SLF001

    async def watched() -> httpx.AsyncClient:
        session = await opened()
        for event, ours in response_hooks().items():
            hooks = session.event_hooks[event]
            hooks.extend(hook for hook in ours if hook not in hooks)
        return session

    client._get_async_client = watched  # noqa: SLF001 # there is no other way to its one client


def _refuse_offline(setup: _Setup) -> BaseChatModel:
    raise ValueError(f"{setup.model.ref} is the offline model: the chain itself adds it")


_BUILDERS: Mapping[Api, Callable[[_Setup], BaseChatModel]] = {
    "openai": _build_openai,
    "together": _build_together,
    "groq": _build_groq,
    "gemini": _build_gemini,
    "ollama": _build_ollama,
    "huggingface": _build_huggingface,
    "offline": _refuse_offline,
}
