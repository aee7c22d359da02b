"""How far estimates of tokens are off, learned per model from what its calls really used."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, replace

from potluck.pool import Pool
from potluck.quota.shared_rows import SharedRows
from potluck.quota.windows import Amounts

# A mean over about so many of the latest calls
_MEMORY = 30
# The first calls of a model count against so many imagined ones that were estimated rightly
_PRIOR = 3
# Added to the mean, in mean deviations. What is sent is estimated well, and an estimate above the
# mean leaves it a little air. Answers vary widely: one deviation above the mean, about four in
# five are shorter. Above that, room that a call holds for nothing keeps others waiting; below it,
# a call that takes more than it held can bring a refusal.
_INPUT_MARGIN = 0.5
_OUTPUT_MARGIN = 1.0
# No single call counts for more than so many deviations; a deviation is never taken for less
_OUTLIER = 3.0
_LEAST_DEVIATION = 0.1
_FARTHEST = math.log(1_000)
_INPUT_BOUNDS = (0.25, 4.0)
_OUTPUT_BOUNDS = (0.02, 20.0)

_READ = "SELECT * FROM estimate_corrections"
_WRITE = """
    INSERT INTO estimate_corrections VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (ref) DO UPDATE SET
        calls = excluded.calls, input_mean = excluded.input_mean,
        input_deviation = excluded.input_deviation, output_calls = excluded.output_calls,
        output_mean = excluded.output_mean, output_deviation = excluded.output_deviation,
        noted_at = excluded.noted_at
"""


@dataclass(frozen=True, slots=True)
class _Ratio:
    """A running mean of the logarithm of actual over estimated, and its mean deviation."""

    calls: int = 0
    mean: float = 0.0
    deviation: float = 0.0

    def after(self, estimated: float, actual: float) -> "_Ratio":
        seen = math.log(actual) - math.log(estimated)
        seen = min(max(seen, -_FARTHEST), _FARTHEST)
        if self.calls >= _PRIOR:
            span = _OUTLIER * max(self.deviation, _LEAST_DEVIATION)
            seen = min(max(seen, self.mean - span), self.mean + span)
        weight = 1 / min(self.calls + 1, _MEMORY)
        mean = self.mean + weight * (seen - self.mean)
        # The first call's distance from itself would be 0
        distance = abs(seen - (mean if self.calls else 0.0))
        deviation = self.deviation + weight * (distance - self.deviation)
        return _Ratio(self.calls + 1, mean, deviation)

    def factor(self, margin: float, bounds: tuple[float, float]) -> float:
        trust = self.calls / (self.calls + _PRIOR)
        learned = math.exp(trust * (self.mean + margin * self.deviation))
        return min(max(learned, bounds[0]), bounds[1])


@dataclass(frozen=True, slots=True)
class _Correction:
    input: _Ratio = _Ratio()
    output: _Ratio = _Ratio()


class Estimates(SharedRows[str, _Correction]):
    """Corrects estimates by experience, per model. `note` and `correct` never wait.

    An estimate of 0 stays 0.
    """

    subject = "the correction of estimates"

    def correct(self, ref: str, estimate: Amounts) -> Amounts:
        """The estimate as experience with the model has it."""
        known = self._known.get(ref)
        if known is None:
            return estimate
        return replace(
            estimate,
            input_tokens=estimate.input_tokens * known.input.factor(_INPUT_MARGIN, _INPUT_BOUNDS),
            output_tokens=estimate.output_tokens
            * known.output.factor(_OUTPUT_MARGIN, _OUTPUT_BOUNDS),
        )

    def note(self, ref: str, estimated: Amounts, actual: Amounts) -> None:
        """A call that was estimated so, before correction, used that."""
        before = self._known.get(ref, _Correction())
        after = _Correction(
            _after(before.input, estimated.input_tokens, actual.input_tokens),
            _after(before.output, estimated.output_tokens, actual.output_tokens),
        )
        if after == before:
            return
        self._known[ref] = after
        self._mark(ref)

    async def _read(self, pool: Pool) -> dict[str, _Correction]:
        async with pool.connection() as connection:
            cursor = await connection.execute(_READ)
            rows = await cursor.fetchall()
        return {
            ref: _Correction(_Ratio(*figures[:3]), _Ratio(*figures[3:]))
            for ref, *figures, _ in rows
        }

    async def _write(
        self, pool: Pool, rows: Mapping[str, _Correction], gone: Iterable[str]
    ) -> None:
        del gone
        now = self._clock()
        figures = [
            (ref, *astuple(known.input), *astuple(known.output), now) for ref, known in rows.items()
        ]
        async with pool.connection() as connection, connection.cursor() as cursor:
            await cursor.executemany(_WRITE, figures)

    def _take_over(self, found: dict[str, _Correction]) -> None:
        """Know it of models whose calls others have seen more of."""
        for ref, theirs in found.items():
            own = self._known.get(ref)
            if own is None or own.input.calls < theirs.input.calls:
                self._known[ref] = theirs


def _after(ratio: _Ratio, estimated: float, actual: float) -> _Ratio:
    usable = math.isfinite(estimated) and math.isfinite(actual) and estimated > 0 and actual > 0
    return ratio.after(estimated, actual) if usable else ratio
