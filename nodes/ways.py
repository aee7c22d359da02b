"""Calls that no tool stands behind: they ask for more tools, or for a plan."""

from collections.abc import Collection

from langchain_core.messages import AIMessage

from potluck.providers.offer import USE_TOOLS

__all__ = ["USE_TOOLS", "has_call", "only_calls", "without"]


def has_call(reply: AIMessage, name: str) -> bool:
    """Whether the tool is called, even with arguments that cannot be read."""
    return name in _called(reply)


def only_calls(reply: AIMessage, names: Collection[str]) -> bool:
    """Whether the reply calls these and nothing else."""
    called = _called(reply)
    return bool(called) and called <= set(names)


def without(reply: AIMessage, names: Collection[str], *, otherwise: str) -> AIMessage:
    """The reply without the calls of these; `otherwise` where nothing is left."""
    if not _called(reply) & set(names):
        return reply
    kept = [call for call in reply.tool_calls if call["name"] not in names]
    return reply.model_copy(
        update={
            "content": str(reply.text) or ("" if kept else otherwise),
            "tool_calls": kept,
            "invalid_tool_calls": [],
            "additional_kwargs": {
                key: value for key, value in reply.additional_kwargs.items() if key != "tool_calls"
            },
        }
    )


def _called(reply: AIMessage) -> set[str]:
    broken = (call["name"] or "" for call in reply.invalid_tool_calls)
    return {*(call["name"] for call in reply.tool_calls), *broken}
