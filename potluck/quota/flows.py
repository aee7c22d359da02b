"""Whether limits flow back evenly, by what the resets in headers show again and again."""

from potluck.quota.lessons import Lesson
from potluck.quota.limits import REFILL, ROLLING
from potluck.quota.windows import StatedLimit

# The reset of another kind of period may come out so by chance, but not for several amounts
_ENOUGH = 3


class Flows:
    """Counts, for each window, the amounts used for which the reset was that of an even refill."""

    def __init__(self) -> None:
        self._shown: dict[str, set[float]] = {}

    def reset(self, lesson: Lesson, stated: StatedLimit) -> str:
        """How the lesson's window ends, after an answer that states its limit."""
        if lesson.reset not in {ROLLING, REFILL} or stated.refills is None:
            return lesson.reset
        if not stated.refills:
            self._shown.pop(lesson.id, None)
            return ROLLING
        if lesson.reset == REFILL:
            return REFILL
        shown = self._shown.setdefault(lesson.id, set())
        shown.add((stated.limit or 0.0) - (stated.remaining or 0.0))
        if len(shown) < _ENOUGH:
            return ROLLING
        del self._shown[lesson.id]
        return REFILL
