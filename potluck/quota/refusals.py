"""What the limiter says when it refuses a call."""

from collections.abc import Mapping
from datetime import datetime

from potluck.errors import ErrorKind, ErrorScope, ProviderFault
from potluck.quota.admission import RefusedError
from potluck.quota.budgets import is_account_wide
from potluck.quota.windows import Amounts, Deployment, Period, Window

_KINDS: Mapping[Period, ErrorKind] = {
    "minute": ErrorKind.MINUTE,
    "hour": ErrorKind.DAY,
    "day": ErrorKind.DAY,
    "month": ErrorKind.MONTH,
    "call": ErrorKind.CONCURRENCY,
}


def kind_of(window: Window) -> ErrorKind:
    """What it is when the window is full."""
    return ErrorKind.CREDITS if window.unit == "credits" else _KINDS[window.period]


def full(deployment: Deployment, window: Window, amount: float, until: datetime) -> RefusedError:
    """The window is full until then for a call that wants so much of it."""
    message = f"its limit for the {window.period} is used up"
    if window.unit == "concurrent":
        message = "as many calls are under way as it takes at once"
    scope = ErrorScope.KEY if is_account_wide(window) else ErrorScope.MODEL
    fault = ProviderFault(kind_of(window), scope, message, until=until)
    return RefusedError(deployment.provider, deployment.model, fault, window=window, amount=amount)


def too_large(deployment: Deployment, window: Window, amounts: Amounts) -> RefusedError:
    """The call alone is more than the window."""
    message = (
        f"about {amounts.of(window.unit):.0f} {window.unit.replace('_', ' ')} are more than the "
        f"{window.limit:.0f} that it takes in one {window.period}"
    )
    fault = ProviderFault(ErrorKind.TOO_LARGE, ErrorScope.REQUEST, message)
    return RefusedError(deployment.provider, deployment.model, fault)
