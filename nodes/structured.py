"""Asking a model for an object of a given shape, and getting one."""

from collections.abc import Callable
from dataclasses import replace

import json_repair
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.runtime import Runtime
from pydantic import ValidationError

from graph.state import Context
from nodes.checks import model_of
from nodes.model import Ask, ask_model

TRIES = 2


async def ask_structured[Shape](
    ask: Ask, name: str, read: Callable[[object], Shape], runtime: Runtime[Context]
) -> tuple[Shape | None, list[AIMessage]]:
    """Have the model call the tool `name` with arguments that `read` takes, in two tries.

    `read` raises ValueError that says what is wrong, which the model is shown. Returns what it
    made, or None when both tries failed, and the replies for the accounts.
    """
    replies: list[AIMessage] = []
    for _ in range(TRIES):
        reply = await ask_model(ask, runtime)
        replies.append(reply)
        try:
            return read(arguments(reply, name)), replies
        except ValueError as error:
            told = [*ask.messages, _complaint(reply, name, error)]
            ask = replace(ask, messages=told, avoid=model_of(reply))
    return None, replies


def arguments(reply: AIMessage, name: str) -> object:
    """The arguments of the call to `name`, or what a weak model wrote as text: JSON, or words."""
    for call in reply.tool_calls:
        if call["name"] == name:
            return call["args"]
    for broken in reply.invalid_tool_calls:
        if broken["name"] == name:
            return json_repair.loads(broken["args"] or "{}")
    text = str(reply.text)
    found = json_repair.loads(text) if "{" in text else None
    return found if isinstance(found, dict) else text


def _complaint(reply: AIMessage, name: str, error: ValueError) -> HumanMessage:
    return HumanMessage(
        f"Your call of `{name}` cannot be used: {_told(error)}.\n"
        f"You gave: {arguments(reply, name)!r:.500}\nCall `{name}` again with correct arguments."
    )


def _told(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'arguments'}: {item['msg']}"
        for item in error.errors()
    )
