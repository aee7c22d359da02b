"""What one answer teaches of one window: which word is believed, and for how long."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from potluck.quota.budgets import NO_LIMIT
from potluck.quota.limits import REFILL, ROLLING
from potluck.quota.places import Place
from potluck.quota.windows import Period, StatedLimit, Unit, Use, Window

Origin = Literal["header", "text", "guess"]

# No header makes a limit larger than this many times what the catalog says
MOST_RAISE = 1_000
# A refusal's figure is believed for so long against headers: some promise more than is granted
_REFUSAL_HOLDS: dict[Period, timedelta] = {
    "minute": timedelta(hours=1),
    "hour": timedelta(hours=6),
    "day": timedelta(days=1),
    "month": timedelta(days=31),
    "call": timedelta(hours=1),
}
# Nothing confirms it while we keep to it, and the account may have a better plan by then
_TEXT_LASTS = timedelta(days=8)
_MONTH_TEXT_LASTS = timedelta(days=31)
# A first guess may be of an overloaded provider; one that is made again is not
_GUESS_LASTS = timedelta(minutes=10)
_GUESS_AGAIN_LASTS = timedelta(hours=1)
# How many calls are taken at once is tried again soon, with a few more: it may be others' load
_AT_ONCE_LASTS = timedelta(minutes=2)
_GROWTH = 1.5
_TOGETHER = timedelta(seconds=30)
_MOST_AT_ONCE = 64
_DAY = timedelta(days=1)
_ZONES = ("UTC", "America/Los_Angeles")


@dataclass(frozen=True, slots=True)
class Lesson:
    """A window's whole limit, as its provider's answers tell it. `model` None: account-wide.

    `since` is when this limit was first told, `confirmed_at` the last time.
    """

    id: str
    account: str
    model: str | None
    unit: Unit
    period: Period
    reset: str
    limit: float
    remaining: float | None
    origin: Origin
    source: str
    since: datetime
    confirmed_at: datetime
    expires_at: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Whether it is still believed."""
        return self.expires_at is None or now < self.expires_at

    @property
    def told(self) -> str:
        """Where the limit is from, for people."""
        return f"{self.source} of {self.since:%Y-%m-%d %H:%M} UTC"

    @property
    def says(self) -> tuple[object, ...]:
        """What makes a difference to the limits in force."""
        is_for_good = self.expires_at is None
        return self.limit, self.reset, self.origin, self.remaining is None, is_for_good

    def window(self) -> Window:
        """The window, where the catalog has none."""
        return Window(
            id=self.id,
            unit=self.unit,
            period=self.period,
            limit=self.limit,
            reset=self.reset,
            stated=self.limit,
            source=self.told,
        )

    def refills_now(self, window: Window) -> bool:
        """Whether the window was taken for rolling until now, and has shown to refill."""
        return (self.reset, window.reset) == (REFILL, ROLLING)

    def applied(self, window: Window, *, capped: bool) -> Window:
        """The catalog's window with the limit that holds; `capped` is never raised.

        What is taken for rolling, as most is, is known better once it was seen to refill.
        """
        if self.refills_now(window):
            window = replace(window, reset=REFILL)
        whole = window.stated if window.stated is not None else window.limit
        raised = (
            not capped
            and self.origin == "header"
            and self.remaining is not None
            and whole < self.limit <= whole * MOST_RAISE
        )
        if self.limit < whole or raised:
            return replace(window, limit=self.limit, stated=self.limit, source=self.told)
        return window


@dataclass(frozen=True, slots=True)
class Refusal:
    """Our own count of a window when it was refused: its use, and the calls in it.

    The refused call is among both.
    """

    use: Use
    calls: float


def revise(known: Lesson | None, stated: StatedLimit, place: Place, now: datetime) -> Lesson | None:
    """The lesson after an answer that states a limit; None when it changes nothing."""
    limit = stated.limit
    if limit is None or not math.isfinite(limit) or limit <= 0:
        return None
    origin: Origin = "header" if stated.from_header else "text"
    held = known if known is not None and known.holds(now) else None
    if held is not None and not _is_believed(held, limit, origin, now):
        return None
    if held is not None and held.limit == limit and held.origin != "guess":
        return _confirmed(held, stated, origin, now)
    return Lesson(
        id=place.id,
        account=place.account,
        model=place.model,
        unit=stated.unit,
        period=stated.period,
        reset=known.reset if known is not None else _reset_of(stated),
        limit=float(limit),
        remaining=stated.remaining,
        origin=origin,
        source=stated.source,
        since=now,
        confirmed_at=now,
        expires_at=_text_end(stated.period, now) if origin == "text" else None,
    )


def guess(
    known: Lesson | None, stated: StatedLimit, refusal: Refusal, place: Place, now: datetime
) -> Lesson | None:
    """The limit to conclude from a refusal without figures; None when our count teaches nothing.

    What the calls before the refused one used is a limit that the provider is known to grant.
    """
    use, calls = refusal.use, refusal.calls
    granted = use.used * (calls - 1) / calls if calls > 1 else 0.0
    if use.window.unit == "concurrent":
        # One at a time is what anybody grants
        granted = max(1.0, use.used - 1)
    limit = float(math.floor(granted + 1e-9))
    whole = use.window.stated if use.window.stated is not None else use.window.limit
    if limit < 1 or limit >= min(whole, NO_LIMIT):
        return None
    before = known if known is not None and known.origin == "guess" else None
    if known is not None and known.holds(now):
        if before is None:
            return None
        limit = min(limit, known.limit)
    return Lesson(
        id=place.id,
        account=place.account,
        model=place.model,
        unit=use.window.unit,
        period=use.window.period,
        reset=use.window.reset,
        limit=limit,
        remaining=None,
        origin="guess",
        source=f"guess from a refusal after {limit:.0f} {use.window.unit.replace('_', ' ')}",
        since=now,
        confirmed_at=now,
        expires_at=_guess_end(before, stated, use, now),
    )


def last_end(lessons: Iterable[Lesson], account: str, now: datetime) -> datetime | None:
    """When a limit of the account's minutes, or of its calls at once, was last forgotten."""
    ends = (
        lesson.expires_at
        for lesson in lessons
        if lesson.account == account and lesson.period in {"minute", "call"}
    )
    return max((end for end in ends if end is not None and end <= now), default=None)


def _is_believed(held: Lesson, limit: float, origin: Origin, now: datetime) -> bool:
    """Whether a word of that origin may change what is held: all may lower, headers may raise."""
    if limit <= held.limit or held.origin == "guess":
        return True
    if origin != "header":
        return False
    return held.origin == "header" or now - held.confirmed_at > _REFUSAL_HOLDS[held.period]


def _confirmed(held: Lesson, stated: StatedLimit, origin: Origin, now: datetime) -> Lesson:
    expires_at = _text_end(held.period, now) if held.origin == origin == "text" else held.expires_at
    if origin == "text" and held.origin == "header":
        return replace(held, remaining=stated.remaining, confirmed_at=now)
    if origin == "header":
        return replace(
            held, origin="header", remaining=stated.remaining, confirmed_at=now, expires_at=None
        )
    return replace(held, remaining=stated.remaining, confirmed_at=now, expires_at=expires_at)


def _text_end(period: Period, now: datetime) -> datetime:
    return now + (_MONTH_TEXT_LASTS if period == "month" else _TEXT_LASTS)


def grown(known: Lesson, now: datetime) -> Lesson | None:
    """The next guess at how many calls are taken at once, after one that nothing spoke against.

    None when it need not be guessed any more, and for all other lessons.
    """
    if known.origin != "guess" or known.unit != "concurrent" or known.expires_at is None:
        return None
    limit = float(math.ceil(known.limit * _GROWTH))
    if limit > _MOST_AT_ONCE:
        return None
    lasted = known.expires_at - known.confirmed_at
    return replace(known, limit=limit, confirmed_at=now, expires_at=now + lasted)


def _guess_end(before: Lesson | None, stated: StatedLimit, use: Use, now: datetime) -> datetime:
    if use.window.unit == "concurrent":
        return now + _at_once_lasts(before, now)
    if use.window.period == "minute":
        again = before is not None and now - before.confirmed_at < _GUESS_AGAIN_LASTS
        return now + (_GUESS_AGAIN_LASTS if again else _GUESS_LASTS)
    if use.window.period == "hour":
        return now + _GUESS_AGAIN_LASTS
    told = stated.resets_at or use.resets_at
    return min(told, now + _DAY) if told is not None and told > now else now + _DAY


def _at_once_lasts(before: Lesson | None, now: datetime) -> timedelta:
    """Longer each time that a guess has grown too large."""
    if before is None or before.expires_at is None:
        return _AT_ONCE_LASTS
    lasted = before.expires_at - before.confirmed_at
    # Calls that were sent together are refused together
    has_grown = now - before.confirmed_at > _TOGETHER
    return min(2 * lasted, _GUESS_AGAIN_LASTS) if has_grown else lasted


def _reset_of(stated: StatedLimit) -> str:
    """How a window that only the provider tells of ends."""
    if stated.period == "month":
        return "UTC"
    if stated.period == "day" and stated.resets_at is not None:
        for zone in _ZONES:
            local = (stated.resets_at + timedelta(seconds=1)).astimezone(ZoneInfo(zone))
            if local.hour == 0 and local.minute == 0 and local.second <= 2:
                return zone
    return ROLLING
