"""Run in LiteLLM's environment: its library, with our handler, in each of four ways; as JSON."""

import asyncio
import json
import sys
from typing import Any

sys.path.insert(0, sys.argv[1])

import litellm  # type: ignore[import-not-found] # it lives in an environment of its own
from potluck_handler import potluck

litellm.suppress_debug_info = True
litellm.custom_provider_map = [{"provider": "potluck", "custom_handler": potluck}]
ASKED: dict[str, Any] = {
    "model": "potluck/potluck",
    "messages": [{"role": "user", "content": "Count to three"}],
}


def read(answer: Any) -> dict[str, object]:
    usage = answer.usage
    return {"text": answer.choices[0].message.content, "tokens": usage.completion_tokens}


def joined(chunks: list[Any]) -> dict[str, object]:
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    whole = litellm.stream_chunk_builder(chunks)
    return {**read(whole), "pieces": len([piece for piece in pieces if piece])}


async def asynchronously() -> dict[str, object]:
    answer = read(await litellm.acompletion(**ASKED))
    stream = await litellm.acompletion(**ASKED, stream=True, stream_options={"include_usage": True})
    return {"async": answer, "async stream": joined([chunk async for chunk in stream])}


def refused() -> str:
    try:
        litellm.completion(**{**ASKED, "model": "potluck/nobody/none"})
    except litellm.NotFoundError as error:
        return str(error)
    return ""


stream = litellm.completion(**ASKED, stream=True, stream_options={"include_usage": True})
results = {
    "sync": read(litellm.completion(**ASKED)),
    "sync stream": joined(list(stream)),
    # A loop of its own each time, as scripts do.
    **asyncio.run(asynchronously()),
    "again": asyncio.run(asynchronously())["async"],
    "refused": refused(),
}
print(json.dumps(results))  # noqa: T201 - its result
