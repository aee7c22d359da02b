"""How long a conversation one model takes in one request."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from potluck.providers.attempt import estimate_for
from potluck.providers.backend import Backend
from potluck.quota.windows import Amounts, Use

# Providers count a little otherwise than we do
_SHARE = 0.9


def room_for(backend: Backend, uses: Sequence[Use], options: Mapping[str, object]) -> int | None:
    """Tokens of messages that fit beside tools and answer; None when nothing is known to limit it.

    What bounds them is the model's context, and each window of tokens: no call may be more than
    the whole of one, as of a minute.
    """
    beside = estimate_for(backend, (), options)
    context = backend.model.context
    rooms = [context - beside.of("tokens")] if context is not None else []
    rooms += [
        use.window.limit - beside.of(use.window.unit)
        for use in uses
        if use.window.unit in ("tokens", "input_tokens")
    ]
    return max(0, int(min(rooms) * _SHARE)) if rooms else None


def shortened(
    estimate: Amounts, backend: Backend, uses: Sequence[Use], options: Mapping[str, object]
) -> Amounts:
    """The estimate of a call whose messages will be made to fit the model."""
    room = room_for(backend, uses, options)
    if room is None:
        return estimate
    most = estimate_for(backend, (), options).input_tokens + room
    return replace(estimate, input_tokens=min(estimate.input_tokens, most))
