"""Which window an answer speaks of."""

from collections.abc import Sequence
from dataclasses import dataclass

from potluck.quota.budgets import is_account_wide, window_id
from potluck.quota.windows import Deployment, StatedLimit, Use


@dataclass(frozen=True, slots=True)
class Place:
    """The window that an answer speaks of."""

    id: str
    account: str
    model: str | None


def find_use(stated: StatedLimit, uses: Sequence[Use]) -> Use | None:
    """The use of the window that is meant: the model's, or the account's if only that is kept."""
    same = [
        use for use in uses if use.window.unit == stated.unit and use.window.period == stated.period
    ]
    wide = [use for use in same if is_account_wide(use.window)]
    own = [use for use in same if not is_account_wide(use.window)]
    if stated.account_wide:
        return wide[0] if wide else None
    return next(iter(own or wide), None)


def place_of(deployment: Deployment, stated: StatedLimit, use: Use | None) -> Place:
    """The window's place; `use` is its use if it is counted."""
    wide = is_account_wide(use.window) if use is not None else stated.account_wide
    model = None if wide else deployment.model
    name = window_id(deployment.account, model, stated.unit, stated.period)
    return Place(use.window.id if use is not None else name, deployment.account, model)


def counts_calls(one: Use, use: Use) -> bool:
    """Whether `one` counts the calls in the period of `use`."""
    return one.window.unit == "requests" and one.window.period == use.window.period
