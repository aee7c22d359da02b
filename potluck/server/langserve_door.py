"""The LangServe door: the agent under /agent, the chain of models under /chain."""

import warnings
from typing import Any

from fastapi import APIRouter, FastAPI
from langchain_core.runnables import Runnable
from langserve import add_routes

from potluck.server.langserve_agent import Agent
from potluck.server.langserve_chain import ModelChain
from potluck.server.langserve_config import AgentConfig, CallerConfig, ChainConfig
from potluck.server.langserve_route import DoorRoute, settle_with


def mount(app: FastAPI) -> None:
    """Add invoke, batch, stream, stream_log, stream_events, schemas and playground of both."""
    # LangServe's playground needs it; that LangChain would have it otherwise is no news to users.
    warnings.filterwarnings("ignore", message="astream_log is deprecated")
    _add(app, "/agent", Agent(), AgentConfig)
    _add(app, "/chain", ModelChain(), ChainConfig)


def _add(
    app: FastAPI,
    path: str,
    runnable: Runnable[Any, Any],  # Any: each has input and output of its own
    form: type[CallerConfig],
) -> None:
    router = APIRouter(route_class=DoorRoute)
    add_routes(
        router,
        runnable,
        path=path,
        per_req_config_modifier=settle_with(form),
        enable_feedback_endpoint=False,
        enable_public_trace_link_endpoint=False,
    )
    app.include_router(router)
