"""One tiny call to a provider, to see whether it answers and, if not, why."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

from langchain_core.messages import HumanMessage

from potluck.errors import ErrorKind, ProviderError
from potluck.providers.backend import Backend
from potluck.providers.catalog import Model, ProviderStatus
from potluck.providers.link import Link
from potluck.quota.limiter import NoLimiter

_QUESTION = "Reply with the word: ready"
# Models that think first need some room; fewer make some providers refuse the call
_MAX_TOKENS = 64
# The model took the call: that it said nothing in so few tokens, or was not let, is no fault
_ANSWERED = frozenset({ErrorKind.EMPTY, ErrorKind.CONTENT_FILTER})


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of it: how long the model took, or the errors of the models asked in turn."""

    model: Model
    account: int
    took_s: float
    failures: tuple[ProviderError, ...] = ()
    answered: bool = True


async def probe(
    status: ProviderStatus,
    models: Sequence[Model],
    *,
    account: int,
    clock: Callable[[], datetime],
    timeout_s: float = 30.0,
) -> Probe:
    """Ask the first of `models` with the account's key; while they are gone, the next one.

    It goes the way of every call, but counts in no limit or outage of ours.
    """
    failures: list[ProviderError] = []
    began = monotonic()
    for model in models:
        began = monotonic()
        error = await _ask(_backend(status, model, account, timeout_s), clock)
        if error is None:
            return Probe(model, account, monotonic() - began, tuple(failures))
        failures.append(error)
        if error.kind is not ErrorKind.MODEL_GONE:
            break
    return Probe(
        models[len(failures) - 1], account, monotonic() - began, tuple(failures), answered=False
    )


async def load_classes(statuses: Iterable[ProviderStatus]) -> None:
    """Import the vendors' packages that will be needed, so that no call is charged with it.

    One after the other: imported side by side in threads they can meet each other half done.
    """
    for status in {status.provider.api: status for status in statuses}.values():
        backend = _backend(status, status.provider.models[0], 0, timeout_s=1.0)
        await backend.chat_model()
        await _close(backend)


async def _ask(backend: Backend, clock: Callable[[], datetime]) -> ProviderError | None:
    link = Link(backend=backend, limiter=NoLimiter(), clock=clock)
    try:
        # Link itself keeps to the backend's time limit
        await link.ainvoke([HumanMessage(_QUESTION)], max_tokens=_MAX_TOKENS)
    except ProviderError as error:
        return None if error.kind in _ANSWERED else error
    finally:
        await _close(backend)
    return None


async def _close(backend: Backend) -> None:
    # What has been learnt is worth more than an orderly end
    with suppress(TimeoutError):
        await backend.aclose()


def _backend(status: ProviderStatus, model: Model, account: int, timeout_s: float) -> Backend:
    return Backend(
        provider=status.provider,
        model=model,
        api_key=status.keys[account] if status.keys else None,
        base_url=status.base_url or status.provider.base_url,
        account=account,
        timeout_s=timeout_s,
    )
