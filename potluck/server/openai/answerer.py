"""Who answers a request, in whatever form it came: the agent, the chain, or one model."""

from dataclasses import replace

from starlette.datastructures import Headers

from potluck.engine import Engine
from potluck.server import loopback
from potluck.server.cache_control import cache_mode
from potluck.server.openai.agent_reply import Way, agent_reply
from potluck.server.openai.background import Asker, background_reply
from potluck.server.openai.caller import Chat, chat_of, is_background
from potluck.server.openai.chain_reply import call_of, chain_reply
from potluck.server.openai.deltas import Reply
from potluck.server.openai.images import ReplyOf, has_images, reply_with_images
from potluck.server.openai.notes import notes_for
from potluck.server.openai.request import ChatRequest
from potluck.server.openai.targets import Target, resolve
from potluck.server.openai.wishes import wishes_of
from potluck.server.ownership import owner
from potluck.server.thread_queue import TURNS

THREAD_HEADER = "X-Potluck-Thread-Id"
# How long work in the background may wait for quota
BACKGROUND_WAIT_S = 86_400.0


def reply_to(
    asked: ChatRequest,
    headers: Headers,
    current: Engine,
    *,
    chat: Chat | None = None,
    in_background: bool = False,
) -> tuple[Reply, dict[str, str]]:
    """The reply to a request, and what the response's headers tell of it.

    `chat` where the door knows better than headers and metadata. Work `in_background` waits long
    for quota, and a run of the agent goes on when its reader leaves. Raises ApiError.
    """
    target = resolve(asked.model, current.chain.models())
    configured_s = current.catalog.parking.wait_limit_seconds
    limit_s = BACKGROUND_WAIT_S if in_background else configured_s
    tenant = owner()
    cache = cache_mode(headers)
    if is_background(asked, headers):
        asker = Asker(tenant, cache)
        return background_reply(
            asked, headers, chain=current.chain, asker=asker, wait_limit_s=limit_s
        ), {}
    if not target.agent:
        call = replace(call_of(asked, target.ref), cache=cache, tenant=tenant)

        def of_chain(settled: ChatRequest) -> Reply:
            return chain_reply(
                settled,
                replace(call, vision=has_images(settled)),
                chain=current.chain,
                vision=True,
                wait_limit_s=limit_s,
            )

        return _with_images(asked, of_chain, target, current), {}
    chat = chat or chat_of(asked, headers)
    way = Way(
        loopback.client(),
        TURNS,
        current.parking,
        wait_limit_s=limit_s,
        cache=cache,
        wishes={**wishes_of(asked, headers), **notes_for(headers)},
        is_detached=in_background,
    )

    def of_agent(settled: ChatRequest) -> Reply:
        return agent_reply(settled, way, chat=chat, ref=target.ref)

    reply = _with_images(asked, of_agent, target, current)
    return reply, {THREAD_HEADER: chat.thread_id} if chat else {}


def _with_images(asked: ChatRequest, reply_of: ReplyOf, target: Target, current: Engine) -> Reply:
    if not has_images(asked):
        return reply_of(asked)
    # One that is only to be asked first may leave an image to others.
    refs = (
        [target.ref]
        if target.ref and not target.agent
        else [model.ref for model in current.chain.models() if model.on]
    )
    found = map(current.catalog.find, refs)
    sees = any(model is not None and "vision" in model.capabilities for model in found)
    return reply_with_images(asked, reply_of, sees=sees, options=current.toolbox.options)
