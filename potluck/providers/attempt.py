"""One call to one model while it is under way: the room it holds, its times, what it used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import monotonic

from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration

from potluck.errors import ProviderError
from potluck.providers import answers
from potluck.providers.backend import Backend
from potluck.providers.catalog import Model
from potluck.providers.response_headers import SeenResponses
from potluck.providers.terms import Terms
from potluck.quota.calls import CallRecord, Outcome
from potluck.quota.limiter import RefusedError, Reservation
from potluck.quota.windows import Amounts, Deployment


@dataclass(slots=True)
class Attempt:
    """What is known of a call so far; `seen` collects the responses that come for it.

    `keeps_output` when the provider counts the estimate of the answer, however short it is.
    """

    estimate: Amounts
    keeps_output: bool = False
    reservation: Reservation | None = None
    seen: SeenResponses = field(default_factory=SeenResponses)
    used: Amounts = field(default_factory=lambda: Amounts(requests=0))
    begun: bool = False
    sent: bool = False
    first_word_s: float | None = None
    _since: float = field(default_factory=monotonic)
    _read: int = 0

    def send(self, reservation: Reservation) -> None:
        """It is sent now, for the room that it has: its times count from here."""
        self.reservation, self.seen.on_sent = reservation, reservation.sent
        self.sent = True
        self._since = monotonic()

    def note(self, generation: ChatGeneration) -> None:
        """Count what this part of the answer says was used."""
        told = answers.used(generation.message)
        if not told.of("tokens"):
            return
        self.used = replace(
            self.used,
            input_tokens=self.used.input_tokens + told.input_tokens,
            output_tokens=self.used.output_tokens + told.output_tokens,
        )

    def say(self, *, begun: bool) -> None:
        """A part of the answer came; `begun` when something of it is out."""
        if begun and not self.begun:
            self.first_word_s = monotonic() - self._since
        self.begun = begun

    def new_headers(self) -> Mapping[str, str]:
        """The headers of the latest response, if it came since this was asked last.

        With it, the provider is known to have the call.
        """
        count = len(self.seen.responses)
        is_new, self._read = count > self._read, count
        if is_new and self.reservation is not None:
            self.reservation.arrived()
        return self.seen.headers if is_new else {}

    @property
    def counted(self) -> Amounts:
        """What the call counts for: what the provider told, else the estimate."""
        if not self.used.of("tokens"):
            return self.estimate
        counted = replace(self.used, requests=1, credits=self.estimate.credits)
        if self.keeps_output:
            return replace(counted, output_tokens=self.estimate.output_tokens)
        return counted

    async def settle(self, model: Model, *, failed: bool) -> None:
        """Count what was used; a call that failed before anything came of it is given back."""
        if self.reservation is None:
            return
        if failed and not self.begun and not self.used.of("tokens"):
            await self.reservation.release()
        else:
            await self.reservation.commit(with_credits(self.counted, model))

    def record(
        self,
        deployment: Deployment,
        terms: Terms,
        *,
        failure: ProviderError | None,
        answered: bool,
        now: datetime,
    ) -> CallRecord:
        """The call as the usage history keeps it."""
        return CallRecord(
            at=now,
            provider=deployment.provider,
            model=deployment.model,
            key_id=deployment.key_id,
            task_type=terms.task_type,
            priority=terms.priority,
            outcome=_outcome(failure, answered=answered),
            input_tokens=round(self.used.input_tokens),
            output_tokens=round(self.used.output_tokens),
            first_token_s=self.first_word_s,
            duration_s=monotonic() - self._since,
            error=failure.kind.value if failure is not None else None,
            parts=terms.parts,
            tenant=terms.tenant,
        )


def estimate_for(
    backend: Backend, messages: Sequence[BaseMessage], options: Mapping[str, object]
) -> Amounts:
    """About what a call to that model will count for."""
    model, reserved = backend.model, backend.provider.reserves_output
    amounts = answers.estimate(messages, options)
    if reserved is not None and not isinstance(options.get("max_tokens"), int):
        amounts = replace(amounts, output_tokens=model.max_output or reserved)
    return with_credits(amounts, model)


def with_credits(amounts: Amounts, model: Model) -> Amounts:
    """The amounts with the credits that so many tokens of the model take."""
    if model.credits is None:
        return amounts
    taken = model.credits.of(amounts.input_tokens, amounts.output_tokens)
    return replace(amounts, credits=taken)


def _outcome(failure: ProviderError | None, *, answered: bool) -> Outcome:
    if isinstance(failure, RefusedError):
        return "refused"
    if failure is not None:
        return "failed"
    return "answered" if answered else "cancelled"
