"""Whatever is sent to /v1, the answer comes soon, is no 500, and has OpenAI's shape."""

import json
import os
import string
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.peers import PeerMissingError, default_folder, python_with
from potluck.simulator.reply import Reply

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SCHEMATHESIS = "schemathesis==4.32.5"
SCHEMATHESIS_S = 12
# More, and other ones each time: `POTLUCK_FUZZ_EXAMPLES=5000 pytest -n0 <this file>`
EXAMPLES = int(os.environ.get("POTLUCK_FUZZ_EXAMPLES", "0"))
ANSWER_TIMEOUT_S = 20.0
ALONE = "groq/openai/gpt-oss-20b"
PARAMETERS = (
    "stream", "stream_options", "metadata", "temperature", "top_p", "max_tokens",
    "max_completion_tokens", "stop", "seed", "response_format", "tools", "tool_choice",
    "parallel_tool_calls", "reasoning_effort", "n", "logprobs", "top_logprobs", "modalities",
    "audio", "functions", "function_call", "user", "store", "include", "text", "reasoning",
    "truncation", "previous_response_id", "conversation", "instructions", "prompt",
    "max_output_tokens", "max_tool_calls", "service_tier",
)  # fmt: skip

bounded = settings(
    max_examples=EXAMPLES or 120,
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@st.composite
def nested(draw: Any, inner: st.SearchStrategy[Any]) -> Any:
    """A value that stands deep inside."""
    value = draw(inner)
    for _ in range(draw(st.sampled_from([1, 30, 101, 190]))):
        value = [value] if draw(st.booleans()) else {"a": value}
    return value


# Half a surrogate pair, NUL, line separators, right-to-left marks, letters of many bytes
odd_texts = st.sampled_from(
    [
        "", " ", "\x00", "\ud800", "\udfff\ud800", "\u2028", "\u202e", "\ufeff", "\\u0000",
        "\U0001f9d1\u200d\U0001f680", "é" * 300,
    ]
)  # fmt: skip
texts = st.one_of(odd_texts, st.text(st.characters(), max_size=40), st.just("What is 6*7?"))
numbers = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0, -1, 1, 2**31, 2**63, 10**400, 1e308, 5e-324, True]),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4), nested(inner)
    ),
    max_leaves=8,
)
ids = st.sampled_from(["call_1", "call_2", "call_1\x00", "", "x" * 600])
roles = st.sampled_from(["system", "developer", "user", "assistant", "tool", "", "USER"])
names = st.sampled_from(["calculator", "ask_user", "f", "no such", "__proto__", ""])
arguments = st.one_of(texts, values.map(json.dumps))
urls = st.sampled_from(
    [
        "data:image/png;base64,iVBORw0KGgo=", "data:image/png;base64,@@", "data:,", "data:",
        "file:///etc/passwd", "http://127.0.0.1:1/a.png", "http://[", "", "ftp://x",
    ]
)  # fmt: skip
parts = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": texts}),
    st.fixed_dictionaries({"type": st.just("input_text"), "text": texts}),
    st.fixed_dictionaries(
        {"type": st.just("image_url"), "image_url": st.fixed_dictionaries({"url": urls})}
    ),
    st.fixed_dictionaries({"type": st.just("input_image"), "image_url": urls}),
    st.fixed_dictionaries({"type": values, "text": values}),
)
contents = st.one_of(texts, st.lists(parts, max_size=3), values)
calls = st.fixed_dictionaries(
    {
        "id": ids,
        "type": st.just("function"),
        "function": st.fixed_dictionaries({"name": names, "arguments": arguments}),
    }
)
tools = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["function", "web_search", "custom"]),
        "function": st.fixed_dictionaries({"name": names}, optional={"parameters": values}),
    }
)
messages = st.one_of(
    st.fixed_dictionaries({"role": st.just("user"), "content": texts}),
    st.fixed_dictionaries(
        {"role": roles, "content": contents},
        optional={"tool_calls": st.lists(calls, max_size=3), "tool_call_id": ids, "name": values},
    ),
    st.fixed_dictionaries({"role": st.just("tool"), "tool_call_id": ids, "content": contents}),
    st.fixed_dictionaries(
        {
            "role": st.just("assistant"),
            "content": st.none(),
            "tool_calls": st.lists(calls, min_size=1, max_size=3),
        }
    ),
    values,
)
items = st.one_of(
    messages,
    st.fixed_dictionaries(
        {
            "type": st.just("function_call"),
            "call_id": ids,
            "name": names,
            "arguments": arguments,
        }
    ),
    st.fixed_dictionaries(
        {"type": st.just("function_call_output"), "call_id": ids, "output": contents}
    ),
    st.fixed_dictionaries({"type": values, "id": values}),
)
parameters = st.dictionaries(
    st.sampled_from(PARAMETERS),
    st.one_of(values, st.just("auto"), st.lists(tools, max_size=3)),
    max_size=3,
)
models = st.sampled_from(["auto", ALONE, "auto", "potluck", f"potluck:{ALONE}"])


@pytest.fixture
def wire(server: Any) -> Iterator[httpx.Client]:
    # Without it, the question comes back: texts that no provider would send
    server.simulator.script.on(Reply(text="Forty-two."))
    with httpx.Client(base_url=f"{server.url}/v1", timeout=ANSWER_TIMEOUT_S) as made:
        yield made


def check(response: httpx.Response) -> None:
    """Raise AssertionError unless it is an answer of this door."""
    told = response.request.content[:2000]
    assert response.status_code < 500, f"{response.text} to {told!r}"
    if response.status_code == 200:
        is_stream = response.headers["content-type"].startswith("text/event-stream")
        assert is_stream or response.json()["object"] in ("chat.completion", "response")
        return
    assert response.status_code in (400, 404, 409, 413), told
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert error["message"], told


@given(model=models, said=st.lists(messages, max_size=5), more=parameters)
@bounded
def test_any_list_of_messages(
    wire: httpx.Client, model: str, said: list[Any], more: dict[str, Any]
) -> None:
    body = json.dumps({"model": model, "messages": said, **more})
    check(wire.post("/chat/completions", content=body))


@given(
    model=models,
    asked=st.one_of(texts, st.lists(items, max_size=5), values),
    more=parameters,
)
@bounded
def test_any_input_of_a_response(
    wire: httpx.Client, model: str, asked: Any, more: dict[str, Any]
) -> None:
    body = json.dumps({"model": model, "input": asked, "store": False, **more})
    check(wire.post("/responses", content=body))


SMALL = b'{"model":"auto","input":"hi","store":false,"messages":[{"role":"user","content":"a"}]}'


@given(
    path=st.sampled_from(["/chat/completions", "/responses"]),
    at=st.integers(0, 80),
    removed=st.integers(0, 10),
    put=st.binary(max_size=8),
)
@bounded
def test_a_body_with_broken_bytes(
    wire: httpx.Client, path: str, at: int, removed: int, put: bytes
) -> None:
    check(wire.post(path, content=SMALL[:at] + put + SMALL[at + removed :]))


header_texts = st.one_of(st.text(string.printable.strip(), max_size=30), st.just("x" * 2000))


@given(
    headers=st.dictionaries(
        st.sampled_from(
            [
                "X-Chat-Id", "X-OpenWebUI-Chat-Id", "X-OpenWebUI-Task", "X-OpenWebUI-User-Id",
                "X-OpenWebUI-Message-Id", "X-Potluck-History", "X-Potluck-Cache", "Cache-Control",
                "X-Request-Id", "Content-Type", "Accept", "Content-Encoding",
            ]
        ),
        header_texts,
    )
)  # fmt: skip
@settings(bounded, max_examples=EXAMPLES or 40)
def test_any_headers(wire: httpx.Client, headers: dict[str, str]) -> None:
    body = json.dumps({"model": "potluck", "messages": [{"role": "user", "content": "hi"}]})
    response = wire.post("/chat/completions", content=body, headers=headers)
    assert response.headers["x-request-id"]
    if response.status_code != 415:
        check(response)


@pytest.fixture(scope="session")
def schemathesis() -> Path:
    """Its command, in an environment of its own: it wants libraries in other versions than ours."""
    try:
        python = python_with("schemathesis", [SCHEMATHESIS], default_folder())
    except PeerMissingError as error:
        if os.environ.get("POTLUCK_TEST_REQUIRE_ALL") == "1":
            pytest.fail(f"{SCHEMATHESIS} cannot be had: {error}")
        pytest.skip(f"{SCHEMATHESIS} cannot be had: {error}")
    return python.parent / "schemathesis"


def test_the_description_of_the_api_holds(
    wire: httpx.Client, schemathesis: Path, tmp_path: Path
) -> None:
    command = [
        schemathesis, "run", f"{wire.base_url}openapi.json", "--no-color", "--warnings", "off",
        "--phases", "examples,coverage,fuzzing", "--continue-on-failure", "--seed", "1",
        "--max-time", str(EXAMPLES // 10 or SCHEMATHESIS_S), "--checks", "all",
        # What a schema cannot say (a call wants its result) is refused with a 400, as it should be
        "--exclude-checks", "positive_data_acceptance",
        "--request-timeout", f"{ANSWER_TIMEOUT_S:g}",
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
