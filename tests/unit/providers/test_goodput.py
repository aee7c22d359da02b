"""Asked for more than they can give, models give all they can: in virtual time, strict tiers."""

import asyncio
import selectors
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import SecretStr

from potluck.errors import ChainError
from potluck.providers.catalog import Catalog, Limits, Model, Provider, ProviderStatus
from potluck.providers.catalog_budgets import rules_of
from potluck.providers.chain import Call, Chain
from potluck.quota.budgets import Budgets
from potluck.quota.learned import Learned
from potluck.quota.ledger import Claim, WindowFullError
from potluck.quota.limiter import QuotaLimiter
from potluck.quota.memory_ledger import MemoryLedger
from potluck.quota.windows import Amounts, Window

START = datetime(2026, 11, 21, 12, tzinfo=UTC)
MINUTE, AT_ONCE, ANSWER_S, RUN_S = 5, 1, 6.0, 120.0
# Two minutes' worth of each of the two that count minutes, and one call after the other
MOST = 2 * 2 * MINUTE + RUN_S / ANSWER_S
CALLS = 72


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes at once when all of its tasks wait."""

    def __init__(self) -> None:
        self.now_s = 0.0
        super().__init__(_VirtualSelector(self))

    def time(self) -> float:
        return self.now_s


class _VirtualSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        found = super().select(0)
        if not found:
            self._loop.now_s += timeout or 0.0
        return found


class RefusedByProviderError(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.status_code = 429
        self.body = {"error": {"message": message}}


class Tier(BaseChatModel):
    """Refuses what its windows have no room for, to the moment."""

    windows: Any
    ledger: Any
    log: Any
    answer_s: float

    @property
    def _llm_type(self) -> str:
        return "tier"

    def _generate(self, *_args: Any, **_kwargs: Any) -> ChatResult:
        raise AssertionError("the synchronous method was called")

    async def _agenerate(
        self,
        messages: list[BaseMessage],  # noqa: ARG002 # the base class's
        stop: list[str] | None = None,  # noqa: ARG002 # the base class's
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 # the base class's
        **kwargs: Any,  # noqa: ARG002 # the base class's
    ) -> ChatResult:
        await asyncio.sleep(0.02)
        now_s = asyncio.get_running_loop().time()
        try:
            held = await self.ledger.reserve(Claim(self.windows[0].id, self.windows, Amounts()))
        except WindowFullError as error:
            self.log.append((now_s, self.windows[0].id, "refused"))
            at_once = error.window.unit == "concurrent"
            raise RefusedByProviderError(
                "Too many concurrent requests" if at_once else "Rate limit reached for requests"
            ) from error
        self.log.append((now_s, self.windows[0].id, "admitted"))
        await asyncio.sleep(self.answer_s)
        await self.ledger.settle(held, Amounts())
        message = AIMessage("Yes.", response_metadata={"finish_reason": "stop"})
        return ChatResult(generations=[ChatGeneration(message=message)])


class Contest:
    """`one` takes one call at a time, `a` and `b` so many in any minute."""

    def __init__(self, *, known: bool) -> None:
        self.log: list[tuple[float, str, str]] = []
        self.tries = 0
        limits = {
            "a": Limits(requests_per_minute=MINUTE),
            "b": Limits(requests_per_minute=MINUTE),
            "one": Limits(concurrent_requests=AT_ONCE),
        }
        providers = {
            name: Provider(
                name, "groq", None, (), (Model(name, "m", limits=one if known else Limits()),)
            )
            for name, one in limits.items()
        }
        catalog = Catalog(providers, {})
        limiter = QuotaLimiter(
            Budgets(rules_of(catalog)),
            MemoryLedger(self.clock),
            clock=self.clock,
            learned=Learned(clock=self.clock),
        )
        keys = (SecretStr("made-up"),)
        statuses = [
            ProviderStatus(one, on=True, reason="", keys=keys) for one in providers.values()
        ]
        self.chain = Chain(catalog, statuses, limiter, clock=self.clock)
        theirs = MemoryLedger(self.clock)
        for link in self.chain._links:
            name = link.backend.provider.id
            window = Window(name, "requests", "minute", MINUTE)
            if name == "one":
                window = Window(name, "concurrent", "call", AT_ONCE)
            link.backend._built = Tier(
                windows=(window,),
                ledger=theirs,
                log=self.log,
                answer_s=ANSWER_S if name == "one" else 1.0,
            )

    def clock(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time())

    async def client(self, number: int) -> None:
        """Asks again when it is told to, as a parked run does."""
        while True:
            self.tries += 1
            call = Call(priority="background" if number % 2 else "interactive")
            try:
                await self.chain.runnable(call).ainvoke("Is it so?")
            except ChainError as error:
                back_at = error.back_at if error.is_quota else None
                if back_at is None:
                    raise
                await asyncio.sleep(max(0.0, (back_at - self.clock()).total_seconds()))
            else:
                return

    async def hold(self, *, calls: int, bursts: int) -> None:
        async with asyncio.TaskGroup() as group:
            for burst in range(bursts):
                for number in range(calls // bursts):
                    group.create_task(self.client(number))
                left_s = RUN_S * (burst + 1) / bursts - asyncio.get_running_loop().time()
                await asyncio.sleep(max(0.0, left_s))

    def count(self, what: str) -> Counter[str]:
        return Counter(name for at_s, name, did in self.log if did == what and at_s < RUN_S)


def hold(*, known: bool, calls: int, bursts: int) -> Contest:
    """A contest, held in virtual time."""

    async def held() -> Contest:
        contest = Contest(known=known)
        await contest.hold(calls=calls, bursts=bursts)
        return contest

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(held())


@pytest.mark.parametrize("bursts", [CALLS, 6], ids=["steady", "bursts"])
def test_nearly_all_that_there_is_is_used_and_nothing_is_asked_in_vain(bursts: int) -> None:
    contest = hold(known=True, calls=CALLS, bursts=bursts)
    assert sum(contest.count("admitted").values()) >= 0.95 * MOST
    assert all(did == "admitted" for _, _, did in contest.log)
    assert len(contest.log) == CALLS
    # Whoever is told when to come back seldom comes in vain
    assert contest.tries < 3 * CALLS


@pytest.mark.parametrize("bursts", [CALLS, 1], ids=["steady", "all at once"])
def test_limits_that_nobody_knows_cost_a_refusal_each(bursts: int) -> None:
    contest = hold(known=False, calls=CALLS, bursts=bursts)
    refused = contest.count("refused")
    assert refused.keys() <= {"a", "b", "one"}
    assert max(refused.values()) == 1
    assert sum(contest.count("admitted").values()) >= 0.9 * MOST
