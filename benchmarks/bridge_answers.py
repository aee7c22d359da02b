"""What servers answer to the requests that OpenAI's clients really send."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from benchmarks.bridge_load import KEY

TIMEOUT_S = 60.0
SHOWN_LETTERS = 46
_PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA"
    "WjR9awAAAABJRU5ErkJggg=="
)
_ASKED = [{"role": "user", "content": "Tell me about the harbour of Genoa."}]
_TITLE = (
    "### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat history.\n"
    '### Output:\nJSON format: { "title": "your concise title here" }\n'
    "### Chat History:\n<chat_history>\nUSER: Hi\nASSISTANT: Hello!\n</chat_history>"
)
_TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Look something up.",
        "parameters": {"type": "object", "properties": {"word": {"type": "string"}}},
    },
}
_SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "place",
        "schema": {"type": "object", "properties": {"name": {"type": "string"}}},
    },
}
_CALLED = [
    *_ASKED,
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_1", "type": "function",
             "function": {"name": "look_up", "arguments": '{"word": "Genoa"}'}},
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "A port in Liguria."},
]  # fmt: skip
_VISION = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": _PIXEL}},
        ],
    }
]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the body as JSON, or the events of a stream."""

    status: int
    body: Any  # Any: JSON
    events: tuple[Any, ...] = ()  # Any: JSON

    @property
    def error(self) -> Mapping[str, Any]:  # Any: JSON
        """OpenAI's error object; empty without one."""
        found = self.body.get("error") if isinstance(self.body, dict) else None
        return found if isinstance(found, dict) else {}

    @property
    def shown(self) -> str:
        """In a few words."""
        if self.status == 200:
            return "200"
        told = str(self.error.get("message") or self.body)
        return f"{self.status} {' '.join(told.split())[:SHOWN_LETTERS]}"


@dataclass(frozen=True, slots=True)
class Case:
    """A request, and whether an answer is one that OpenAI's clients can do with."""

    name: str
    good: Callable[[Answer], bool]
    more: Mapping[str, object] = field(default_factory=dict)
    raw: bytes | None = None

    def content(self, model: str) -> bytes:
        """The request's body."""
        if self.raw is not None:
            return self.raw
        # Another question for each, so that a cache has no part in it
        asked = [{"role": "user", "content": f"Tell me about {self.name}."}]
        return json.dumps({"model": model, "messages": asked, **self.more}).encode()


def _answered(answer: Answer) -> bool:
    return answer.status == 200 and bool(answer.body["choices"])


def _refused(
    status: int, *, param: str | None = None, code: str | None = None
) -> Callable[..., bool]:
    def good(answer: Answer) -> bool:
        return (
            answer.status == status
            and bool(answer.error.get("message"))
            and (param is None or answer.error.get("param") == param)
            and (code is None or answer.error.get("code") == code)
        )

    return good


def _counted(answer: Answer) -> bool:
    """The last chunk tells the usage."""
    last = answer.events[-1] if answer.events else {}
    return bool((last.get("usage") or {}).get("total_tokens"))


def _uncounted(answer: Answer) -> bool:
    return bool(answer.events) and all(event.get("choices") for event in answer.events)


def _choices_or_refused(answer: Answer) -> bool:
    if answer.status == 200:
        return len(answer.body["choices"]) == 2
    return _refused(400, param="n")(answer)


def _titled(answer: Answer) -> bool:
    return _answered(answer) and bool(answer.body["choices"][0]["message"]["content"])


CASES = (
    Case("plain", _answered),
    Case("stream", _uncounted, {"stream": True}),
    Case("stream with usage", _counted,
         {"stream": True, "stream_options": {"include_usage": True}}),
    Case("temperature, top_p", _answered, {"temperature": 0.2, "top_p": 0.9}),
    Case("max_tokens", _answered, {"max_tokens": 50}),
    Case("max_completion_tokens", _answered, {"max_completion_tokens": 50}),
    Case("stop", _answered, {"stop": ["END"]}),
    Case("seed", _answered, {"seed": 7}),
    Case("penalties, user, metadata", _answered,
         {"presence_penalty": 0.1, "frequency_penalty": 0.1, "user": "u", "metadata": {"a": "b"}}),
    Case("response_format: JSON", _answered, {"response_format": {"type": "json_object"}}),
    Case("response_format: schema", _answered, {"response_format": _SCHEMA}),
    Case("unknown parameter", _answered, {"some_new_parameter": 1}),
    Case("developer role", _answered,
         {"messages": [{"role": "developer", "content": "Be brief."}, *_ASKED]}),
    Case("picture", _answered, {"messages": _VISION}),
    Case("tools offered", _answered, {"tools": [_TOOL]}),
    Case("tool result in history", _answered, {"messages": _CALLED, "tools": [_TOOL]}),
    Case("Open WebUI asks for a title", _titled,
         {"messages": [{"role": "user", "content": _TITLE}], "max_tokens": 1000}),
    Case("unknown model", _refused(404, code="model_not_found"), {"model": "no-such-model"}),
    Case("n: 2", _choices_or_refused, {"n": 2}),
    Case("bad JSON", _refused(400), raw=b'{"model": "x", "messages": ['),
    Case("messages missing", _refused(400), raw=b'{"model": "%MODEL%"}'),
    Case("temperature: 'hot'", _refused(400, param="temperature"), {"temperature": "hot"}),
)  # fmt: skip


def try_out(chat_url: str, model: str) -> dict[str, str]:
    """What the server answers to each case; answers that no client can use begin with `!`."""
    told = {}
    with httpx.Client(timeout=TIMEOUT_S, headers={"Authorization": f"Bearer {KEY}"}) as http:
        for case in CASES:
            answer = _ask(http, chat_url, case.content(model).replace(b"%MODEL%", model.encode()))
            told[case.name] = answer.shown if case.good(answer) else f"! {answer.shown}"
    return told


def _ask(http: httpx.Client, url: str, content: bytes) -> Answer:
    try:
        response = http.post(url, content=content, headers={"Content-Type": "application/json"})
    except httpx.HTTPError as error:
        return Answer(0, repr(error))
    if response.headers.get("content-type", "").startswith("text/event-stream"):
        data = [line[6:] for line in response.text.splitlines() if line.startswith("data: ")]
        return Answer(response.status_code, {}, tuple(json.loads(d) for d in data if d != "[DONE]"))
    try:
        return Answer(response.status_code, response.json())
    except ValueError:
        return Answer(response.status_code, response.text)
