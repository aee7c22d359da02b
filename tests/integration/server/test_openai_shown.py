"""What the agent shows beside its words, and images in: the openai SDK, a real server."""

import base64
import json
import os
import re
import shutil
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import openai
import pytest
from langgraph_sdk import get_client
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionChunk

from potluck.providers.catalog_file import load_catalog
from potluck.settings import PROJECT_DIR
from potluck.simulator.reply import Reply, Usage
from potluck.simulator.request import ToolCall
from potluck.simulator.server import SimulatorServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
PNG_URI = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
SHOW = f"""
import base64
from IPython.display import Image, display
display(Image(data=base64.b64decode("{base64.b64encode(PNG).decode()}"), format="png"))
"""
PAGE = b"<html><head><title>On tea</title></head><body><p>Tea is made of leaves.</p></body></html>"
FOUND = {"results": [{"title": "Green", "url": "https://e.com/green", "content": "2 minutes"}]}
OPEN_WEBUI = {"X-OpenWebUI-User-Id": "u"}


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """A site of the web that has a page, a search engine and a picture."""
    answers = {
        "/tea": ("text/html", PAGE),
        "/search": ("application/json", json.dumps(FOUND).encode()),
        "/a.png": ("image/png", PNG),
        "/wrong.png": ("image/png", b"<html>"),
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = answers.get(self.path.partition("?")[0])
            kind, content = found or ("text/plain", b"nothing here")
            self.send_response(200 if found else 404)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def shared_shown_server(site: str) -> Iterator[Any]:
    from tests.conftest import PotluckServer, make_home, remove, unlimited_config  # noqa: PLC0415

    home = make_home()
    config = unlimited_config(home / "config")
    port = int(site.rpartition(":")[2])
    web = {"searxng_url": site, "allow_networks": ["127.0.0.1/32"], "allow_ports": [80, 443, port]}
    (config / "tools.yaml").write_text(json.dumps({"web": web, "tools": {"shell": "ask"}}))
    with SimulatorServer() as simulator:
        env = {"POTLUCK_CONFIG_DIR": str(config), "POTLUCK_LOG_LEVEL": "info"}
        server = PotluckServer(home, simulator, env=env)
        yield server.start()
        remove(server)


@pytest.fixture
def shown_server(shared_shown_server: Any) -> Any:
    shared_shown_server.simulator.script.clear()
    shared_shown_server.simulator.log.clear()
    return shared_shown_server


@pytest.fixture
async def client(shown_server: Any) -> AsyncIterator[AsyncOpenAI]:
    url = f"{shown_server.url}/v1"
    async with AsyncOpenAI(base_url=url, api_key="any", max_retries=0) as made:
        yield made


def user(text: str, *images: str) -> Any:
    if not images:
        return {"role": "user", "content": text}
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in images]
    return {"role": "user", "content": [{"type": "text", "text": text}, *parts]}


def bubblewrap() -> None:
    if shutil.which("bwrap") is None:
        if os.environ.get("POTLUCK_TEST_REQUIRE_ALL") == "1":
            pytest.fail("bubblewrap is needed, and not installed")
        pytest.skip("bubblewrap is not installed")


def plan(server: Any, *calls: ToolCall, answer: str = "Here it is.") -> None:
    """The model makes these calls at once, then answers."""
    server.simulator.script.on(Reply(tool_calls=calls), results=0)
    server.simulator.script.on(Reply(text=answer))


async def chunks_of(client: AsyncOpenAI, **more: Any) -> list[ChatCompletionChunk]:
    stream = await client.chat.completions.create(model="potluck", stream=True, **more)
    return [chunk async for chunk in stream]


def extras(chunks: list[ChatCompletionChunk], name: str) -> list[Any]:
    found = [getattr(chunk.choices[0].delta, name, None) for chunk in chunks if chunk.choices]
    return [one for value in found for one in value or []]


async def test_a_picture_is_shown_beside_the_answer(client: AsyncOpenAI, shown_server: Any) -> None:
    bubblewrap()
    plan(shown_server, ToolCall("python", {"code": SHOW}))
    chunks = await chunks_of(client, messages=[user("draw a dot")])
    (image,) = extras(chunks, "images")
    assert image == {"type": "image_url", "image_url": {"url": PNG_URI}}
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "Here it is."


async def test_a_picture_is_in_the_plain_answer_and_in_the_workspace(
    client: AsyncOpenAI, shown_server: Any
) -> None:
    bubblewrap()
    plan(shown_server, ToolCall("python", {"code": SHOW}))
    made = await client.chat.completions.create(model="potluck", messages=[user("draw a dot")])
    message: Any = made.choices[0].message
    assert message.content == "Here it is."
    assert [image["image_url"]["url"] for image in message.images] == [PNG_URI]
    assert re.search(r"Picture: images/\w{10}\.png\n", message.reasoning_content)


async def test_pages_that_were_read_and_found_are_cited(
    client: AsyncOpenAI, shown_server: Any, site: str
) -> None:
    calls = ToolCall("fetch_page", {"url": f"{site}/tea"}), ToolCall("search_web", {"query": "tea"})
    plan(shown_server, *calls, answer="Steep it (https://e.com/green).")
    chunks = await chunks_of(client, messages=[user("how do I make tea?")])
    cited = {
        one["url_citation"]["url"]: one["url_citation"] for one in extras(chunks, "annotations")
    }
    assert set(cited) == {f"{site}/tea", "https://e.com/green"}
    assert cited[f"{site}/tea"]["title"] == "On tea"
    green = cited["https://e.com/green"]
    assert (green["start_index"], green["end_index"]) == (10, 29)
    assert not any("event" in (chunk.model_extra or {}) for chunk in chunks)


async def test_open_webui_gets_status_and_sources_as_events(
    client: AsyncOpenAI, shown_server: Any, site: str
) -> None:
    plan(shown_server, ToolCall("fetch_page", {"url": f"{site}/tea"}))
    chunks = await chunks_of(client, messages=[user("tea?")], extra_headers=OPEN_WEBUI)
    events = [
        chunk.model_extra["event"] for chunk in chunks if "event" in (chunk.model_extra or {})
    ]
    assert all(chunk.choices for chunk in chunks)
    statuses = [one["data"] for one in events if one["type"] == "status"]
    assert statuses[0]["description"] == "Reading the request"
    assert f"Reading {site.removeprefix('http://')}" in [one["description"] for one in statuses]
    assert [one["done"] for one in statuses] == [False] * (len(statuses) - 1) + [True]
    (source,) = [one["data"] for one in events if one["type"] == "source"]
    assert source["source"] == {"name": "On tea", "url": f"{site}/tea"}
    assert "leaves" in source["document"][0]
    assert extras(chunks, "annotations") == []
    finished = [chunk.choices[0].finish_reason for chunk in chunks]
    assert finished == [None] * (len(chunks) - 1) + ["stop"]


async def test_a_kept_chat_is_not_told_again_what_was_shown_before(
    client: AsyncOpenAI, shown_server: Any, site: str
) -> None:
    headers = {"X-Chat-Id": str(uuid.uuid4())}
    plan(shown_server, ToolCall("fetch_page", {"url": f"{site}/tea"}))
    first = await chunks_of(client, messages=[user("tea?")], extra_headers=headers)
    assert len(extras(first, "annotations")) == 1
    shown_server.simulator.script.clear()
    history = [user("tea?"), {"role": "assistant", "content": "Here it is."}, user("thanks")]
    second = await chunks_of(client, messages=history, extra_headers=headers)
    assert extras(second, "annotations") == []


async def test_a_call_that_was_approved_shows_its_picture_once(
    client: AsyncOpenAI, shown_server: Any
) -> None:
    """With the answer the node begins anew, and the call beside it has ended already."""
    bubblewrap()
    chat = {"X-Chat-Id": str(uuid.uuid4())}
    plan(
        shown_server, ToolCall("python", {"code": SHOW}), ToolCall("shell", {"command": "echo hi"})
    )
    asked = user("draw a dot")
    first = await chunks_of(client, messages=[asked], extra_headers=chat)
    assert len(extras(first, "images")) == 1
    question = "".join(chunk.choices[0].delta.content or "" for chunk in first)
    answered = [asked, {"role": "assistant", "content": question}, user("yes")]
    second = await chunks_of(client, messages=answered, extra_headers=chat)
    assert extras(second, "images") == []
    assert "Here it is." in "".join(chunk.choices[0].delta.content or "" for chunk in second)


async def test_the_thread_keeps_the_pages_with_the_result(
    client: AsyncOpenAI, shown_server: Any, site: str
) -> None:
    plan(shown_server, ToolCall("fetch_page", {"url": f"{site}/tea"}))
    raw = await client.chat.completions.with_raw_response.create(
        model="potluck",
        messages=[user("tea?")],
        extra_headers={"X-Chat-Id": str(uuid.uuid4())},
    )
    async with get_client(url=shown_server.url) as langgraph:
        state: Any = await langgraph.threads.get_state(raw.headers["x-potluck-thread-id"])
    (result,) = [one for one in state["values"]["messages"] if one["type"] == "tool"]
    assert result["artifact"]["sources"][0]["url"] == f"{site}/tea"


async def test_usage_is_the_sum_with_what_was_thought(
    client: AsyncOpenAI, shown_server: Any
) -> None:
    script = shown_server.simulator.script
    call = ToolCall("calculator", {"expression": "1+1"})
    script.on(Reply(tool_calls=(call,), usage=Usage(100, 20, 5)), results=0)
    script.on(Reply("2", usage=Usage(200, 30, 7)))
    made = await client.chat.completions.create(model="potluck", messages=[user("1+1?")])
    assert made.usage is not None
    assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (300, 50)
    details = made.usage.completion_tokens_details
    assert details is not None
    assert details.reasoning_tokens == 12


def seeing() -> set[str]:
    providers = load_catalog(PROJECT_DIR / "config").providers.values()
    models = [model for provider in providers for model in provider.models]
    return {model.id for model in models if "vision" in model.capabilities}


@pytest.mark.parametrize("model", ["potluck", "auto"])
async def test_an_image_is_seen_by_a_model_that_can(
    client: AsyncOpenAI, shown_server: Any, model: str
) -> None:
    made = await client.chat.completions.create(
        model=model, messages=[user("What is it?", PNG_URI)]
    )
    assert made.choices[0].message.content
    requests = shown_server.simulator.log.requests()
    assert requests
    for request in requests:
        assert sum(message.images for message in request.messages) == 1
        assert request.model in seeing()


async def test_an_image_at_an_address_is_fetched_here(
    client: AsyncOpenAI, shown_server: Any, site: str
) -> None:
    await client.chat.completions.create(
        model="potluck", messages=[user("What is it?", f"{site}/a.png")]
    )
    (request, *_) = shown_server.simulator.log.requests()
    assert sum(message.images for message in request.messages) == 1
    assert site not in json.dumps(request.last_user_text)


@pytest.mark.parametrize("url", ["{site}/wrong.png", "{site}/gone.png", "http://10.0.0.1/a.png"])
async def test_an_address_without_an_image_is_a_clear_400(
    client: AsyncOpenAI, shown_server: Any, site: str, url: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(
            model="potluck", messages=[user("What is it?", url.format(site=site))]
        )
    assert caught.value.param == "messages[0].content[1].image_url.url"
    assert shown_server.simulator.log.requests() == []


async def test_an_image_stays_in_the_chat_for_the_next_question(
    client: AsyncOpenAI, shown_server: Any
) -> None:
    headers = {"X-Chat-Id": str(uuid.uuid4())}
    asked = user("What is it?", PNG_URI)
    made = await client.chat.completions.create(
        model="potluck", messages=[asked], extra_headers=headers
    )
    shown_server.simulator.log.clear()
    answer = {"role": "assistant", "content": made.choices[0].message.content}
    await client.chat.completions.create(
        model="potluck", messages=[asked, answer, user("its colour?")], extra_headers=headers
    )
    (request, *_) = shown_server.simulator.log.requests()
    assert sum(message.images for message in request.messages) == 1
    assert request.model in seeing()


async def test_a_named_model_that_sees_nothing_answers_what_is_not_about_an_image(
    client: AsyncOpenAI, shown_server: Any
) -> None:
    blind = "groq/openai/gpt-oss-20b"
    history = [user("What is it?", PNG_URI), {"role": "assistant", "content": "A dot."}]
    with pytest.raises(openai.BadRequestError, match="can see images"):
        await client.chat.completions.create(model=blind, messages=history[:1])
    made = await client.chat.completions.create(model=blind, messages=[*history, user("thanks")])
    assert made.choices[0].message.content
    (request,) = shown_server.simulator.log.requests()
    assert sum(message.images for message in request.messages) == 0


async def test_without_a_model_that_sees_an_image_is_refused_before_the_run(
    offline_server: Any,
) -> None:
    async with AsyncOpenAI(base_url=f"{offline_server.url}/v1", api_key="x", max_retries=0) as made:
        for model in ("potluck", "auto"):
            with pytest.raises(openai.BadRequestError, match="can see images") as caught:
                await made.chat.completions.create(
                    model=model, messages=[user("What is it?", PNG_URI)]
                )
            assert caught.value.param == "messages[0].content[1]"


@pytest.mark.parametrize("path", ["/v1/models", "/v1/nothing", "/v1/chat/completions"])
async def test_every_answer_has_the_clients_request_id(shown_server: Any, path: str) -> None:
    async with httpx.AsyncClient(base_url=shown_server.url) as http:
        named = await http.get(path, headers={"X-Request-Id": "req_my-1"})
        unnamed = await http.get(path)
    assert named.headers.get_list("x-request-id") == ["req_my-1"]
    assert len(unnamed.headers["x-request-id"]) == 32
    assert "req_my-1" in shown_server.output
