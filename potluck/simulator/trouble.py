"""What befalls answers: faults, delays and cuts, by chance and by schedule."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from potluck.simulator.reply import CutKind, Delay, Fault, Reply
from potluck.simulator.request import ModelRequest

# how many standard deviations the 95th percentile of a normal distribution is from its median
_P95 = 1.6449


@dataclass(frozen=True, slots=True)
class Spread:
    """A duration that varies: log-normal, by its median and 95th percentile."""

    median_s: float
    p95_s: float

    def __post_init__(self) -> None:
        if not 0 < self.median_s <= self.p95_s:
            raise ValueError("needs 0 < median_s <= p95_s")

    def draw(self, chance: random.Random) -> float:
        """One duration, in seconds."""
        sigma = math.log(self.p95_s / self.median_s) / _P95
        return chance.lognormvariate(math.log(self.median_s), sigma)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a trouble is on, in seconds since the simulator's start.

    From `after_s` until `until_s`; with `every_s`, only the first `lasting_s` of each such span.
    """

    after_s: float = 0.0
    until_s: float | None = None
    every_s: float | None = None
    lasting_s: float = 0.0

    def ends_in(self, elapsed_s: float) -> float | None:
        """Seconds until it ends: 0 when it is not on, None when it never ends."""
        if elapsed_s < self.after_s or (self.until_s is not None and elapsed_s >= self.until_s):
            return 0.0
        ends = [] if self.until_s is None else [self.until_s - elapsed_s]
        if self.every_s is not None:
            phase = (elapsed_s - self.after_s) % self.every_s
            ends.append(max(0.0, self.lasting_s - phase))
        return min(ends, default=None)


@dataclass(slots=True, kw_only=True)
class Trouble:
    """What happens to the answers of the requests that fit, while the schedule is on.

    `chance` is the share of those answers. A fault without a wait tells the end of the schedule.
    `cut_after` may be a range of which one number is drawn. `empty` answers with nothing;
    `bad_tool_json` spoils the arguments of tool calls.
    """

    when: Callable[[ModelRequest], bool]
    schedule: Schedule = field(default_factory=Schedule)
    chance: float = 1.0
    fault: Fault | None = None
    first_byte: Spread | float | None = None
    per_chunk: Spread | float | None = None
    cut_after: int | tuple[int, int] | None = None
    cut: CutKind = "drop"
    empty: bool = False
    bad_tool_json: bool = False
    times: int | None = None
    used: int = 0

    def befall(
        self, reply: Reply, request: ModelRequest, elapsed_s: float, chance: random.Random
    ) -> Reply:
        """The reply as it is after this."""
        ends_in_s = self.schedule.ends_in(elapsed_s)
        spent = self.times is not None and self.used >= self.times
        if spent or ends_in_s == 0.0 or not self.when(request) or chance.random() >= self.chance:
            return reply
        self.used += 1
        reply = self._spoil(reply)
        reply = replace(reply, delay=self._delay(reply.delay, chance))
        if self.cut_after is not None:
            reply = replace(reply, cut_after=_drawn_count(self.cut_after, chance), cut=self.cut)
        return reply if self.fault is None else replace(reply, fault=_told(self.fault, ends_in_s))

    def _spoil(self, reply: Reply) -> Reply:
        if self.empty:
            return Reply(usage=reply.usage, delay=reply.delay)
        if self.bad_tool_json:
            calls = tuple(replace(call, raw_args=call.args_text[:-1]) for call in reply.tool_calls)
            return replace(reply, tool_calls=calls)
        return reply

    def _delay(self, delay: Delay, chance: random.Random) -> Delay:
        return Delay(
            delay.first_byte_s + _drawn_s(self.first_byte, chance),
            delay.per_chunk_s + _drawn_s(self.per_chunk, chance),
        )


def _drawn_s(spread: Spread | float | None, chance: random.Random) -> float:
    return spread.draw(chance) if isinstance(spread, Spread) else spread or 0.0


def _drawn_count(count: int | tuple[int, int], chance: random.Random) -> int:
    return count if isinstance(count, int) else chance.randint(*count)


def _told(fault: Fault, ends_in_s: float | None) -> Fault:
    if fault.retry_after_s is not None or ends_in_s is None:
        return fault
    return replace(fault, retry_after_s=ends_in_s)
