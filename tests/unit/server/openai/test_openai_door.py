import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import RunnableGenerator, RunnableLambda

from potluck.engine import Engine, use_engine
from potluck.errors import ChainError, ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.catalog import Catalog
from potluck.providers.chain import Call, ChainModel
from potluck.server.openai import mount
from potluck.server.openai.body import MAX_BODY_BYTES
from potluck.settings import Settings

USER = {"role": "user", "content": "hi"}


class FakeChain:
    """One model, which says hello or fails."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.calls: list[Call] = []

    def models(self) -> list[ChainModel]:
        return [ChainModel("groq/m", "groq", 8_000, on=True, reason="")]

    def runnable(self, call: Call) -> Any:
        self.calls.append(call)

        async def whole(_: Any) -> AIMessage:
            if self.error:
                raise self.error
            return AIMessage("hello")

        async def stream(_: Any) -> AsyncIterator[AIMessageChunk]:
            if self.error:
                raise self.error
            yield AIMessageChunk("hello")

        both = RunnableLambda(whole)
        return SimpleNamespace(
            ainvoke=both.ainvoke,
            astream=RunnableGenerator(stream).astream,  # type: ignore[arg-type]
        )


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[FakeChain]:
    made = FakeChain()
    settings = Settings(potluck_home=tmp_path)
    with use_engine(Engine(settings, Catalog({}, {}), (), made)):  # type: ignore[arg-type]
        yield made


@pytest.fixture
async def client(chain: FakeChain) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    mount(app)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as opened:
        yield opened


def error_of(response: httpx.Response) -> dict[str, Any]:
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"]
    found: dict[str, Any] = body["error"]
    return found


async def ask(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await client.post(
        "/v1/chat/completions", json={"model": "auto", "messages": [USER]} | body
    )


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/", 404),
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/v1/models", 405),
        ("GET", "/v1/models/nope", 404),
        ("GET", "/v1/models/a/b/c", 404),
        ("GET", "/v1/models/a%0Ab", 404),
    ],
)
async def test_every_refusal_has_openais_shape(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await client.request(method, path)
    assert response.status_code == status
    error_of(response)


async def test_a_wrong_method_says_which_is_right(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/chat/completions")).headers["allow"] == "POST"
    assert (await client.put("/v1/responses/r")).headers["allow"] == "DELETE, GET"


async def test_every_failure_is_described_and_in_this_shape(client: httpx.AsyncClient) -> None:
    described = (await client.get("/v1/openapi.json")).json()
    answers = [way["responses"] for path in described["paths"].values() for way in path.values()]
    assert all({"400", "404", "413", "429", "500", "503"} <= set(each) for each in answers)
    assert not any("422" in each for each in answers)


@pytest.mark.parametrize("content", [b"{", b"", b"\xff", b"[]"])
async def test_a_body_that_is_no_request_is_refused(
    client: httpx.AsyncClient, content: bytes
) -> None:
    response = await client.post("/v1/chat/completions", content=content)
    assert response.status_code == 400
    error_of(response)


async def test_a_body_that_is_too_large_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/chat/completions", content=b" " * (MAX_BODY_BYTES + 1))
    assert response.status_code == 413
    assert error_of(response)["code"] == "request_too_large"


async def test_no_content_type_is_needed(client: httpx.AsyncClient) -> None:
    content = json.dumps({"model": "auto", "messages": [USER]})
    response = await client.post("/v1/chat/completions", content=content)
    assert response.json()["choices"][0]["message"]["content"] == "hello"


async def test_an_unknown_model_is_not_found(client: httpx.AsyncClient) -> None:
    response = await ask(client, model="gpt-4")
    assert response.status_code == 404
    assert error_of(response)["code"] == "model_not_found"


async def test_lists_the_models_and_shows_each(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/v1/models")).json()
    assert listed["object"] == "list"
    assert [m["id"] for m in listed["data"]] == ["potluck", "auto", "potluck:groq/m", "groq/m"]
    for shown in listed["data"]:
        assert (await client.get(f"/v1/models/{shown['id']}")).json() == shown


async def test_a_model_alone_is_the_only_one_asked(
    client: httpx.AsyncClient, chain: FakeChain
) -> None:
    await ask(client, model="groq/m")
    await ask(client, model="auto")
    assert [call.only for call in chain.calls] == ["groq/m", None]


async def test_a_background_task_reaches_no_agent(
    client: httpx.AsyncClient, chain: FakeChain
) -> None:
    response = await client.post(
        "/v1/chat/completions",
        json={"model": "potluck", "messages": [USER]},
        headers={"X-OpenWebUI-Task": "title_generation", "X-OpenWebUI-Chat-Id": "c"},
    )
    assert response.status_code == 200
    assert [call.task_type for call in chain.calls] == ["simple_task"]


async def test_streams(client: httpx.AsyncClient) -> None:
    response = await ask(client, stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.endswith("data: [DONE]\n\n")
    assert '"content":"hello"' in response.text


@pytest.mark.parametrize("stream", [True, False])
async def test_a_failure_before_the_first_word_is_the_status(
    client: httpx.AsyncClient, chain: FakeChain, stream: bool
) -> None:
    fault = ProviderFault(ErrorKind.OVERLOAD, ErrorScope.MODEL, "busy")
    chain.error = ChainError([ProviderError("groq", "m", fault)])
    response = await ask(client, stream=stream)
    assert response.status_code == 503
    assert "groq/m" in error_of(response)["message"]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_bug_has_openais_shape_and_tells_no_secrets(
    client: httpx.AsyncClient, chain: FakeChain, stream: bool
) -> None:
    chain.error = ZeroDivisionError("secret")
    response = await ask(client, stream=stream)
    assert response.status_code == 500
    assert "secret" not in error_of(response)["message"]


async def test_the_description_names_the_request_body(client: httpx.AsyncClient) -> None:
    described = (await client.get("/v1/openapi.json")).json()
    body = described["paths"]["/chat/completions"]["post"]["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    reference = schema["properties"]["messages"]["items"]["oneOf"][0]["$ref"]
    found = described
    for part in reference.removeprefix("#/").split("/"):
        found = found[part.replace("~1", "/")]
    assert found["properties"]["role"]
