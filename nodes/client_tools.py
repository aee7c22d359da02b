"""The client's own tools: offered beside ours in the conversation, and run by the client."""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool
from pydantic import BaseModel

from graph.state import FOR_CLIENT, Context

REQUIRED = "required"

Tool = BaseTool | type[BaseModel] | dict[str, Any]  # Any: a JSON schema


def client_names(context: Context | None) -> set[str]:
    """What the client's tools are called."""
    return {tool["function"]["name"] for tool in (context or Context()).get("client_tools") or ()}


def with_clients(own: Sequence[Tool], context: Context | None) -> tuple[Tool, ...]:
    """Our tools and the client's; of two that have one name the client's is offered."""
    theirs = (context or Context()).get("client_tools") or ()
    names = client_names(context)
    return (*(tool for tool in own if _name(tool) not in names), *(dict(tool) for tool in theirs))


def first_choice(
    own: Sequence[Tool], context: Context | None
) -> tuple[tuple[Tool, ...], str | None]:
    """The tools for the first call of a run, and which of them must be called, if any."""
    choice = (context or Context()).get("client_tool_choice")
    if not choice or not client_names(context):
        return with_clients(own, context), None
    if choice == REQUIRED:
        return with_clients((), context), "any"
    return with_clients(own, context), choice if choice in client_names(context) else None


def for_client(reply: AIMessage, context: Context | None) -> AIMessage:
    """The reply, with the client's calls alone if it holds any: they end the run.

    Ours that came with them are dropped; the model can make them when the results are there.
    """
    names = client_names(context)
    theirs = [call for call in reply.tool_calls if call["name"] in names]
    if not theirs:
        return reply
    if (context or Context()).get("params", {}).get("parallel_tool_calls") is False:
        theirs = theirs[:1]
    return reply.model_copy(
        update={
            "tool_calls": theirs,
            "invalid_tool_calls": [],
            "additional_kwargs": {
                key: value for key, value in reply.additional_kwargs.items() if key != "tool_calls"
            },
            "response_metadata": {**reply.response_metadata, FOR_CLIENT: True},
        }
    )


def _name(tool: Tool) -> str:
    if isinstance(tool, BaseTool):
        return tool.name
    return str(tool["function"]["name"]) if isinstance(tool, dict) else tool.__name__
