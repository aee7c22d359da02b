"""The small tasks that a chat program asks for by itself: cheaply, soon, and never an error."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

from langchain_core.messages import AIMessage
from starlette.datastructures import Headers

from potluck.cache.responses import CacheMode
from potluck.errors import PotluckError
from potluck.providers.catalog import OFFLINE
from potluck.providers.chain import Call, Chain
from potluck.server.openai.background_task import SUMMARY, Task, task_of
from potluck.server.openai.caller import TASK_HEADER
from potluck.server.openai.chain_reply import chain_reply, params_of
from potluck.server.openai.deltas import Accepted, Delta, Finished, Said
from potluck.server.openai.request import ChatRequest
from potluck.server.openai.transcript import to_langchain

logger = logging.getLogger(__name__)

MOST_WAIT_S = 3.0
TIMEOUT_S = 20.0
SUMMARY_TIMEOUT_S = 60.0
# A model that thinks would say nothing within the few tokens that such tasks are given
LEAST_OUTPUT_TOKENS = 1_024


@dataclass(frozen=True, slots=True)
class Asker:
    """Whose task it is, and whether an answer that is kept will do."""

    tenant: str = ""
    cache: CacheMode = "use"


def background_reply(
    request: ChatRequest, headers: Headers, *, chain: Chain, asker: Asker, wait_limit_s: float
) -> AsyncGenerator[Delta]:
    """The answer to a task. One that a chat goes on with is asked for like any other.

    The rest go to the cheapest model with quota to spare for such work; when there is none, or its
    answer is of no use, what can be said without a model is the answer.
    """
    task = task_of(request.messages, headers.get(TASK_HEADER, ""))
    if task.is_substantial:
        call = Call(params=params_of(request), tenant=asker.tenant, cache=asker.cache)
        return chain_reply(request, call, chain=chain, wait_limit_s=wait_limit_s)
    return _small(request, task, chain, asker)


def small_call(request: ChatRequest, asker: Asker) -> Call:
    """A call that leaves to people what is kept for them, on whatever model is cheapest."""
    params = params_of(request)
    if request.output_limit is not None:
        params["max_tokens"] = max(request.output_limit, LEAST_OUTPUT_TOKENS)
    return Call(
        task_type="simple_task",
        params=params,
        priority="background",
        tenant=asker.tenant,
        cache=asker.cache,
        most_wait_s=MOST_WAIT_S,
    )


async def _small(
    request: ChatRequest, task: Task, chain: Chain, asker: Asker
) -> AsyncGenerator[Delta]:
    yield Accepted()
    call = small_call(request, asker)
    timeout_s = TIMEOUT_S
    if task.kind == SUMMARY:
        # The chat waits for it, and goes on with it.
        call = replace(call, priority="interactive")
        timeout_s = SUMMARY_TIMEOUT_S
    answer = await _asked(request, call, chain, timeout_s)
    text = task.read(str(answer.text)) if answer is not None else None
    yield Said(task.without_model() if text is None else text)
    yield _finished(answer)


def _finished(answer: AIMessage | None) -> Finished:
    used = answer.usage_metadata if answer is not None else None
    if used is None:
        return Finished("stop", 0, 0)
    return Finished("stop", used["input_tokens"], used["output_tokens"])


async def _asked(
    request: ChatRequest, call: Call, chain: Chain, timeout_s: float
) -> AIMessage | None:
    """A model's answer; None when none is to be had soon."""
    try:
        async with asyncio.timeout(timeout_s):
            messages = to_langchain(request.messages, vision=False)
            answer = await chain.runnable(call).ainvoke(messages)
    except TimeoutError:
        logger.info("A background task is answered without a model: none answered in time.")
        return None
    except PotluckError as error:
        logger.info("A background task is answered without a model: %s", error)
        return None
    return None if answer.response_metadata.get("model_provider") == OFFLINE else answer
