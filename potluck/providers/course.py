"""One call on its way down the chain: its time, its failures, and who has been asked."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from potluck.errors import QUOTA_KINDS, ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.backend import Backend
from potluck.providers.catalog import Model
from potluck.providers.outages import Outages
from potluck.providers.paces import Paces
from potluck.providers.terms import Terms
from potluck.quota.limiter import RefusedError
from potluck.quota.windows import Deployment


@dataclass(frozen=True, slots=True)
class Wait:
    """A call waits for one of these models to have room, until then at most."""

    refs: tuple[str, ...]
    until: datetime


@dataclass(slots=True)
class Course:
    """What the members of one chain share while they answer a call.

    `known` are the failures that left models out before the call began. A chain answers one call
    at a time; the next begins when its first member is asked again.
    """

    timeout_s: float
    outages: Outages
    clock: Callable[[], datetime]
    terms: Terms = field(default_factory=Terms)
    paces: Paces = field(default_factory=Paces)
    hedge_after_s: float | None = None
    known: tuple[ProviderError, ...] = ()
    on_failover: Callable[[ProviderError], None] | None = None
    on_wait: Callable[[Wait], None] | None = None
    met: list[ProviderError] = field(default_factory=list)
    refused: dict[Deployment, RefusedError] = field(default_factory=dict)
    passed_by: list[ProviderError] = field(default_factory=list)
    """Why models were not asked that went out after the call had begun, as other calls found."""
    waited_s: float = 0.0
    _ends_at: float = 0.0

    def begin(self) -> None:
        """A new call: nothing met, all of its time left."""
        self.met.clear()
        self.refused.clear()
        self.passed_by.clear()
        self.waited_s = 0.0
        self._ends_at = asyncio.get_running_loop().time() + self.timeout_s

    def attempts(self) -> tuple[ProviderError, ...]:
        """Every failure so far, each once, and what was known to be out before or had no room."""
        found = (*self.known, *self.met, *self.passed_by, *self.refused.values())
        return tuple({str(error): error for error in found}.values())

    def refusing(self) -> set[str]:
        """The providers that found the request itself wrong."""
        return {error.provider for error in self.met if error.kind is ErrorKind.CALLER}

    def was_only_empty(self) -> bool:
        """Whether models were asked, and all that is wrong is that they said nothing."""
        return bool(self.met) and all(error.kind is ErrorKind.EMPTY for error in self.met)

    def left_s(self) -> float:
        """The time that is left of the call; 0 when it is over."""
        return max(0.0, self._ends_at - asyncio.get_running_loop().time())

    def overtime(self, model: Model) -> ProviderError:
        """The error for a model that there was no time to ask; told once."""
        message = f"the {self.timeout_s:g} s for the whole call are over"
        fault = ProviderFault(ErrorKind.TIMEOUT, ErrorScope.REQUEST, message)
        error = ProviderError(model.provider, model.id, fault)
        if all(met.fault != fault for met in self.met):
            self.met.append(error)
        return error

    def refuse(self, deployment: Deployment, error: RefusedError) -> None:
        """A model has no room for the call by our own count, which is no failure of the model."""
        self.refused[deployment] = error

    def note(self, error: ProviderError) -> None:
        """A model failed: keep it, and tell who wants to know."""
        self.met.append(error)
        if self.on_failover is not None:
            self.on_failover(error)


@dataclass(frozen=True, slots=True)
class CourseWatch:
    """Tells the course and the outages what one link meets, and the link how long it has.

    `is_last` when no other model is left to be asked; `again` when the link answered half of the
    call before, which says more than that it failed then; `begun` is when it is asked.
    """

    course: Course
    backend: Backend
    is_last: bool = False
    again: bool = False
    begun: datetime | None = None

    def check(self) -> None:
        """Raise ProviderError when the call would only fail, or when there is no time for it."""
        model, course = self.backend.model, self.course
        refused = (e for e in course.met if e.kind is ErrorKind.CALLER)
        for error in refused:
            # Its other models would be told the same.
            if error.provider == model.provider:
                raise error.copy()
        if not course.left_s():
            raise course.overtime(model)
        outage = course.outages.find(model.provider, model.id, account=self.backend.account)
        met_here = outage is not None and any(e.fault is outage.error.fault for e in course.met)
        if outage is None or not met_here or self.again:
            outage = course.outages.enter(
                model.provider, model.id, account=self.backend.account, by=self
            )
            if outage is None or not outage.certain:
                return
        if not met_here:
            course.passed_by.append(outage.error)
        raise outage.error.copy()

    def patience_s(self, longest_s: float) -> float:
        """At most half of the time left, so that a model that hangs leaves some for the others."""
        left_s = self.course.left_s()
        return min(longest_s, left_s if self.is_last else left_s / 2)

    def spoke(self, after_s: float) -> None:
        """Remember how quick the model is."""
        self.course.paces.note(self.backend.deployment, after_s)

    def answered(self) -> None:
        """End what was held against the model; its thread's next call is best answered by it."""
        model = self.backend.model
        self.course.outages.forget(
            model.provider, model.id, account=self.backend.account, begun=self.begun
        )
        if self.course.terms.thread is not None:
            self.course.paces.answered(self.course.terms.thread, model.ref)

    def failed(self, error: ProviderError) -> None:
        """Remember it for the next calls; whether there is room, the ledger knows best."""
        if isinstance(error, RefusedError):
            self.left()
            self.course.refuse(self.backend.deployment, error)
            return
        self.course.refused.pop(self.backend.deployment, None)
        model, account = self.backend.model, self.backend.account
        self.course.outages.note(error, account=account, by=self)
        if error.kind in QUOTA_KINDS and error.fault.until is None:
            # Nobody told when it is back; the outage knows when it is asked again.
            outage = self.course.outages.find(model.provider, model.id, account=account)
            error = outage.error.copy() if outage and outage.error.kind is error.kind else error
        self.course.note(error)

    def left(self) -> None:
        """Nothing is known of the model."""
        model = self.backend.model
        self.course.outages.leave(model.provider, model.id, account=self.backend.account, by=self)
