"""LiteLLM's Router as a contender, run in an environment of its own; prints its figures as JSON.

One model group of five deployments with `order` 1 to 5: they are asked in the same order as by the
others, and cool down, which groups of one that are joined by `fallbacks` do not. Retries (two),
cooldowns (five seconds) and the HTTP client are LiteLLM's own defaults.
"""

import asyncio
import contextlib
import functools
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "CRITICAL"}

import openai
from litellm import Router  # type: ignore[import-not-found] # it lives in the peer's environment

from benchmarks.failover_timing import QUESTION, WARM_UP_CALLS, added_ms, total
from benchmarks.failover_turns import (
    CALCULATOR,
    Answer,
    Contender,
    Opener,
    Place,
    ToolUse,
    Turn,
    play_turn,
    run_rounds,
    summarize,
)

GROUP = "agent"
KEY = "made-up"
_FORMS = {
    "gemini": ("gemini/{model}", "{base_url}/v1beta"),
    # The route `groq/` needs a field that the simulated answers do not have
    "groq": ("openai/{model}", "{base_url}"),
    "huggingface": ("huggingface/{model}", "{base_url}"),
    "openai": ("openai/{model}", "{base_url}"),
    "openrouter": ("openrouter/{model}", "{base_url}"),
    "together": ("together_ai/{model}", "{base_url}"),
}


@dataclass(frozen=True, slots=True)
class RouterContender:
    """Asks the Router, in the form of OpenAI's API."""

    router: Any  # it has no types here

    def question(self, text: str) -> object:
        """A message of the user."""
        return {"role": "user", "content": text}

    def result(self, call: ToolUse, text: str) -> object:
        """A message of the tool."""
        return {"role": "tool", "tool_call_id": call.id, "name": call.name, "content": text}

    async def ask(self, history: Sequence[object], *, streamed: bool) -> Answer:
        """Ask once; a streamed answer is put together from its chunks as OpenAI's readers do."""
        asked = self.router.acompletion(GROUP, list(history), tools=[CALCULATOR], stream=streamed)
        answer = await asked
        if not streamed:
            message = answer.choices[0].message
            calls = [
                (c.id, c.function.name, c.function.arguments) for c in message.tool_calls or ()
            ]
            return _answer(message.content or "", calls)
        texts: list[str] = []
        parts: dict[int, list[str]] = {}
        async for chunk in answer:
            for choice in chunk.choices[:1] if chunk else ():
                texts.append(choice.delta.content or "")
                for call in choice.delta.tool_calls or ():
                    part = parts.setdefault(call.index, ["", "", ""])
                    part[0] = part[0] or call.id or ""
                    part[1] += call.function.name or ""
                    part[2] += call.function.arguments or ""
        return _answer("".join(texts), [(part[0], part[1], part[2]) for part in parts.values()])


@contextlib.asynccontextmanager
async def litellm_router(
    places: Sequence[Place], *, limit_s: float
) -> AsyncIterator[RouterContender]:
    """A Router over these places that has met no failure yet."""
    router = make_router(places, limit_s=limit_s)
    try:
        yield RouterContender(router)
    finally:
        # Routers are told of the calls of all others in their process until they are discarded
        router.discard()


def make_router(places: Sequence[Place], *, limit_s: float) -> Any:  # Any: it has no types here
    """The Router, asking these places in this order."""
    deployments = [_deployment(place, order) for order, place in enumerate(places, start=1)]
    return Router(model_list=deployments, timeout=limit_s, stream_timeout=limit_s)


def _deployment(place: Place, order: int) -> dict[str, object]:
    model, base_url = _FORMS.get(place.provider) or _FORMS[place.api]
    params = {
        "model": model.format(model=place.model),
        "api_base": base_url.format(base_url=place.base_url),
        "api_key": KEY,
        "order": order,
    }
    return {"model_name": GROUP, "litellm_params": params}


def _answer(text: str, calls: Sequence[tuple[str, str, str]]) -> Answer:
    message: dict[str, object] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [
            {"id": call_id, "type": "function", "function": {"name": name, "arguments": args}}
            for call_id, name, args in calls
        ]
    return Answer(text, tuple(ToolUse(i, n, _parsed(args)) for i, n, args in calls), message)


def _parsed(text: str) -> dict[str, object] | None:
    try:
        args = json.loads(text)
    except json.JSONDecodeError:
        return None
    return args if isinstance(args, dict) else None


async def _added(places: Sequence[Place], calls: int) -> dict[str, object]:
    """What the Router adds to a call by the OpenAI SDK, on which it stands too."""
    place = places[0]
    client: Any = openai.AsyncOpenAI(base_url=place.base_url, api_key=KEY, max_retries=0)
    router = make_router(places, limit_s=30.0)
    messages = [{"role": "user", "content": QUESTION}]

    async def bare(*, stream: bool) -> None:
        asked = client.chat.completions.create(model=place.model, messages=messages, stream=stream)
        await _read(await asked, stream=stream)

    async def routed(*, stream: bool) -> None:
        await _read(await router.acompletion(GROUP, messages, stream=stream), stream=stream)

    added: dict[str, object] = {
        name: await added_ms(
            functools.partial(bare, stream=stream), functools.partial(routed, stream=stream), calls
        )
        for name, stream in (("plain", False), ("streamed", True))
    }
    router.discard()
    await client.close()
    return added


async def _read(answer: Any, *, stream: bool) -> None:  # Any: either of two libraries' answers
    if stream:
        async for _ in answer:
            pass


async def _measure(given: dict[str, Any]) -> dict[str, object]:  # Any: JSON from our own side
    def opener(places: list[dict[str, str]], limit_s: float) -> Opener[Contender]:
        made = [Place(**place) for place in places]
        return functools.partial(litellm_router, made, limit_s=limit_s)

    added = await _added([Place(**place) for place in given["calm"]], given["calls"])
    # Its first call with a tool imports much
    await total(opener(given["dead"]["none"], given["dead_limit_s"]), WARM_UP_CALLS)
    totals = {
        name: asdict(await total(opener(places, given["dead_limit_s"]), given["dead_calls"]))
        for name, places in given["dead"].items()
    }
    turns = [Turn(number) for number in range(1, given["turns"] + 1)]
    chaos = await run_rounds(opener(given["chaos"], given["limit_s"]), play_turn, turns)
    return {"chaos": summarize(chaos), "added": added, "totals": totals}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_measure(json.loads(sys.argv[1])))))
