# ruff: noqa: INP001 - LiteLLM loads it as a file
"""LiteLLM's provider `potluck`: passes chat completions on to a Potluck server.

LiteLLM loads this file by the name in config.yaml, from the folder that config.yaml is in. It needs
nothing but LiteLLM. Beyond what LiteLLM's own OpenAI provider does, the chat that a request belongs
to reaches Potluck (its headers, `metadata.thread_id`, who asks), and the agent's steps come back as
`reasoning_content`.
"""

import json
import os
import weakref
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from litellm import CustomLLM, ModelResponse  # type: ignore[import-not-found] # not ours to install
from litellm.types.utils import (  # type: ignore[import-not-found] # as above
    GenericStreamingChunk,
    ModelResponseStream,
)

DEFAULT_URL = "http://127.0.0.1:8123"
CONNECT_TIMEOUT_S = 10.0
# An agent's turn takes long, and longer when it waits for quota.
READ_TIMEOUT_S = 600.0
# Which of the headers that came to LiteLLM's proxy are meant for Potluck.
PASSED_ON = ("x-openwebui-", "x-potluck-", "x-chat-id", "cache-control")
THREAD_HEADER = "x-potluck-thread-id"
USER_HEADER = "x-openwebui-user-id"
# Options of LiteLLM that are no parameters of a chat completion.
_NOT_SENT = frozenset({"extra_body", "extra_headers", "max_retries", "stream", "stream_options"})

Json = dict[str, Any]  # Any: JSON
Chunk = Any  # GenericStreamingChunk or ModelResponseStream


class PotluckError(Exception):
    """Potluck's refusal, with what LiteLLM reads to make it one of its own errors."""

    def __init__(self, status_code: int, message: str, headers: httpx.Headers) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.message = message
        self.headers = headers


class Potluck(CustomLLM):  # type: ignore[misc] # LiteLLM is not there for the type checker
    """The agent, and the models behind it, as a provider of LiteLLM."""

    def __init__(self) -> None:
        super().__init__()
        self._client = httpx.Client()
        # Connections belong to the event loop that opened them.
        self._clients: weakref.WeakKeyDictionary[AbstractEventLoop, httpx.AsyncClient] = (
            weakref.WeakKeyDictionary()
        )

    def completion(self, **call: Any) -> ModelResponse:  # Any: LiteLLM's own arguments
        """The whole answer."""
        asked = Request.of(call, stream=False)
        with _errors():
            response = self._client.post(asked.url, **asked.options)
        return _answer(response)

    async def acompletion(self, **call: Any) -> ModelResponse:  # Any: LiteLLM's own arguments
        """The whole answer."""
        asked = Request.of(call, stream=False)
        with _errors():
            response = await self._async_client().post(asked.url, **asked.options)
        return _answer(response)

    def streaming(self, **call: Any) -> Iterator[Chunk]:  # Any: LiteLLM's own arguments
        """The answer in chunks; closing it ends Potluck's work on it."""
        asked = Request.of(call, stream=True)
        end = End()
        with _errors(), self._client.stream("POST", asked.url, **asked.options) as response:
            if response.is_error:
                response.read()
                raise _refusal(response)
            for line in response.iter_lines():
                yield from end.take(_event(line, response.headers))
        yield end.chunk

    async def astreaming(self, **call: Any) -> AsyncIterator[Chunk]:  # Any: LiteLLM's own arguments
        """The answer in chunks; closing it ends Potluck's work on it."""
        asked = Request.of(call, stream=True)
        end = End()
        stream = self._async_client().stream("POST", asked.url, **asked.options)
        with _errors():
            async with stream as response:
                if response.is_error:
                    await response.aread()
                    raise _refusal(response)
                async for line in response.aiter_lines():
                    for chunk in end.take(_event(line, response.headers)):
                        yield chunk
        yield end.chunk

    def _async_client(self) -> httpx.AsyncClient:
        loop = get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = httpx.AsyncClient()
        return client


@dataclass(frozen=True, slots=True)
class Request:
    """What goes to Potluck."""

    url: str
    options: Json

    @classmethod
    def of(cls, call: Mapping[str, Any], *, stream: bool) -> "Request":
        """The request for a call of LiteLLM's."""
        options = call.get("optional_params") or {}
        told = Told.of(call.get("litellm_params") or {}, options)
        key = call.get("api_key") or os.environ.get("POTLUCK_API_KEY")
        url = call.get("api_base") or os.environ.get("POTLUCK_URL") or DEFAULT_URL
        body = {
            **{name: value for name, value in options.items() if name not in _NOT_SENT},
            **(options.get("extra_body") or {}),
            "model": call["model"],
            "messages": call["messages"],
            "stream": stream,
            **({"stream_options": {"include_usage": True}} if stream else {}),
            **({"metadata": {"thread_id": told.thread}} if told.thread else {}),
        }
        headers = {
            **told.headers,
            **(options.get("extra_headers") or {}),
            **(call.get("headers") or {}),
            **({"authorization": f"Bearer {key}"} if key else {}),
        }
        timeout = call.get("timeout") or READ_TIMEOUT_S
        if not isinstance(timeout, httpx.Timeout):
            timeout = httpx.Timeout(float(timeout), connect=CONNECT_TIMEOUT_S)
        return cls(
            f"{url.rstrip('/').removesuffix('/v1')}/v1/chat/completions",
            {"json": body, "headers": headers, "timeout": timeout},
        )


@dataclass(frozen=True, slots=True)
class Told:
    """Which chat a request belongs to, and who asks, as far as LiteLLM knows."""

    thread: str
    headers: dict[str, str]

    @classmethod
    def of(cls, params: Mapping[str, Any], options: Mapping[str, Any]) -> "Told":
        """Read what the proxy, or a caller of the library, has handed over."""
        metadata = params.get("metadata") or {}
        # The proxy keeps what its client sent apart from what it adds.
        requested = metadata.get("requester_metadata") or metadata
        came = (params.get("proxy_server_request") or {}).get("headers") or {}
        headers = {
            name.lower(): str(value)
            for name, value in came.items()
            if name.lower().startswith(PASSED_ON)
        }
        end_user = metadata.get("user_api_key_end_user_id") or options.get("user")
        person = headers.get(USER_HEADER) or end_user
        # Chats of two keys of the proxy are never one, whatever their clients call them.
        user = "/".join(str(part) for part in (metadata.get("user_api_key_hash"), person) if part)
        if user:
            headers[USER_HEADER] = user
        return cls(str(requested.get("thread_id") or ""), headers)


class End:
    """The last chunk, with the usage: LiteLLM reads nothing that comes after it."""

    def __init__(self) -> None:
        self._reason = "stop"
        self._usage: Json | None = None

    def take(self, event: Json | None) -> Iterator[Chunk]:
        """What an event adds to the answer; what it says of the end is kept."""
        if event is None:
            return
        self._usage = event.get("usage") or self._usage
        choices = event.get("choices") or []
        for choice in choices:
            self._reason = choice.pop("finish_reason", None) or self._reason
        if any(choice.get("delta") for choice in choices):
            yield ModelResponseStream(**event)

    @property
    def chunk(self) -> GenericStreamingChunk:
        """The end."""
        return GenericStreamingChunk(
            text="",
            is_finished=True,
            finish_reason=self._reason,
            usage=self._usage,
            index=0,
            tool_use=None,
        )


def _answer(response: httpx.Response) -> ModelResponse:
    if response.is_error:
        raise _refusal(response)
    answer = ModelResponse(**response.json())
    thread = response.headers.get(THREAD_HEADER)
    if thread:
        # The proxy sends it on, named as it names those of its own providers.
        sent_on = {f"llm_provider-{THREAD_HEADER}": thread}
        answer._hidden_params["additional_headers"] = sent_on  # noqa: SLF001 - the only way there is
    return answer


def _event(line: str, headers: httpx.Headers) -> Json | None:
    """The event in a line of the stream; None for comments and the end. Raises PotluckError."""
    if not line.startswith("data:"):
        return None
    data = line.removeprefix("data:").strip()
    if data == "[DONE]":
        return None
    event: Json = json.loads(data)
    if "error" in event:
        raise PotluckError(502, str(event["error"].get("message")), headers)
    return event


def _refusal(response: httpx.Response) -> PotluckError:
    try:
        message = str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = response.text[:500] or response.reason_phrase
    return PotluckError(response.status_code, message, response.headers)


@contextmanager
def _errors() -> Iterator[None]:
    """Says what is wrong when Potluck is not there, or too slow."""
    try:
        yield
    except httpx.TimeoutException as error:
        text = f"Potluck has not answered in time: {error!r}"
        raise PotluckError(504, text, httpx.Headers()) from error
    except httpx.HTTPError as error:
        text = f"Potluck was not reached ({error!r}). Is `potluck serve` running there?"
        raise PotluckError(503, text, httpx.Headers()) from error


potluck = Potluck()
