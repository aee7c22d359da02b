"""The agent as a LangChain Runnable: what LangServe serves."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import asdict, replace
from typing import Any

from langchain_core.callbacks import adispatch_custom_event
from langchain_core.messages import BaseMessage
from langchain_core.runnables import ConfigurableFieldSpec, RunnableConfig, RunnableGenerator
from langchain_core.runnables.utils import AddableDict
from langgraph_sdk.errors import NotFoundError
from pydantic import BaseModel

from potluck import engine
from potluck.errors import PotluckError
from potluck.server import loopback
from potluck.server.answer import Answer
from potluck.server.approvals import pending_approvals
from potluck.server.langserve_batch import run_batch
from potluck.server.langserve_config import AgentConfig, Asker
from potluck.server.langserve_decisions import DecisionError, Decisions
from potluck.server.langserve_progress import Progress
from potluck.server.langserve_wire import MESSAGES, AgentInput, AgentOutput, UsageView
from potluck.server.ownership import owner
from potluck.server.parked_turn import run_through
from potluck.server.thread_queue import TURNS
from potluck.server.turn import (
    Asked,
    Happened,
    Parked,
    Part,
    Turn,
    Values,
    run_errors,
    thread_id_of,
)

TOLD_BY_PROGRESS = frozenset({"source", "picture"})

Input = list[BaseMessage] | Decisions


class Agent(RunnableGenerator[Input, AddableDict]):
    """Runs a turn of the agent on this server; its chunks add up to an AgentOutput."""

    def __init__(self) -> None:
        super().__init__(_turn, name="agent")  # type: ignore[arg-type] # the config is handed over too

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """The fields that a caller may set in `configurable`."""
        return AgentConfig.specs()

    def get_input_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:  # noqa: ARG002 - LangChain's signature
        """Every form of input, with a reason when it is none of them."""
        return AgentInput

    def get_output_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:  # noqa: ARG002 - LangChain's signature
        """The sum of all chunks."""
        return AgentOutput

    async def abatch(
        self,
        inputs: list[Input],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,  # Any: Runnable's own signature
    ) -> list[AddableDict]:
        """The outputs in the order of the inputs. Raises BatchError."""
        if return_exceptions:
            return await super().abatch(inputs, config, return_exceptions=True, **kwargs)
        return await run_batch(self, inputs, config)


async def _turn(
    inputs: AsyncIterator[Sequence[BaseMessage] | Decisions], config: RunnableConfig
) -> AsyncGenerator[AddableDict]:
    messages: list[BaseMessage] = []
    decisions: Decisions | None = None
    async for chunk in inputs:
        if isinstance(chunk, Decisions):
            decisions = chunk
        else:
            messages += chunk
    configurable = config.get("configurable", {})
    given = AgentConfig.of(configurable)
    turn = Turn(
        messages=[message.model_dump(mode="json", exclude_none=True) for message in messages],
        thread_id=thread_id_of(given.thread_id, owner()) if given.thread_id else None,
        context=given.context(Asker.of(configurable)),
    )
    async with TURNS.turn(turn.thread_id), Progress.of(config, messages) as progress:
        if decisions is not None:
            turn = await _decided(turn, decisions)
        async for piece in _chunks(turn, progress, config):
            yield piece


async def _decided(turn: Turn, decisions: Decisions) -> Turn:
    """The turn that goes on with what waits on its thread. Raises DecisionError."""
    if turn.thread_id is None:
        raise DecisionError(
            "Decisions need the thread on which something waits for approval.",
            fix='Send its id: {"config": {"configurable": {"thread_id": "..."}}}.',
        )
    with run_errors():
        try:
            pending = await pending_approvals(loopback.client(), turn.thread_id)
        except NotFoundError:
            pending = ()
    return replace(turn, decisions=decisions.for_pending(pending), thread_exists=True)


async def _chunks(
    turn: Turn, progress: Progress, config: RunnableConfig
) -> AsyncGenerator[AddableDict]:
    answer = Answer(is_resumed=bool(turn.decisions))
    last: Part | None = None
    state: dict[str, Any] = {}
    limit_s = (await engine.current()).catalog.parking.wait_limit_seconds
    async with aclosing(run_through(loopback.client(), turn, wait_limit_s=limit_s)) as parts:
        async for part in parts:
            last = part
            await _report(part, progress, config)
            if isinstance(part, Values):
                state = dict(part.state)
            if text := answer.take(part):
                yield AddableDict(content=text)
    if isinstance(last, Parked):
        raise ParkedError(last, turn.thread_id)
    if text := answer.rest():
        yield AddableDict(content=text)
    yield AddableDict(
        content="",
        messages=MESSAGES.validate_python(state.get("messages") or []),
        usage=UsageView.model_validate(state.get("usage") or {}).model_dump(),
        approvals=[asdict(one) for one in last.approvals] if isinstance(last, Asked) else [],
    )


class ParkedError(PotluckError):
    """The turn goes on by itself, later than a caller is kept waiting."""

    def __init__(self, parked: Parked, thread_id: str | None) -> None:
        super().__init__(
            f"{parked.reason} The work goes on by itself at {parked.resume_at:%Y-%m-%d %H:%M:%S} "
            "UTC.",
            fix="Read the thread then: its last message is the answer.",
        )
        self.resume_at = parked.resume_at
        self.thread_id = thread_id


async def _report(part: Part, progress: Progress, config: RunnableConfig) -> None:
    await progress.take(part)
    if isinstance(part, Happened) and part.event["type"] not in TOLD_BY_PROGRESS:
        await adispatch_custom_event(part.event["type"], dict(part.event), config=config)
