"""LiteLLM's Router in the quota benchmark, run in an environment of its own.

Set up as its documentation recommends for limits that are known: one model group, `rpm` and `tpm`
with each deployment, pre-call checks on, three retries, three allowed fails and thirty seconds of
cooldown. `shuffle+limits` has `enforce_model_rate_limits` besides, which refuses by itself. What it
cannot be told: a limit per day, and one that two deployments share (each gets half of it).
`max_parallel_requests` is given everywhere: by default it would be derived from `rpm`.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "CRITICAL"}

import litellm  # type: ignore[import-not-found] # it lives in the peer's environment
from litellm import Router
from litellm.types.router import (  # type: ignore[import-not-found] # as above
    RouterRateLimitError,
    RouterRateLimitErrorBasic,
)

from benchmarks.quota_cells import Ask, LaterError, Run, play
from benchmarks.quota_tiers import TIERS, WARM_UP, Cell, Tier

GROUP = "pool"
TIMEOUT_S = 60.0
UNLIMITED_PARALLEL = 1_000
STRATEGIES: dict[str, dict[str, Any]] = {  # Any: each option has a type of its own
    "shuffle": {"routing_strategy": "simple-shuffle"},
    "shuffle+limits": {
        "routing_strategy": "simple-shuffle",
        "optional_pre_call_checks": ["enforce_model_rate_limits"],
    },
    "usage-v2": {"routing_strategy": "usage-based-routing-v2"},
    "latency": {"routing_strategy": "latency-based-routing"},
    "least-busy": {"routing_strategy": "least-busy"},
}


def asker(router: Any) -> Ask:  # Any: it has no types here
    """Asks the Router; a refusal that tells when to come back is a LaterError."""

    async def ask(text: str, number: int) -> None:
        del number
        try:
            await router.acompletion(GROUP, [{"role": "user", "content": text}])
        except litellm.RateLimitError as error:
            raise LaterError(_wait_s(error)) from error
        except RouterRateLimitError as error:
            raise LaterError(float(error.cooldown_time)) from error
        except RouterRateLimitErrorBasic as error:
            raise LaterError(None) from error

    return ask


@contextlib.contextmanager
def router_for(url: str, cell: Cell, strategy: str) -> Iterator[Any]:  # Any: no types here
    """A Router over the tiers, with the cell's key."""
    router = Router(
        model_list=[
            _deployment(url, tier, place, cell)
            for tier in TIERS
            for place in range(len(tier.models))
        ],
        enable_pre_call_checks=True,
        num_retries=3,
        allowed_fails=3,
        cooldown_time=30,
        timeout=TIMEOUT_S,
        **STRATEGIES[strategy],
    )
    try:
        yield router
    finally:
        router.discard()


def _deployment(url: str, tier: Tier, place: int, cell: Cell) -> dict[str, object]:
    model = tier.models[place]
    base_url = f"{url}/{tier.provider}{tier.path}"
    gemini = tier.api == "gemini"
    params: dict[str, object] = {
        # The routes of the other names need fields that the simulated answers do not have
        "model": f"gemini/{model}" if gemini else f"openai/{model}",
        "api_base": f"{base_url}/v1beta" if gemini else base_url,
        "api_key": cell.key,
        "max_parallel_requests": UNLIMITED_PARALLEL,
    }
    if cell.known:
        shared = len(tier.models) if tier.account_wide else 1
        params["rpm"] = tier.limits["minute_requests"] // shared
        if "minute_tokens" in tier.limits:
            params["tpm"] = tier.limits["minute_tokens"]
        if tier.concurrent is not None:
            params["max_parallel_requests"] = tier.concurrent
    # Its counters' names are cut at colons, which models' names have
    identity = f"{cell.key}-{tier.provider}-{place}"
    return {"model_name": GROUP, "litellm_params": params, "model_info": {"id": identity}}


def _wait_s(error: Any) -> float | None:  # Any: its classes have no types here
    headers = getattr(error, "litellm_response_headers", None) or {}
    response = getattr(error, "response", None)
    told = headers.get("retry-after") or (response and response.headers.get("retry-after"))
    try:
        return float(told) if told else None
    except ValueError:
        return None


async def _main(given: dict[str, Any]) -> dict[str, object]:  # Any: JSON from our own side
    cells = [Cell(**cell) for cell in given["cells"]]
    with contextlib.ExitStack() as stack:
        warm = stack.enter_context(router_for(given["url"], Cell(0, "steady"), given["variant"]))
        for _ in range(3):
            await asker(warm)(WARM_UP, 0)
        routers = [
            stack.enter_context(router_for(given["url"], cell, given["variant"])) for cell in cells
        ]
        return await play(cells, [asker(router) for router in routers], Run(**given["run"]))


if __name__ == "__main__":
    litellm.suppress_debug_info = True
    print(json.dumps(asyncio.run(_main(json.loads(sys.argv[1])))))
