"""One run of Potluck's agent in this process, and the record of what it did."""

import asyncio
from collections.abc import Mapping
from typing import cast

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphRecursionError
from langgraph.graph.state import CompiledStateGraph

from graph.agent import build
from graph.state import Context, Input, State
from nodes.answer_form import is_offline
from potluck.engine import Engine, use_engine
from potluck.errors import PotluckError
from potluck.evaluation.record import MadeCall, Record

type Agent = CompiledStateGraph[State, Context, Input, State]

# A person is not there to be asked, and an answer that is kept would cost nothing.
CONTEXT = Context(can_ask=False, cache="off", when_out="wait")
NO_MODEL = "No model answered: the offline model did."


def build_agent() -> Agent:
    """The agent with threads that live in memory."""
    agent = build()
    agent.checkpointer = InMemorySaver()
    return agent


async def run_agent(
    agent: Agent, engine: Engine, request: str, *, thread: str, timeout_s: float
) -> Record:
    """Have the agent do what is asked; whatever happens ends up in the record."""
    record = Record()
    try:
        with use_engine(engine):
            async with asyncio.timeout(timeout_s):
                await _play(agent, request, thread, record)
    except TimeoutError:
        record.ending, record.error = "timeout", f"not finished within {timeout_s:g} s"
    except GraphRecursionError as error:
        record.ending, record.error = "loop", str(error)
    except PotluckError as error:
        record.ending, record.error = "error", str(error)
    except Exception as error:  # noqa: BLE001 - that a run ends in any error at all is a finding
        record.ending, record.error = "error", f"{type(error).__name__}: {error}"
    return record


async def _play(agent: Agent, request: str, thread: str, record: Record) -> None:
    config = RunnableConfig(configurable={"thread_id": thread})
    waiting: dict[str, Mapping[str, object]] = {}
    last: list[AnyMessage] = []
    async for mode, part in agent.astream(
        Input(messages=[HumanMessage(request)]),
        config,
        context=CONTEXT,
        stream_mode=["custom", "values"],
    ):
        if mode == "values":
            last = cast("list[AnyMessage]", cast("dict[str, object]", part).get("messages", []))
            continue
        event = cast("Mapping[str, object]", part)
        if event.get("type") == "tool_call":
            waiting[str(event["id"])] = event
        elif event.get("type") == "tool_result":
            call = waiting.get(str(event["id"]), event)
            args = cast("dict[str, object]", call.get("args", {}))
            record.calls.append(MadeCall(str(event["name"]), args, ok=bool(event["ok"])))
    answer = last[-1] if last else None
    if isinstance(answer, AIMessage):
        record.answer = str(answer.text)
        if is_offline(answer):
            record.ending, record.error = "error", NO_MODEL
