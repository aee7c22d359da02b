"""Calls over a connection that the provider had closed meanwhile, as it was idle."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from time import monotonic

from potluck.errors import ErrorKind
from potluck.providers.errors import find_kind
from potluck.providers.failures import read_failure
from potluck.providers.response_headers import SeenResponses

# A closed connection tells it with the first packet; what breaks later was a call under way
_SOON_S = 2.0


async def ask[Answer](seen: SeenResponses, call: Callable[[], Awaitable[Answer]]) -> Answer:
    """The answer of `call`, made once more when its connection had been closed while idle.

    Both ends let go of idle connections after some seconds; a call that crosses the provider's
    goodbye has not reached anybody, so no provider is to blame, and none has counted it.
    """
    began, answered = monotonic(), len(seen.responses)
    try:
        return await call()
    except Exception as error:
        is_crossed = seen.was_open and len(seen.responses) == answered
        if not is_crossed or monotonic() - began > _SOON_S or not _broke(error):
            raise
    return await call()


def _broke(error: Exception) -> bool:
    kind, _ = find_kind(read_failure(error), datetime.now(UTC))
    return kind is ErrorKind.NETWORK
