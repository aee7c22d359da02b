"""Asking a model for an object of a given shape, and getting one."""

from dataclasses import replace

import json_repair
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.runtime import Runtime
from pydantic import BaseModel, ValidationError

from graph.state import Context
from nodes.model import Ask, ask_model

TRIES = 2


async def ask_structured[Shape: BaseModel](
    ask: Ask, name: str, shape: type[Shape], runtime: Runtime[Context]
) -> tuple[Shape | None, list[AIMessage]]:
    """Have the model call the tool `name` with arguments of `shape`; a mistake is shown once.

    Returns the object, or None when both tries failed, and the replies for the accounts.
    """
    replies: list[AIMessage] = []
    for _ in range(TRIES):
        reply = await ask_model(ask, runtime)
        replies.append(reply)
        try:
            return shape.model_validate(arguments(reply, name)), replies
        except ValidationError as error:
            ask = replace(ask, messages=[*ask.messages, _complaint(reply, name, error)])
    return None, replies


def arguments(reply: AIMessage, name: str) -> object:
    """The arguments of the call to `name`, or the JSON that a weak model wrote as text."""
    for call in reply.tool_calls:
        if call["name"] == name:
            return call["args"]
    for broken in reply.invalid_tool_calls:
        if broken["name"] == name:
            return json_repair.loads(broken["args"] or "{}")
    found = json_repair.loads(str(reply.text))
    return found if isinstance(found, dict) else {}


def _complaint(reply: AIMessage, name: str, error: ValidationError) -> HumanMessage:
    wrong = "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'arguments'}: {item['msg']}"
        for item in error.errors()
    )
    return HumanMessage(
        f"Your call of `{name}` cannot be used: {wrong}.\n"
        f"You gave: {arguments(reply, name)!r:.500}\nCall `{name}` again with correct arguments."
    )
