"""Whether a run can be stopped and gone on with later."""

from langchain_core.runnables import RunnableConfig
from langgraph._internal._constants import CONFIG_KEY_CHECKPOINTER


def can_stop(config: RunnableConfig) -> bool:
    """Whether the run has a checkpointer: without one an interrupt would only end it."""
    return config.get("configurable", {}).get(CONFIG_KEY_CHECKPOINTER) is not None
