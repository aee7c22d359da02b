"""In which order the models are asked for one call."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from potluck.providers.catalog import Catalog, Model
from potluck.providers.link import Link
from potluck.providers.paces import Paces
from potluck.providers.standing import SCARCE, Standing, stand
from potluck.providers.terms import Terms
from potluck.quota.limiter import Limiter
from potluck.quota.windows import Deployment, Use

Group = tuple[bool, bool, bool, bool, int]


@dataclass(frozen=True, slots=True)
class Placed:
    """A link in its place; of the links of one `group` none is to be preferred for what it is."""

    link: Link
    group: Group


class Ordering:
    """Preferred model, route, headroom, the optimiser's advice, thread, load, speed, in this order.

    Each is compared in coarse classes, so that small differences do not change the model.
    """

    def __init__(self, limiter: Limiter, paces: Paces, clock: Callable[[], datetime]) -> None:
        self._limiter = limiter
        self._paces = paces
        self._clock = clock
        self._standings: dict[Deployment, tuple[Sequence[Use], Standing]] = {}

    def place(
        self,
        links: Iterable[Link],
        terms: Terms,
        catalog: Catalog,
        *,
        prefer: str | None = None,
        avoid: str | None = None,
    ) -> list[Placed]:
        """The links, best first. `prefer` and `avoid` are a model's ref or a provider's id."""
        now = self._clock()
        last = self._paces.last_of(terms.thread)
        route = catalog.routes.get(terms.task_type, ())
        places = {name: place for place, name in reversed([*enumerate(route)])}
        outside = len(route)
        emergency = catalog.fallback.emergency_provider
        numbers: dict[str, int] = {}
        ranked = []
        for link in links:
            model, deployment = link.backend.model, link.backend.deployment
            ref = deployment.ref
            standing = self._stand(deployment, now)
            # Outside of the route all are in one place behind it
            place = min(places.get(ref, outside), places.get(model.provider, outside))
            is_outside = place == outside
            group = (
                avoid is not None and is_named(model, avoid),
                prefer is None or not is_named(model, prefer),
                is_outside,
                # Who saves goes behind the others of the route, not behind those outside of it
                (is_outside and model.provider == emergency) or _saves(standing, terms),
                place,
            )
            rank = (
                group,
                standing.spare,
                ref != last,
                _price(model) if terms.task_type == "simple_task" else 0.0,
                standing.busy,
                self._paces.class_of(deployment),
                numbers.setdefault(ref, len(numbers)),
                # Of the keys of one model, the one with the most left
                -standing.left,
            )
            ranked.append((rank, link))
        ranked.sort(key=lambda pair: pair[0])
        return [Placed(link, rank[0]) for rank, link in ranked]

    def _stand(self, deployment: Deployment, now: datetime) -> Standing:
        uses = self._limiter.known_uses(deployment)
        known = self._standings.get(deployment)
        if known is not None and known[0] is uses and now < known[1].until:
            return known[1]
        standing = stand(uses, now)
        self._standings[deployment] = uses, standing
        return standing


def _saves(standing: Standing, terms: Terms) -> bool:
    """Whether the model is to be kept for calls that matter more."""
    if terms.priority == "interactive" and terms.task_type != "simple_task":
        return False
    is_scarce = terms.task_type == "simple_task" and standing.spare == SCARCE
    return is_scarce or standing.runs_out


def is_named(model: Model, name: str) -> bool:
    """Whether `name` (`provider/model-id`, or a provider's id) means this model."""
    return name in (model.ref, model.provider)


def _price(model: Model) -> float:
    """The list price of a small call: a dear model is a precious one, also where it is free."""
    return model.price.of(1000, 300) if model.price is not None else 0.0
