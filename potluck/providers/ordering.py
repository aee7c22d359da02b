"""In which order the models are asked for one call."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from potluck.providers.catalog import Catalog, Model
from potluck.providers.link import Link
from potluck.providers.paces import Paces
from potluck.providers.terms import Terms
from potluck.quota.budgets import is_limited
from potluck.quota.limiter import Limiter
from potluck.quota.optimizer import advise
from potluck.quota.windows import Use

# The least share of what a model has left against the time left that still counts as plenty
_PLENTY = 0.7
_SCARCE = 0.25
_SCARCE_CLASS = 2
_FULL = 3
_SPANS = {"day": timedelta(days=1), "month": timedelta(days=30)}

Group = tuple[bool, bool, bool, int]


@dataclass(frozen=True, slots=True)
class Placed:
    """A link in its place; of the links of one `group` none is to be preferred for what it is."""

    link: Link
    group: Group


class Ordering:
    """Preferred model, route, headroom, the optimiser's advice, thread and speed, in this order.

    Each is compared in coarse classes, so that small differences do not change the model.
    """

    def __init__(self, limiter: Limiter, paces: Paces, clock: Callable[[], datetime]) -> None:
        self._limiter = limiter
        self._paces = paces
        self._clock = clock

    def place(
        self, links: Iterable[Link], terms: Terms, catalog: Catalog, *, prefer: str | None = None
    ) -> list[Placed]:
        """The links, best first. `prefer` is a model's ref or a provider's id."""
        now = self._clock()
        last = self._paces.last_of(terms.thread)
        numbers: dict[str, int] = {}
        ranked = []
        for link in links:
            model, deployment = link.backend.model, link.backend.deployment
            uses = self._limiter.known_uses(deployment)
            spare = headroom(uses, now)
            saves = _saves(uses, spare, terms, now)
            group = _group(model, terms, catalog, prefer=prefer, saves=saves)
            rank = (
                group,
                spare,
                model.ref != last,
                _price(model) if terms.task_type == "simple_task" else 0.0,
                self._paces.class_of(deployment),
                numbers.setdefault(model.ref, len(numbers)),
                # Of the keys of one model, the one with the most left
                -_share(uses),
            )
            ranked.append((rank, link))
        ranked.sort(key=lambda pair: pair[0])
        return [Placed(link, rank[0]) for rank, link in ranked]


def _group(
    model: Model, terms: Terms, catalog: Catalog, *, prefer: str | None, saves: bool
) -> Group:
    route = catalog.routes.get(terms.task_type, ())
    preferred = prefer is not None and is_named(model, prefer)
    place = next((i for i, name in enumerate(route) if is_named(model, name)), len(route))
    comes_last = model.provider == catalog.fallback.emergency_provider and place == len(route)
    # Who saves goes behind the others of the route, not behind those outside of it
    return (not preferred, place == len(route), comes_last or saves, place)


def _saves(uses: Sequence[Use], spare: int, terms: Terms, now: datetime) -> bool:
    """Whether the model is to be kept for calls that matter more."""
    if terms.priority == "interactive" and terms.task_type != "simple_task":
        return False
    if terms.task_type == "simple_task" and spare == _SCARCE_CLASS:
        return True
    advice = advise(uses, now)
    return advice.status == "REDUCE_USAGE" and advice.runs_out


def is_named(model: Model, name: str) -> bool:
    """Whether `name` (`provider/model-id`, or a provider's id) means this model."""
    return name in (model.ref, model.provider)


def headroom(uses: Sequence[Use], now: datetime) -> int:
    """0 plenty, 1 less than its share of the time left, 2 nearly nothing, 3 no room right now."""
    worst = 0
    for use in uses:
        if not is_limited(use.window):
            continue
        least = 1.0 if use.window.unit in {"requests", "concurrent"} else 0.0
        if use.left <= 0 or use.left < least:
            if use.free_at is None or use.free_at > now:
                return _FULL
        elif use.window.period in _SPANS:
            worst = max(worst, _pace_class(use, now))
    return worst


def _pace_class(use: Use, now: datetime) -> int:
    left = use.left / use.window.limit
    span = _SPANS[use.window.period]
    time_left = 1.0
    if use.window.reset not in {"rolling", "refill"} and use.resets_at is not None:
        time_left = max(0.0, min(1.0, (use.resets_at - now) / span))
    if time_left <= 0 or left >= _PLENTY * time_left:
        return 0
    return 1 if left >= _SCARCE * time_left else _SCARCE_CLASS


def _share(uses: Sequence[Use]) -> float:
    """The smallest share that is left of any window: tells the keys of one model apart."""
    shares = (use.left / use.window.limit for use in uses if is_limited(use.window))
    return min(shares, default=1.0)


def _price(model: Model) -> float:
    """The list price of a small call: a dear model is a precious one, also where it is free."""
    return model.price.of(1000, 300) if model.price is not None else 0.0
