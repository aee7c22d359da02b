"""What the providers' lists of models say, in each of their forms."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from potluck.errors import ErrorKind, ProviderError
from potluck.providers.catalog import Api, Provider, ProviderStatus
from potluck.providers.model_lists import ModelList, ServedModel, fetch_model_list

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
Answer = Callable[[httpx.Request], httpx.Response]


def answering(body: object, status: int = 200) -> Answer:
    return lambda _: httpx.Response(status, text=json.dumps(body))


async def fetch(
    answer: Callable[[httpx.Request], Any],
    *,
    api: Api = "openai",
    url: str = "https://x.example/v1",
    keys: tuple[str, ...] = ("k1",),
) -> ModelList:
    status = ProviderStatus(
        Provider("mine", api, None, (), ()),
        on=True,
        reason="",
        keys=tuple(SecretStr(key) for key in keys),
        base_url=url,
    )
    return await fetch_model_list(
        status, now=NOW, timeout_s=0.2, transport=httpx.MockTransport(answer)
    )


async def entry(body: dict[str, object]) -> ServedModel:
    [model] = (await fetch(answering({"data": [body]}))).models
    return model


ADDRESSES: list[tuple[Api, str, str, tuple[str, str]]] = [
    ("openai", "https://x/v1", "https://x/v1/models", ("authorization", "Bearer k1")),
    ("together", "https://x/v1/", "https://x/v1/models", ("authorization", "Bearer k1")),
    ("groq", "https://x/openai/v1", "https://x/openai/v1/models", ("authorization", "Bearer k1")),
    ("groq", "https://x", "https://x/openai/v1/models", ("authorization", "Bearer k1")),
    ("ollama", "http://127.0.0.1:1", "http://127.0.0.1:1/api/tags", ("authorization", "Bearer k1")),
    ("gemini", "https://x", "https://x/v1beta/models?pageSize=1000", ("x-goog-api-key", "k1")),
    (
        "openai",
        "https://api.cloudflare.com/client/v4/accounts/a/ai/v1",
        "https://api.cloudflare.com/client/v4/accounts/a/ai/models/search?per_page=1000",
        ("authorization", "Bearer k1"),
    ),
    (
        "openai",
        "https://api.cohere.ai/compatibility/v1",
        "https://api.cohere.ai/compatibility/v1/models?page_size=1000",
        ("authorization", "Bearer k1"),
    ),
]


@pytest.mark.parametrize(("api", "url", "asked", "key"), ADDRESSES)
async def test_each_api_is_asked_at_its_own_place(
    api: Api, url: str, asked: str, key: tuple[str, str]
) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, text='{"data": [{"id": "m"}]}')

    await fetch(answer, api=api, url=url)
    [request] = seen
    assert str(request.url) == asked
    assert request.headers[key[0]] == key[1]
    assert "k1" not in str(request.url)


FORMS = {
    "openai": {"object": "list", "data": [{"id": "a/m"}, {"id": "b"}]},
    "together": [{"id": "a/m"}, {"id": "b", "type": "chat"}],
    "gemini": {"models": [{"name": "models/a/m"}, {"name": "models/b"}]},
    "ollama": {"models": [{"name": "a/m", "model": "a/m"}, {"name": "b"}]},
    "cohere": {"models": [{"name": "a/m", "endpoints": ["chat"]}, {"name": "b"}]},
    "cloudflare": {
        "success": True,
        "result": [
            {"id": "uuid-1", "name": "a/m", "task": {"name": "Text Generation"}},
            {"id": "uuid-2", "name": "b", "task": {"name": "Text-to-Image"}},
        ],
    },
}


@pytest.mark.parametrize("form", FORMS)
async def test_each_form_is_understood(form: str) -> None:
    listed = await fetch(answering(FORMS[form]))
    assert [model.id for model in listed.models] == ["a/m", "b"]


async def test_all_pages_are_read() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        page = request.url.params.get("pageToken")
        body = {"models": [{"name": f"models/m{page or 1}"}]}
        following = {None: "2", "2": "3"}.get(page)
        return httpx.Response(200, json=body | ({"nextPageToken": following} if following else {}))

    listed = await fetch(answer, api="gemini")
    assert [model.id for model in listed.models] == ["m1", "m2", "m3"]


async def test_a_list_that_never_ends_is_cut_off() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"models": [{"name": "m"}], "nextPageToken": "more"})

    assert [model.id for model in (await fetch(answer, api="gemini")).models] == ["m"]


CONTEXTS: list[dict[str, object]] = [
    {"context_window": 5},
    {"context_length": 5},
    {"max_context_length": 5},
    {"max_model_len": 5},
    {"inputTokenLimit": 5},
    {"context_length": "5"},
]


@pytest.mark.parametrize("said", CONTEXTS)
async def test_the_context_is_read_wherever_it_stands(said: dict[str, object]) -> None:
    assert (await entry({"id": "m"} | said)).context == 5


@pytest.mark.parametrize("value", [None, 0, -1, True, "many", [5], {"n": 5}])
async def test_a_strange_figure_is_left_out_and_spoils_nothing(value: object) -> None:
    said = {"id": "m", "context_length": value, "pricing": value, "architecture": value}
    model = await entry(said | {"aliases": value, "capabilities": value, "type": value})
    assert (model.id, model.context, model.free, model.capabilities) == ("m", None, None, None)


@pytest.mark.parametrize(
    ("said", "chats"),
    [
        ({"id": "gpt-9"}, None),
        ({"id": "olive-8b"}, None),
        ({"id": "whisper-large-v3"}, False),
        ({"id": "text-embedding-3-small"}, False),
        ({"id": "models/gemini-9-flash-live"}, False),
        ({"id": "m", "type": "chat"}, True),
        ({"id": "m", "type": "image"}, False),
        ({"id": "m", "type": "base", "capabilities": {"completion_chat": True}}, True),
        ({"id": "m", "capabilities": {"completion_chat": False}}, False),
        ({"id": "m", "supportedGenerationMethods": ["generateContent"]}, True),
        ({"id": "m", "supportedGenerationMethods": ["predict"]}, False),
        ({"id": "u", "name": "m", "task": {"name": "Text Generation"}}, True),
        ({"id": "u", "name": "m", "task": {"name": "Translation"}}, False),
    ],
)
async def test_what_a_model_is_for(said: dict[str, object], chats: bool | None) -> None:
    assert (await entry(said)).chats is chats


@pytest.mark.parametrize(
    ("pricing", "free"),
    [
        ({"prompt": "0", "completion": "0"}, True),
        ({"prompt": "0", "completion": "0.0000002"}, False),
        ({"input": 0, "output": 0}, None),
        ({}, None),
    ],
)
async def test_a_price_of_zero_is_free(pricing: object, free: bool | None) -> None:
    assert (await entry({"id": "m", "pricing": pricing})).free is free


async def test_capabilities_are_those_that_are_told() -> None:
    seeing = {"input_modalities": ["text", "image"]}
    told = {"id": "m", "supported_parameters": ["tools", "seed"], "architecture": seeing}
    assert (await entry(told)).capabilities == {"tools", "vision"}
    told = {"id": "m", "capabilities": {"function_calling": False, "vision": False}}
    assert (await entry(told)).capabilities == {"json"}


async def test_names_include_aliases_and_ollamas_latest() -> None:
    body = {"data": [{"id": "small-2603", "aliases": ["small-latest"]}, {"id": "qwen3:latest"}]}
    listed = await fetch(answering(body))
    assert listed.find("small-latest") is listed.models[0]
    assert listed.find("qwen3") is listed.models[1]
    assert listed.find("small") is None


async def test_a_model_that_is_switched_off_is_not_served() -> None:
    body = {"data": [{"id": "a", "active": False}, {"id": "b", "active": True}]}
    assert [model.id for model in (await fetch(answering(body))).models] == ["b"]


FAILURES: list[tuple[Answer, ErrorKind, str]] = [
    (answering({"error": {"message": "Invalid API Key"}}, 401), ErrorKind.AUTH, "Invalid API Key"),
    (answering({}, 404), ErrorKind.UNKNOWN, "no list of models at https://x.example/v1/models"),
    (answering({}, 405), ErrorKind.UNKNOWN, "no list of models"),
    (answering({}, 503), ErrorKind.OVERLOAD, ""),
    (answering({"data": []}), ErrorKind.UNKNOWN, "empty"),
    (answering({"data": [{"no": "id"}]}), ErrorKind.UNKNOWN, "not a list of models"),
    (answering({"data": None}), ErrorKind.UNKNOWN, "not a list of models"),
    (answering("hello"), ErrorKind.UNKNOWN, "not a list of models"),
    (lambda _: httpx.Response(200, text="<html>"), ErrorKind.UNKNOWN, "not a list of models"),
]


@pytest.mark.parametrize(("answer", "kind", "message"), FAILURES)
async def test_what_goes_wrong_is_one_typed_error(
    answer: Answer, kind: ErrorKind, message: str
) -> None:
    with pytest.raises(ProviderError) as caught:
        await fetch(answer)
    assert caught.value.kind is kind
    assert message in caught.value.fault.message


async def test_no_network_and_silence_are_told_apart() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    async def hang(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(10)
        return httpx.Response(200)

    with pytest.raises(ProviderError) as refused:
        await fetch(refuse)
    with pytest.raises(ProviderError) as silent:
        await fetch(hang)
    assert refused.value.kind is ErrorKind.NETWORK
    assert silent.value.kind is ErrorKind.TIMEOUT
    assert "0.2 s" in silent.value.fault.message


async def test_a_second_key_is_tried_when_the_first_is_refused() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        good = request.headers["authorization"] == "Bearer k2"
        return httpx.Response(200 if good else 401, json={"data": [{"id": "m"}]})

    assert (await fetch(answer, keys=("k1", "k2"))).find("m")
    with pytest.raises(ProviderError) as caught:
        await fetch(answer, keys=("k1", "k3"))
    assert caught.value.kind is ErrorKind.AUTH
