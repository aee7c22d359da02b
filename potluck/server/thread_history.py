"""Past states of a thread by what their checkpoints say of themselves."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel
from langgraph.types import StateSnapshot

# Any: a checkpoint's metadata is JSON
Metadata = Mapping[str, Any]

_history = Pregel.aget_state_history


def search_by_metadata() -> None:
    """Have Aegra's history answer to `metadata`, which it hands on by a name LangGraph lacks."""
    Pregel.aget_state_history = _searched  # type: ignore[method-assign] # one more keyword


def _searched(
    self: Pregel[Any, Any, Any, Any],
    config: RunnableConfig,
    *,
    metadata: Metadata | None = None,
    before: RunnableConfig | None = None,
    limit: int | None = None,
    **more: Any,
) -> AsyncIterator[StateSnapshot]:
    if metadata is not None:
        more["filter"] = dict(metadata)
    return _history(self, config, before=before, limit=limit, **more)
