"""Whether a process grows: its memory and open files over time, and how steeply they rise."""

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

import psutil

SAMPLE_EVERY_S = 2.0
WARM_UP_SHARE = 0.25
"""Of all the time; in it caches fill and every module that is ever used is loaded."""
POINTS = 10


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process takes at one moment."""

    at_s: float
    memory_mb: float
    files: int


@dataclass
class Growth:
    """Samples of one process, taken in a thread while the block runs."""

    find: Callable[[], psutil.Process | None]
    samples: list[Sample] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def warm(self) -> list[Sample]:
        """The samples after the warm-up."""
        if not self.samples:
            return []
        first, last = self.samples[0].at_s, self.samples[-1].at_s
        return [one for one in self.samples if one.at_s >= first + (last - first) * WARM_UP_SHARE]

    @property
    def memory_mb_per_hour(self) -> float:
        """How steeply memory rises after the warm-up."""
        return slope([(one.at_s, one.memory_mb) for one in self.warm]) * 3600

    @property
    def files_per_hour(self) -> float:
        """How steeply the number of open files rises after the warm-up."""
        return slope([(one.at_s, float(one.files)) for one in self.warm]) * 3600

    def course(self) -> list[Sample]:
        """Medians of ten even parts of the time."""
        size = max(1, len(self.samples) // POINTS)
        parts = [self.samples[n : n + size] for n in range(0, len(self.samples), size)]
        return [
            Sample(
                part[0].at_s - self.samples[0].at_s,
                statistics.median(one.memory_mb for one in part),
                round(statistics.median(one.files for one in part)),
            )
            for part in parts
        ]

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_EVERY_S):
            process = self.find()
            if process is None:
                continue
            try:
                memory = process.memory_full_info().uss / 2**20
                self.samples.append(Sample(time.monotonic(), memory, process.num_fds()))
            except psutil.Error:
                # It was killed just now
                continue


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The median of the slopes between all pairs (Theil and Sen): a few outliers change nothing."""
    if len(points) < 2:
        return 0.0
    step = max(1, len(points) // 300)
    some = points[::step]
    slopes = [
        (y2 - y1) / (x2 - x1)
        for number, (x1, y1) in enumerate(some)
        for x2, y2 in some[number + 1 :]
        if x2 > x1
    ]
    return statistics.median(slopes) if slopes else 0.0
