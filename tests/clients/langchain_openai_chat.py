"""What `expected` asks, with LangChain's ChatOpenAI."""

import json
import sys
from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import APIStatusError
from pydantic import BaseModel, SecretStr

DOT = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA"
    "WjR9awAAAABJRU5ErkJggg=="
)
url = sys.argv[1]


class Person(BaseModel):
    """Who it is."""

    name: str
    age: int


def chat(model: str, **more: Any) -> ChatOpenAI:
    return ChatOpenAI(
        model=model, base_url=url, api_key=SecretStr("any"), max_retries=0, timeout=30, **more
    )


@tool
def get_weather(city: str) -> str:
    """Tell the weather."""
    return f"sunny in {city}"


def streamed(model: str) -> str:
    return "".join(piece.text for piece in chat(model).stream("streamed"))


def status(model: str, **more: Any) -> int:
    try:
        chat(model, **more).invoke("plain")
    except APIStatusError as error:
        return error.status_code
    return 200


def call_of(message: Any) -> list[object]:
    (call,) = message.tool_calls
    return [call["name"], call["args"]]


question = HumanMessage("How is the weather in Genoa?")
able = chat("auto").bind_tools([get_weather])
called = able.invoke([question])
whole: Any = None
for piece in able.stream([question]):
    whole = piece if whole is None else whole + piece
(call,) = called.tool_calls
result = ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
image = HumanMessage(
    [
        {"type": "text", "text": "What is in the image?"},
        {"type": "image_url", "image_url": {"url": DOT}},
    ]
)
person: Any = chat("auto").with_structured_output(Person).invoke("Which person?")
endless = chat("auto").stream("endless")
next(iter(endless))
endless.close()  # type: ignore[attr-defined] # it is a generator
found = {
    "plain": [chat(model).invoke("plain").text for model in ("potluck", "auto")],
    "streamed": [streamed("potluck"), streamed("auto")],
    "called": [call_of(called), call_of(whole)],
    "told": able.invoke([question, called, result]).text,
    "image": chat("auto").invoke([image]).text,
    "object": person.model_dump(),
    "unknown": status("nobody/none"),
    "wrong": status("auto", n=2),
    "spent": status("mistral/mistral-small-latest"),
    "left": True,
}
print(json.dumps(found))  # noqa: T201 - its result
