"""What `expected` asks, with LiteLLM's library."""

import asyncio
import json
import os
import sys
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm  # type: ignore[import-not-found] # it lives in an environment of its own

litellm.suppress_debug_info = True
way, url = sys.argv[1:]
DOT = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA"
    "WjR9awAAAABJRU5ErkJggg=="
)


def schema(**properties: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in properties.items()},
        "required": list(properties),
        "additionalProperties": False,
    }


WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": schema(city="string")},
}
PERSON = {
    "type": "json_schema",
    "json_schema": {
        "name": "person",
        "strict": True,
        "schema": schema(name="string", age="integer"),
    },
}
IMAGE = [
    {"type": "text", "text": "What is in the image?"},
    {"type": "image_url", "image_url": {"url": DOT}},
]
QUESTION = {"role": "user", "content": "How is the weather in Genoa?"}


async def create(model: str, said: Any, **more: Any) -> Any:
    """A completion, or all chunks of one put together."""
    messages = said if isinstance(said, list) and "role" in said[0] else None
    asked: dict[str, Any] = {
        "model": f"openai/{model}",
        "messages": messages or [{"role": "user", "content": said}],
        "api_base": url,
        "api_key": "any",
        "max_retries": 0,
        "timeout": 30,
        **more,
    }
    if way == "sync":
        made = litellm.completion(**asked)
        return litellm.stream_chunk_builder(list(made)) if more.get("stream") else made
    made = await litellm.acompletion(**asked)
    if not more.get("stream"):
        return made
    return litellm.stream_chunk_builder([chunk async for chunk in made])


async def message(model: str, said: Any, **more: Any) -> Any:
    return (await create(model, said, **more)).choices[0].message


async def status(model: str, **more: Any) -> int:
    try:
        await create(model, "plain", **more)
    except (litellm.NotFoundError, litellm.BadRequestError, litellm.RateLimitError) as error:
        return int(error.status_code)
    return 200


async def leave() -> None:
    asked = {
        "model": "openai/auto",
        "messages": [{"role": "user", "content": "endless"}],
        "api_base": url,
        "api_key": "any",
        "stream": True,
    }
    stream = await litellm.acompletion(**asked)
    await anext(aiter(stream))
    await stream.aclose()


def call_of(called: Any) -> list[object]:
    (call,) = called.tool_calls
    return [call.function.name, json.loads(call.function.arguments)]


async def main() -> dict[str, object]:
    called = await message("auto", [QUESTION], tools=[WEATHER])
    in_stream = await message("auto", [QUESTION], tools=[WEATHER], stream=True)
    result = {"role": "tool", "tool_call_id": called.tool_calls[0].id, "content": "sunny"}
    history = [QUESTION, called.model_dump(exclude_none=True), result]
    person = await message("auto", "Which person?", response_format=PERSON)
    await leave()
    return {
        "plain": [(await message(model, "plain")).content for model in ("potluck", "auto")],
        "streamed": [
            (await message(model, "streamed", stream=True)).content for model in ("potluck", "auto")
        ],
        "called": [call_of(called), call_of(in_stream)],
        "told": (await message("auto", history, tools=[WEATHER])).content,
        "image": (await message("auto", IMAGE)).content,
        "object": json.loads(person.content),
        "unknown": await status("nobody/none"),
        "wrong": await status("auto", n=2),
        "spent": await status("mistral/mistral-small-latest"),
        "left": True,
    }


print(json.dumps(asyncio.run(main())))  # noqa: T201 - its result
