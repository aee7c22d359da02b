"""How quick each model is to speak, and which one each thread heard last."""

from collections import OrderedDict
from dataclasses import dataclass
from time import monotonic

from potluck.quota.windows import Deployment

# Of a new measurement so much goes into the mean
_WEIGHT = 0.3
# What was not measured for so long is not known any more: a slow model gets another chance
_FORGOTTEN_S = 600.0
# Differences inside one class are not worth a change of model
_CLASSES_S = (3.0, 8.0, 20.0)
_MOST_THREADS = 10_000


@dataclass(slots=True)
class _Pace:
    mean_s: float
    at_s: float


class Paces:
    """An exponentially weighted mean of the time to the first word, in coarse classes."""

    def __init__(self) -> None:
        self._paces: dict[Deployment, _Pace] = {}
        self._last: OrderedDict[str, str] = OrderedDict()

    def note(self, deployment: Deployment, after_s: float) -> None:
        """The model spoke so long after it was asked."""
        now_s = monotonic()
        pace = self._paces.get(deployment)
        if pace is None or now_s - pace.at_s > _FORGOTTEN_S:
            self._paces[deployment] = _Pace(after_s, now_s)
            return
        pace.mean_s += _WEIGHT * (after_s - pace.mean_s)
        pace.at_s = now_s

    def class_of(self, deployment: Deployment) -> int:
        """0 for a quick model and one that is not known; the slower, the more."""
        pace = self._paces.get(deployment)
        if pace is None or monotonic() - pace.at_s > _FORGOTTEN_S:
            return 0
        return sum(pace.mean_s > most_s for most_s in _CLASSES_S)

    def answered(self, thread: str, ref: str) -> None:
        """This model answered in the thread."""
        self._last[thread] = ref
        self._last.move_to_end(thread)
        while len(self._last) > _MOST_THREADS:
            self._last.popitem(last=False)

    def last_of(self, thread: str | None) -> str | None:
        """Who answered in the thread last."""
        return self._last.get(thread) if thread is not None else None
