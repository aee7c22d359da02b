"""Which windows of a quota report matter to a person, and how their figures are written."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from potluck.quota.report_form import AdviceReport, ModelReport, ProviderReport, WindowReport

NOW = "now"
# Of less than this nobody can tell how it goes on.
SHARE_OF_A_TREND = 0.1
EVERY_MODEL = "(all models)"
# The same weekday may come again after it
_WEEK = timedelta(days=6)
_LONGEST_FIRST = {"month": 0, "day": 1, "hour": 2, "minute": 3, "call": 4}

Tone = Literal["good", "fair", "bad", "dim"]


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One window of a model, or of all of them, as shown; `share` None: no limit is known."""

    model: str
    window: str
    share: float | None
    used: str
    resets: str
    note: str
    tone: Tone


def rows_of(provider: ProviderReport, now: datetime) -> list[UsageRow]:
    """What is used, each window once; of what is idle only the window that the advice is about."""
    several = len({model.key_id for model in provider.models}) > 1
    shown: set[str] = set()
    rows: list[UsageRow] = []
    for model in provider.models:
        key = f" [{model.key_id[:4]}]" if several and model.key_id else ""
        windows = [w for w in _that_matter(model) if w.id not in shown]
        shown.update(window.id for window in windows)
        shared = [window for window in windows if window.account_wide]
        own = [window for window in windows if not window.account_wide]
        rows.extend(_rows(EVERY_MODEL + key, shared, model.advice, now))
        note, tone = _note(model, now)
        made = _rows(model.id + key, own, model.advice, now)
        if made and note:
            made[0] = _noted(made[0], note, tone)
        elif note or not (made or shared or _is_shown(model, shown)):
            made = [_bare(model.id + key, model, note, tone)]
        rows.extend(made)
    return rows


def _is_shown(model: ModelReport, shown: set[str]) -> bool:
    return any(window.id in shown for window in model.windows)


def _that_matter(model: ModelReport) -> list[WindowReport]:
    known = sorted(
        (window for window in model.windows if window.limit is not None),
        key=lambda window: _LONGEST_FIRST[window.period],
    )
    used = [window for window in known if window.used > 0]
    advised = [window for window in known if window.id == model.advice.window]
    return used or advised or known[:1]


def _rows(
    name: str, windows: Sequence[WindowReport], advice: AdviceReport, now: datetime
) -> list[UsageRow]:
    return [
        UsageRow(
            model=name,
            window=_window_name(window),
            share=window.share,
            used=_used(window),
            resets=_resets(window, now),
            note=_advice(advice, now) if window.id == advice.window else "",
            tone=_tone(window.share or 0),
        )
        for window in windows
    ]


def _resets(window: WindowReport, now: datetime) -> str:
    if window.resets_at is None or not window.used:
        return ""
    left = span(window.resets_at - now)
    return left if left == NOW else f"in {left}"


def _used(window: WindowReport) -> str:
    limit = window.limit or 0.0
    # Limits in force may be a fraction below a whole number, of which nobody can use a part
    if window.unit != "credits":
        return f"{round(window.used):,}/{int(limit):,}"
    return f"{figure(window.used)}/{figure(limit)}"


def _window_name(window: WindowReport) -> str:
    if window.period == "call":
        return "at once"
    return f"{window.unit.replace('_', ' ')}/{window.period}"


def _tone(share: float) -> Tone:
    return "bad" if share > 0.8 else "good" if share < 0.3 else "fair"


def _advice(advice: AdviceReport, now: datetime) -> str:
    if advice.exhausted_at is None or (advice.used_share or 0.0) < SHARE_OF_A_TREND:
        return advice.status
    return f"{advice.status}, used up {clock_time(advice.exhausted_at, now)}"


def _note(model: ModelReport, now: datetime) -> tuple[str, Tone]:
    """What stands against the model, apart from windows that the rows show."""
    if model.outage is None:
        return "", "dim"
    left = span(model.outage.until - now) if model.outage.until else NOW
    until = f" for {left}" if left != NOW else ""
    kind = model.outage.kind.replace("_", " ")
    if not model.outage.certain:
        return f"asked last{until}: {kind}", "fair"
    return f"out{until}: {kind}", "bad"


def _noted(row: UsageRow, note: str, tone: Tone) -> UsageRow:
    return UsageRow(row.model, row.window, row.share, row.used, row.resets, note, tone)


def _bare(name: str, model: ModelReport, note: str, tone: Tone) -> UsageRow:
    requests = max((w.used for w in model.windows if w.unit == "requests"), default=0)
    return UsageRow(
        model=name,
        window="no limit known",
        share=None,
        used=counted(requests, "call") if requests else "",
        resets="",
        note=note,
        tone=tone,
    )


def figure(value: float) -> str:
    """A number with its thousands apart, and decimals only where there are any."""
    return f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:,.2f}"


def counted(value: float, noun: str) -> str:
    """So many of something."""
    return f"{figure(value)} {noun if value == 1 else f'{noun}s'}"


def span(left: timedelta) -> str:
    """A time to wait, in its two largest units."""
    seconds = max(0, round(left.total_seconds()))
    parts = list(_parts(seconds))
    return " ".join(parts[:2]) or NOW


def _parts(seconds: int) -> Iterator[str]:
    for name, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, length)
        if count:
            yield f"{count} {name}"


def clock_time(at: datetime, now: datetime) -> str:
    """A moment in this machine's time, with its date where the weekday would not tell."""
    return f"{at.astimezone():%a %H:%M}" if at - now < _WEEK else f"{at.astimezone():%d %b %H:%M}"


def off(providers: Iterable[ProviderReport]) -> list[str]:
    """The ids of those that are off."""
    return [provider.id for provider in providers if not provider.on]
