"""What providers' answers taught of their limits: in force at once, kept over restarts."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import psycopg

from potluck.pool import Pool
from potluck.quota.budgets import NO_LIMIT
from potluck.quota.flows import Flows
from potluck.quota.lesson_rows import read_lessons, write_lessons
from potluck.quota.lessons import Lesson, Refusal, grown, guess, last_end, revise
from potluck.quota.limits import REFILL
from potluck.quota.places import Place, counts_calls, find_use, place_of
from potluck.quota.shared_rows import SharedRows
from potluck.quota.windows import Deployment, StatedLimit, Use, Window

# A known limit is not lowered by one refusal without a reason, but by two so soon after another
_SOON = timedelta(hours=1)
# How often others' lessons on an account are read, and for how long that may take
_CATCH_UP_S = 1.0
# How often a lesson that only says the same again is written
_REWRITE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer to `apply`, and for how long and for what it is right."""

    question: tuple[Sequence[Window], date | None, frozenset[str], int]
    until: datetime | None
    result: tuple[Window, ...]

    def is_for(
        self, question: tuple[Sequence[Window], date | None, frozenset[str], int], now: datetime
    ) -> bool:
        return self.question == question and (self.until is None or now < self.until)


class Learned(SharedRows[str, Lesson]):
    """The lessons of all accounts, by their ids. `note` and `apply` never wait."""

    subject = "what was learned of limits"

    def __init__(self, *, clock: Callable[[], datetime]) -> None:
        super().__init__(clock=clock)
        self._answers: dict[Deployment, _Answer] = {}
        self.version = 0
        self._flows = Flows()
        self._refused_at: dict[str, datetime] = {}
        self._written_at: dict[str, datetime] = {}
        self._caught_up_s: dict[str, float] = {}

    def lags(self, account: str) -> bool:
        """Whether others' lessons on the account were not read for a while."""
        is_shared = self._pool is not None
        return is_shared and self._caught_up_s.get(account, -1e9) + _CATCH_UP_S < time.monotonic()

    async def catch_up(self, account: str) -> None:
        """Take over what other replicas have learned of the account just now; never fails."""
        if self._pool is None or not self.lags(account):
            return
        self._caught_up_s[account] = time.monotonic()
        with contextlib.suppress(psycopg.Error, TimeoutError, OSError):
            async with asyncio.timeout(_CATCH_UP_S):
                self._believe(await read_lessons(self._pool, account))

    def last_end(self, account: str) -> datetime | None:
        """When limits of its minutes ended that are not believed any more; None: there are none."""
        return last_end(self._known.values(), account, self._clock())

    def lessons(self) -> list[Lesson]:
        """Everything that is believed now, for people to see."""
        now = self._clock()
        return [lesson for lesson in self._known.values() if lesson.holds(now)]

    def note(
        self, deployment: Deployment, stated: Sequence[StatedLimit], *, uses: Sequence[Use]
    ) -> list[tuple[Window, float]]:
        """Learn from an answer to the deployment, whose windows are used as `uses` says.

        `uses` counts the call that was answered. Gives the windows of which more is used than
        that, and how much at least.
        """
        now = self._clock()
        news: list[tuple[Window, float]] = []
        for one in stated:
            use = find_use(one, uses)
            place = place_of(deployment, one, use)
            if one.limit is None and one.remaining is None:
                self._guess(one, use, uses, place, now)
                continue
            lesson = revise(self._known.get(place.id), one, place, now)
            if lesson is not None:
                self._keep(replace(lesson, reset=self._flows.reset(lesson, one)), now)
            used = self._used(one, use, place)
            if used is not None and (
                use is None or use.window is not used[0] or use.used < used[1]
            ):
                news.append(used)
        return news

    def apply(
        self,
        deployment: Deployment,
        windows: Sequence[Window],
        *,
        checked_on: date | None,
        capped_by_user: frozenset[str],
    ) -> tuple[Window, ...]:
        """The catalog's windows with the limits that hold, and those that it does not have.

        Lessons from before `checked_on` are forgotten. The windows of `capped_by_user` are never
        raised. The same tuple while nothing changes.
        """
        known = self._answers.get(deployment)
        now = self._clock()
        question = (windows, checked_on, capped_by_user, self.version)
        if known is not None and known.is_for(question, now):
            return known.result
        self._grow(deployment, now)
        lessons = {
            lesson.id: lesson
            for lesson in self._lessons_of(deployment, checked_on, now)
            if lesson.holds(now)
        }
        found = [
            lessons.pop(window.id).applied(window, capped=window.id in capped_by_user)
            if window.id in lessons
            else window
            for window in windows
        ]
        ends = [
            lesson.expires_at
            for lesson in self._known.values()
            if lesson.account == deployment.account and lesson.expires_at and lesson.holds(now)
        ]
        found.extend(lesson.window() for lesson in lessons.values())
        result = tuple(found)
        if known is not None and known.result == result:
            result = known.result
        question = (windows, checked_on, capped_by_user, self.version)
        self._answers[deployment] = _Answer(question, min(ends, default=None), result)
        return result

    def _lessons_of(
        self, deployment: Deployment, checked_on: date | None, now: datetime
    ) -> list[Lesson]:
        own = [
            lesson
            for lesson in self._known.values()
            if lesson.account == deployment.account and lesson.model in (None, deployment.model)
        ]
        if checked_on is None:
            return own
        # A date that lies ahead, elsewhere or by mistake, must not make forget what is told today
        latest = min(checked_on, now.date())
        for lesson in own:
            if lesson.confirmed_at.date() < latest:
                self._forget(lesson)
        return [lesson for lesson in own if lesson.id in self._known]

    def _grow(self, deployment: Deployment, now: datetime) -> None:
        """Guesses that nothing spoke against for long enough make room for larger ones."""
        for lesson in list(self._known.values()):
            if lesson.account == deployment.account and not lesson.holds(now):
                larger = grown(lesson, now)
                if larger is not None:
                    self._keep(larger, now)

    def _guess(
        self,
        stated: StatedLimit,
        use: Use | None,
        uses: Sequence[Use],
        place: Place,
        now: datetime,
    ) -> None:
        if use is None:
            return
        is_known = use.window.limit < NO_LIMIT
        before = self._refused_at.get(place.id)
        self._refused_at[place.id] = now
        if is_known and (before is None or now - before > _SOON):
            return
        calls = next((one.used for one in uses if counts_calls(one, use)), 0.0)
        refusal = Refusal(use, calls)
        lesson = guess(self._known.get(place.id), stated, refusal, place, now)
        if lesson is not None:
            self._keep(lesson, now)

    def _used(
        self, stated: StatedLimit, use: Use | None, place: Place
    ) -> tuple[Window, float] | None:
        """The window and how much of it is used, as the provider has it."""
        if stated.remaining is None:
            return None
        lesson = self._known.get(place.id)
        window = use.window if use is not None else lesson.window() if lesson is not None else None
        if window is None:
            return None
        whole = stated.limit if stated.limit is not None else window.stated or window.limit
        used = whole - stated.remaining
        if not 0 < used <= whole < NO_LIMIT:
            return None
        if use is not None and lesson is not None and lesson.refills_now(window):
            # It is counted anew: what is under way is in the old count alone
            return replace(window, reset=lesson.reset, flows=whole), min(whole, max(used, use.used))
        if window.reset == REFILL and window.limit >= NO_LIMIT:
            # By a limit without end it would have flowed back before it is counted
            return replace(window, limit=whole, stated=whole, flows=whole), used
        return window, used

    def _keep(self, lesson: Lesson, now: datetime) -> None:
        before = self._known.get(lesson.id)
        self._known[lesson.id] = lesson
        is_new = before is None or not before.holds(now) or before.says != lesson.says
        if is_new:
            self.version += 1
        written = self._written_at.get(lesson.id)
        if is_new or written is None or now - written > _REWRITE:
            self._written_at[lesson.id] = now
            self._mark(lesson.id)

    def _forget(self, lesson: Lesson) -> None:
        self._drop(lesson.id)
        self.version += 1

    async def _read(self, pool: Pool) -> dict[str, Lesson]:
        return {lesson.id: lesson for lesson in await read_lessons(pool)}

    async def _write(self, pool: Pool, rows: Mapping[str, Lesson], gone: Iterable[str]) -> None:
        await write_lessons(pool, rows.values(), gone)

    def _take_over(self, found: dict[str, Lesson]) -> None:
        gone = self._known.keys() - found.keys() - self._changed
        for name in gone:
            del self._known[name]
        self.version += bool(gone)
        self._believe(found.values())

    def _believe(self, lessons: Iterable[Lesson]) -> None:
        """Believe what others were told later than we."""
        for lesson in lessons:
            own = self._known.get(lesson.id)
            if lesson.id in self._gone or (own and own.confirmed_at >= lesson.confirmed_at):
                continue
            self._known[lesson.id] = lesson
            self.version += own is None or own.says != lesson.says
