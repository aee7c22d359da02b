"""Mixed traffic that keeps account: what was promised to whom, and what came of it."""

import asyncio
import itertools
import json
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from benchmarks.soak_script import answer_to, order

CALL_TIMEOUT_S = 60.0
TRY_FOR_S = 150.0
RETRY_S = 0.5
POLL_S = 0.5
ANSWER_WITHIN_S = 240.0
CUT_AFTER = 4
# Conversations end, and others begin: a process may grow with neither
TURNS_PER_THREAD = 30
AWAY = frozenset({502, 503, 504})
FULL = ("more than", "No space left", "File too large")

Json = Mapping[str, Any]  # Any: JSON of the LangGraph API


class UnsureError(Exception):
    """The connection broke after the request had gone out: it may have been done."""


@dataclass
class Account:
    """What happened. `excused` tells whether something was broken on purpose just then."""

    excused: Callable[[float, float], bool]
    done: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    excused_errors: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Answers that were told as whole, and were not: nothing excuses them."""
    promised: dict[str, list[str]] = field(default_factory=dict)
    """By thread: the tokens whose run was accepted, in their order."""
    waits_s: list[float] = field(default_factory=list)
    began_s: float = field(default_factory=time.monotonic)

    def fail(self, kind: str, what: str, since_s: float) -> None:
        """Something went wrong between then and now."""
        if self.excused(since_s, time.monotonic()):
            self.excused_errors.append(f"{kind}: {what}"[:300])
        else:
            self.errors.append(self.line(f"{kind}: {what}", since_s))

    def line(self, what: str, since_s: float) -> str:
        """What went wrong, and between when and when."""
        span = f"{since_s - self.began_s:.0f} to {time.monotonic() - self.began_s:.0f} s"
        return f"[{span}] {what}"[:400]


class Clients:
    """Asks the replicas in turn, as a balancer does: one that is away is passed over."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._turn = itertools.cycle(urls)
        self._http = httpx.AsyncClient(
            timeout=CALL_TIMEOUT_S, limits=httpx.Limits(max_connections=200)
        )

    async def ask(
        self, method: str, path: str, body: Json | None = None, *, once: bool = False
    ) -> httpx.Response:
        """The answer of the first that can give one; `once`: what may not be done twice.

        Raises UnsureError when that may have been done.
        """
        deadline = time.monotonic() + TRY_FOR_S
        while True:
            try:
                answer = await self._http.request(method, next(self._turn) + path, json=body)
                if answer.status_code not in AWAY:
                    return answer
                problem = f"HTTP {answer.status_code}"
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
                problem = repr(error)
            except httpx.TransportError as error:
                if once:
                    raise UnsureError(repr(error)) from error
                problem = repr(error)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{method} {path}: {problem}")
            await asyncio.sleep(RETRY_S)

    @asynccontextmanager
    async def stream(self, body: Json) -> AsyncIterator[AsyncIterator[str]]:
        """The pieces of a streamed chat completion, as they come."""
        url = f"{next(self._turn)}/v1/chat/completions"
        async with self._http.stream("POST", url, json={**body, "stream": True}) as answer:
            if answer.status_code != 200:
                await answer.aread()
                raise httpx.HTTPStatusError(
                    f"HTTP {answer.status_code}: {answer.text[:200]}",
                    request=answer.request,
                    response=answer,
                )
            yield _pieces(answer)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()


class Traffic:
    """Talkers of every kind, until they are told to end."""

    def __init__(self, clients: Clients, account: Account) -> None:
        self._clients = clients
        self._account = account
        self._ending = False

    def end(self) -> None:
        """Begin nothing new; what is promised is waited for."""
        self._ending = True

    async def note(self, name: str, deeds: Sequence[str] = ("note",)) -> None:
        """Threads over the LangGraph API: background runs, each with an effect of its own."""
        for number in itertools.count():
            if self._ending:
                return
            if number % TURNS_PER_THREAD == 0:
                thread_id = str(uuid.uuid4())
                body = {"thread_id": thread_id, "if_exists": "do_nothing"}
                await self._clients.ask("POST", "/threads", body)
                promised = self._account.promised.setdefault(thread_id, [])
            deed = deeds[number % len(deeds)]
            token = f"{name}-{number}"
            begun_s = time.monotonic()
            if not await self._begin(thread_id, deed, token):
                continue
            if deed == "note":
                promised.append(token)
            answer = await self._answered(thread_id, deed, token)
            self._account.waits_s.append(time.monotonic() - begun_s)
            if answer is None:
                self._account.errors.append(f"{deed}: {token} was not answered")
                return
            self._account.done[deed] += 1
            if deed == "fill" and not any(words in answer for words in FULL):
                self._account.errors.append(f"fill: nothing stopped it: {answer[-200:]}")

    async def chat(self, name: str) -> None:
        """Streamed chats, read to their end, word by word."""
        for number in itertools.count():
            if self._ending:
                return
            token = f"{name}-{number}"
            await self._chat([{"role": "user", "content": order("echo", token)}], token)

    async def cut(self, name: str) -> None:
        """Streams that their reader leaves; then the conversation goes on."""
        for number in itertools.count():
            if self._ending:
                return
            token = f"{name}-{number}"
            asked = [{"role": "user", "content": order("echo", f"{token}-cut")}]
            said, begun_s = "", time.monotonic()
            try:
                async with self._clients.stream(_chat(asked)) as pieces:
                    async for piece in pieces:
                        said += piece
                        if len(said.split()) > CUT_AFTER:
                            break
            except (httpx.HTTPError, ValueError) as error:
                self._account.fail("cut", repr(error), begun_s)
                await asyncio.sleep(RETRY_S)
                continue
            self._account.done["cut"] += 1
            after = {"role": "user", "content": order("echo", token)}
            await self._chat([*asked, {"role": "assistant", "content": said}, after], token)

    async def _chat(self, messages: Sequence[Json], token: str) -> None:
        begun_s = time.monotonic()
        try:
            async with self._clients.stream(_chat(messages)) as pieces:
                said = "".join([piece async for piece in pieces])
        except (httpx.HTTPError, ValueError) as error:
            self._account.fail("chat", repr(error), begun_s)
            await asyncio.sleep(RETRY_S)
            return
        if said.strip() == answer_to("echo", token):
            self._account.done["chat"] += 1
        else:
            # Whatever is broken: what is told as whole must be whole
            self._account.wrong.append(
                self._account.line(f"chat: {token} ended well as {said[-200:]!r}", begun_s)
            )

    async def _begin(self, thread_id: str, deed: str, token: str) -> bool:
        """Whether a run was accepted, once."""
        path = f"/threads/{thread_id}/runs"
        body = {
            "assistant_id": "agent",
            "input": {"messages": [{"role": "user", "content": order(deed, token)}]},
            "metadata": {"token": token},
        }
        begun_s = time.monotonic()
        try:
            answer = await self._clients.ask("POST", path, body, once=True)
        except UnsureError:
            # Had it been accepted, it would be there by now
            await asyncio.sleep(5.0)
            return await self._was_begun(thread_id, token)
        if answer.is_success:
            return True
        self._account.fail("run", f"HTTP {answer.status_code}: {answer.text[:200]}", begun_s)
        await asyncio.sleep(RETRY_S)
        return await self._was_begun(thread_id, token)

    async def _was_begun(self, thread_id: str, token: str) -> bool:
        answer = await self._clients.ask("GET", f"/threads/{thread_id}/runs?limit=100")
        runs = answer.json() if answer.is_success else []
        found = any((run.get("metadata") or {}).get("token") == token for run in runs)
        return found or token in json.dumps(await self.messages(thread_id))

    async def _answered(self, thread_id: str, deed: str, token: str) -> str | None:
        """What was answered; None when nothing is, whatever time it has."""
        deadline = time.monotonic() + ANSWER_WITHIN_S
        while time.monotonic() < deadline:
            for message in await self.messages(thread_id):
                text = text_of(message)
                if message.get("type") == "ai" and text.startswith(answer_to(deed, token)):
                    return text
            await asyncio.sleep(POLL_S)
        return None

    async def until_idle(self, thread_id: str) -> bool:
        """Wait for every run of the thread, also those its asker gave up on; False: in vain."""
        deadline = time.monotonic() + ANSWER_WITHIN_S
        while time.monotonic() < deadline:
            answer = await self._clients.ask("GET", f"/threads/{thread_id}")
            if answer.is_success and answer.json()["status"] != "busy":
                return True
            await asyncio.sleep(POLL_S)
        return False

    async def messages(self, thread_id: str) -> list[Json]:
        """The conversation of a thread."""
        answer = await self._clients.ask("GET", f"/threads/{thread_id}/state")
        if not answer.is_success:
            return []
        return list((answer.json().get("values") or {}).get("messages") or [])


def text_of(message: Json) -> str:
    """The text of a message."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content or [] if isinstance(part, dict))


def _chat(messages: Sequence[Json]) -> dict[str, object]:
    return {"model": "potluck", "messages": list(messages)}


async def _pieces(answer: httpx.Response) -> AsyncIterator[str]:
    async for line in answer.aiter_lines():
        if line == "data: [DONE]":
            return
        if line.startswith("data: "):
            chunk = json.loads(line.removeprefix("data: "))
            if "error" in chunk:
                raise ValueError(f"an error in the stream: {chunk['error']}")
            for choice in chunk.get("choices", ()):
                if choice.get("finish_reason") not in (None, "stop"):
                    raise ValueError(f"it ended with {choice['finish_reason']}")
                yield choice["delta"].get("content") or ""
    raise ValueError("the stream ended without [DONE]")
