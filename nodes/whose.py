"""Whose run it is: told by who came in at the LangGraph API, never by what the run says itself."""

from collections.abc import Mapping

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config

from graph.state import Context
from tools.notebook import ANONYMOUS

_STUDIO = "langgraph-studio-user"
PART = ":"
"""Before what a caller sets apart of his own; no user's name holds it."""


def user_of(config: RunnableConfig) -> str:
    """Who came in by the LangGraph API's own authentication; empty where all are one."""
    user: object = config.get("configurable", {}).get("langgraph_auth_user")
    found = user.get("identity") if isinstance(user, Mapping) else getattr(user, "identity", None)
    name = str(found or "")
    return "" if name in (_STUDIO, ANONYMOUS) else name


def tenant_of(context: Context) -> str:
    """Whose calls and kept answers these are; empty where all are one.

    A run's `tenant` sets a part of its user's own apart; it is no way to another user's.
    """
    user, part = user_of(get_config()), context.get("tenant", "")
    return f"{user}{PART}{part}" if part else user
