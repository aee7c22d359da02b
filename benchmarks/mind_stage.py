"""The stage that agents of other makers play on: our tools over HTTP, one task at a time."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast
from uuid import uuid4

import uvicorn
from langchain_core.messages import ToolCall, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Send
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from graph.state import Context, State, ToolTask
from nodes.tools import tools
from potluck.engine import Engine, use_engine
from potluck.evaluation.record import Ending, MadeCall, Record
from potluck.evaluation.stage import Scene

POLL_S = 2.0
# File tools that a peer brings itself.
OWN_NAMES = {"ls": "list_files", "grep": "search_files"}


class OneCall(State):
    """What the graph of one tool call takes."""

    call: ToolCall


@dataclass(slots=True)
class PeerStage:
    """Gives a peer its tasks and runs its tool calls, as Potluck's own tools node does."""

    engine: Engine
    timeout_s: float
    jobs: asyncio.Queue[dict[str, object]] = field(default_factory=asyncio.Queue)
    scene: Scene | None = None
    record: Record = field(default_factory=Record)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    graph: CompiledStateGraph = field(init=False)  # type: ignore[type-arg] # one call in, one out

    def __post_init__(self) -> None:
        builder = StateGraph(OneCall, context_schema=Context)
        builder.add_node("tools", tools)
        builder.add_conditional_edges(START, _send, ["tools"])
        self.graph = builder.compile()

    async def player(self, scene: Scene) -> Record:
        """Have the peer play the scene."""
        self.scene, self.record, self.done = scene, Record(), asyncio.Event()
        await self.jobs.put({"request": scene.request, "workspace": str(scene.folder)})
        try:
            async with asyncio.timeout(self.timeout_s):
                await self.done.wait()
        except TimeoutError:
            self.record.ending = "timeout"
        return self.record

    def app(self) -> Starlette:
        """The doors for a peer."""
        return Starlette(
            routes=[
                Route("/tools", self._tools),
                Route("/job", self._job),
                Route("/call", self._call, methods=["POST"]),
                Route("/done", self._done, methods=["POST"]),
            ]
        )

    async def _tools(self, _: Request) -> Response:
        offered = [convert_to_openai_tool(tool) for tool in self.engine.toolbox.offered]
        return JSONResponse([tool["function"] for tool in offered])

    async def _job(self, _: Request) -> Response:
        try:
            return JSONResponse(await asyncio.wait_for(self.jobs.get(), POLL_S))
        except TimeoutError:
            return JSONResponse({})

    async def _call(self, request: Request) -> Response:
        asked = await request.json()
        scene = self.scene
        if scene is None:
            return JSONResponse({"ok": False, "text": "No task is under way."})
        call = ToolCall(
            name=asked["name"], args=asked["args"], id=f"call_{uuid4().hex[:12]}", type="tool_call"
        )
        config = RunnableConfig(configurable={"thread_id": scene.thread})
        with use_engine(self.engine):
            state = await self.graph.ainvoke(
                {"messages": [], "call": call}, config, context=Context(can_ask=False)
            )
        result = cast("ToolMessage", state["messages"][-1])
        ok = result.status == "success"
        self.record.calls.append(MadeCall(asked["name"], asked["args"], ok=ok))
        return JSONResponse({"ok": ok, "text": str(result.text)})

    async def _done(self, request: Request) -> Response:
        told = json.loads(await request.body())
        self.record.answer = str(told["answer"])
        self.record.ending = cast("Ending", told["ending"])
        self.record.error = str(told["error"])
        self.record.calls += [
            MadeCall(OWN_NAMES.get(one["name"], one["name"]), one["args"], ok=one["ok"])
            for one in told["own_calls"]
        ]
        self.done.set()
        return JSONResponse({})


@asynccontextmanager
async def served(stage: PeerStage) -> AsyncIterator[str]:
    """The stage on a free port of loopback; yields its address."""
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(stage.app(), log_level="critical", lifespan="off"))
    task = asyncio.create_task(server.serve([sock]))
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        server.force_exit = True
        await task


def _send(state: OneCall) -> Sequence[Send]:
    return [Send("tools", ToolTask(step_id=None, call=state["call"], objection=""))]
