"""What `expected` asks, with the openai SDK: synchronously and asynchronously."""

import asyncio
import json
import sys
from typing import Any

from openai import APIStatusError, AsyncOpenAI, OpenAI
from pydantic import BaseModel

DOT = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA"
    "WjR9awAAAABJRU5ErkJggg=="
)
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
IMAGE: Any = [
    {"type": "text", "text": "What is in the image?"},
    {"type": "image_url", "image_url": {"url": DOT}},
]


class Person(BaseModel):
    """Who it is."""

    name: str
    age: int


def says(text: Any) -> Any:
    return [{"role": "user", "content": text}]


def call_of(message: Any) -> list[object]:
    (call,) = message.tool_calls
    return [call.function.name, json.loads(call.function.arguments)]


def results_of(message: Any) -> Any:
    (call,) = message.tool_calls
    kept = message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"})
    return [
        *says("How is the weather in Genoa?"),
        kept,
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]


def synchronously(url: str) -> dict[str, object]:
    client = OpenAI(base_url=url, api_key="any", max_retries=0, timeout=30)
    create, stream = client.chat.completions.create, client.chat.completions.stream

    def plain(model: str) -> object:
        return create(model=model, messages=says("plain")).choices[0].message.content

    def streamed(model: str) -> object:
        with stream(model=model, messages=says("streamed")) as events:
            return events.get_final_completion().choices[0].message.content

    def status(model: str, **more: Any) -> int:
        try:
            create(model=model, messages=says("plain"), **more)
        except APIStatusError as error:
            return error.status_code
        return 200

    asked: Any = {
        "model": "auto",
        "messages": says("How is the weather in Genoa?"),
        "tools": [WEATHER],
    }
    called = create(**asked).choices[0].message
    with stream(**asked) as events:
        called_in_stream = events.get_final_completion().choices[0].message
    told = create(**{**asked, "messages": results_of(called)}).choices[0].message.content
    person = client.chat.completions.parse(
        model="auto", messages=says("Which person?"), response_format=Person
    )
    parsed = person.choices[0].message.parsed
    endless = create(model="auto", messages=says("endless"), stream=True)
    next(iter(endless))
    endless.close()
    return {
        "plain": [plain("potluck"), plain("auto")],
        "streamed": [streamed("potluck"), streamed("auto")],
        "called": [call_of(called), call_of(called_in_stream)],
        "told": told,
        "image": create(model="auto", messages=says(IMAGE)).choices[0].message.content,
        "object": parsed.model_dump() if parsed else None,
        "unknown": status("nobody/none"),
        "wrong": status("auto", n=2),
        "spent": status("mistral/mistral-small-latest"),
        "left": True,
    }


async def asynchronously(url: str) -> dict[str, object]:
    client = AsyncOpenAI(base_url=url, api_key="any", max_retries=0, timeout=30)
    create, stream = client.chat.completions.create, client.chat.completions.stream

    async def plain(model: str) -> object:
        return (await create(model=model, messages=says("plain"))).choices[0].message.content

    async def streamed(model: str) -> object:
        async with stream(model=model, messages=says("streamed")) as events:
            return (await events.get_final_completion()).choices[0].message.content

    async def status(model: str, **more: Any) -> int:
        try:
            await create(model=model, messages=says("plain"), **more)
        except APIStatusError as error:
            return error.status_code
        return 200

    asked: Any = {
        "model": "auto",
        "messages": says("How is the weather in Genoa?"),
        "tools": [WEATHER],
    }
    called = (await create(**asked)).choices[0].message
    async with stream(**asked) as events:
        called_in_stream = (await events.get_final_completion()).choices[0].message
    told = await create(**{**asked, "messages": results_of(called)})
    person = await client.chat.completions.parse(
        model="auto", messages=says("Which person?"), response_format=Person
    )
    parsed = person.choices[0].message.parsed
    endless = await create(model="auto", messages=says("endless"), stream=True)
    await anext(aiter(endless))
    await endless.close()
    image = await create(model="auto", messages=says(IMAGE))
    return {
        "plain": await asyncio.gather(plain("potluck"), plain("auto")),
        "streamed": await asyncio.gather(streamed("potluck"), streamed("auto")),
        "called": [call_of(called), call_of(called_in_stream)],
        "told": told.choices[0].message.content,
        "image": image.choices[0].message.content,
        "object": parsed.model_dump() if parsed else None,
        "unknown": await status("nobody/none"),
        "wrong": await status("auto", n=2),
        "spent": await status("mistral/mistral-small-latest"),
        "left": True,
    }


way, address = sys.argv[1:]
found = synchronously(address) if way == "sync" else asyncio.run(asynchronously(address))
print(json.dumps(found))  # noqa: T201 - its result
