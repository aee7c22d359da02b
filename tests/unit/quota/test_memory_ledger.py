"""The ledger in memory against a plain list of all uses, and its promises one by one."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from potluck.quota.ledger import Claim, Held, WindowFullError
from potluck.quota.memory_ledger import MemoryLedger
from potluck.quota.windows import Amounts, Use, Window

START = datetime(2026, 11, 1, 6, 59, 30, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
LA = "America/Los_Angeles"
WINDOWS = (
    Window("rpm", "requests", "minute", 3),
    Window("tpm", "tokens", "minute", 900, guard_s=0.5),
    Window("rph", "requests", "hour", 5),
    Window("rpd", "requests", "day", 6),
    Window("itd", "input_tokens", "day", 2000, LA),
    Window("cpm", "credits", "month", 4, LA),
    Window("rolling month", "credits", "month", 6),
    Window("calendar minute", "output_tokens", "minute", 500, "UTC"),
    Window("refill", "tokens", "minute", 600, "refill"),
    Window("calls", "concurrent", "call", 3),
)
SPANS = {"minute": 60, "hour": 3600, "day": 86_400, "month": 30 * 86_400}
SLOTS = {"day": 60, "month": 1800}


@dataclass
class FakeClock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ledger(clock: FakeClock) -> MemoryLedger:
    return MemoryLedger(clock)


def claim(*windows: Window, **amounts: float) -> Claim:
    return Claim("groq:1", windows, Amounts(**amounts))


async def refused(ledger: MemoryLedger, asked: Claim) -> WindowFullError:
    with pytest.raises(WindowFullError) as raised:
        await ledger.reserve(asked)
    return raised.value


async def used(ledger: MemoryLedger, window: Window) -> float:
    (use,) = await ledger.uses([window])
    return use.used


async def test_all_windows_are_taken_or_none(ledger: MemoryLedger) -> None:
    wide, narrow = Window("a", "requests", "minute", 9), Window("b", "requests", "day", 1)
    await ledger.reserve(claim(wide, narrow))

    error = await refused(ledger, claim(wide, narrow))

    assert error.window == narrow
    assert [use.used for use in error.uses] == [1, 1]
    assert await used(ledger, wide) == 1


async def test_the_window_that_has_room_last_is_named(
    ledger: MemoryLedger, clock: FakeClock
) -> None:
    minute, hour = Window("m", "requests", "minute", 1), Window("h", "requests", "hour", 1)
    await ledger.reserve(claim(minute, hour))

    error = await refused(ledger, claim(minute, hour))

    assert (error.window, error.until) == (hour, clock.now + timedelta(hours=1))


async def test_more_than_the_whole_window_never_has_room(ledger: MemoryLedger) -> None:
    error = await refused(ledger, claim(Window("t", "tokens", "minute", 99), input_tokens=100))
    assert error.until is None


async def test_the_real_amount_takes_the_place_of_the_estimate_where_it_was_admitted(
    ledger: MemoryLedger, clock: FakeClock
) -> None:
    window = Window("t", "tokens", "minute", 1000)
    held = await ledger.reserve(claim(window, input_tokens=600))
    clock.move(30)
    await ledger.settle(held, Amounts(input_tokens=200, output_tokens=50))
    await ledger.settle(held, Amounts(input_tokens=900))

    assert await used(ledger, window) == 250
    clock.move(30)
    assert await used(ledger, window) == 0


async def test_a_forgotten_reservation_is_given_back_and_still_settles(
    ledger: MemoryLedger, clock: FakeClock
) -> None:
    window, calls = Window("t", "tokens", "day", 1000), Window("c", "concurrent", "call", 1)
    held = await ledger.reserve(claim(window, calls, input_tokens=600))
    clock.move(900)
    assert [use.used for use in await ledger.uses([window, calls])] == [0, 0]

    await ledger.settle(held, Amounts(input_tokens=400))

    assert [use.used for use in await ledger.uses([window, calls])] == [400, 0]


async def test_what_the_provider_knows_is_counted_once(ledger: MemoryLedger) -> None:
    window = Window("r", "requests", "day", 10, "UTC")
    await ledger.reserve(claim(window))
    for told in (4, 4, 3):
        await ledger.note_use("groq:1", window, told)
    assert await used(ledger, window) == 4


async def test_a_clock_that_goes_back_frees_nothing_and_freezes_nothing(
    ledger: MemoryLedger, clock: FakeClock
) -> None:
    window = Window("r", "requests", "minute", 1)
    await ledger.reserve(claim(window))
    clock.move(-7200)

    error = await refused(ledger, claim(window))

    assert error.until == clock.now + timedelta(minutes=1)
    clock.move(60)
    await ledger.reserve(claim(window))


async def test_a_refilling_window_flows_back_evenly(ledger: MemoryLedger, clock: FakeClock) -> None:
    window = Window("t", "tokens", "minute", 600, "refill")
    await ledger.reserve(claim(window, input_tokens=600))
    clock.move(6)
    error = await refused(ledger, claim(window, input_tokens=100))
    assert error.until == clock.now + timedelta(seconds=4)
    clock.move(4)
    await ledger.reserve(claim(window, input_tokens=100))


async def test_a_limit_that_is_lowered_is_waited_for_no_longer_than_a_period(
    ledger: MemoryLedger, clock: FakeClock
) -> None:
    wide = Window("t", "tokens", "minute", 8000, "refill")
    await ledger.reserve(claim(wide, input_tokens=7500))
    clock.move(3)
    narrow = replace(wide, limit=80)
    error = await refused(ledger, claim(narrow, input_tokens=50))
    assert error.until is not None
    assert timedelta(seconds=37) < error.until - clock.now < timedelta(seconds=38)
    assert await used(ledger, narrow) == 80
    clock.move(60)
    assert await used(ledger, narrow) == 0


async def test_a_lower_ceiling_changes_nothing_of_what_is_used(
    ledger: MemoryLedger, clock: FakeClock
) -> None:
    whole = Window("t", "requests", "day", 1000, "refill", flows=1000)
    for _ in range(900):
        await ledger.reserve(claim(whole))
    reserved = replace(whole, limit=800)
    await refused(ledger, claim(reserved))
    clock.move(864)
    assert await used(ledger, whole) == pytest.approx(890)


async def test_of_a_part_of_a_limit_no_more_is_used_than_the_part(ledger: MemoryLedger) -> None:
    window = Window("t", "tokens", "minute", 80, "refill")
    await ledger.note_use("groq:1", window, 7500)
    assert await used(ledger, window) == 80


async def test_nonsense_is_refused_when_asked_for_and_counts_as_held_when_settled(
    ledger: MemoryLedger,
) -> None:
    window = Window("t", "tokens", "minute", 600)
    with pytest.raises(ValueError, match="0 or more"):
        await ledger.reserve(claim(window, input_tokens=-1))
    held = await ledger.reserve(claim(window, input_tokens=100))
    await ledger.settle(held, Amounts(input_tokens=float("nan")))
    assert await used(ledger, window) == 100


@dataclass
class Entry:
    window: Window
    at: datetime
    amount: float


@dataclass
class PlainModel:
    """Every use ever, summed up anew at each question."""

    entries: list[Entry] = field(default_factory=list)
    held: dict[str, list[Entry]] = field(default_factory=dict)

    def used(self, window: Window, now: datetime) -> float:
        mine = [entry for entry in self.entries if entry.window == window]
        if window.unit == "concurrent":
            return len([e for held in self.held.values() for e in held if e.window == window])
        return sum(entry.amount for entry in mine if counts(entry, now))

    def move(self, before: datetime, now: datetime) -> None:
        self.entries = [entry for entry in self.entries if counts(entry, before)]
        for entry in self.entries:
            entry.at = min(entry.at, now)

    def take(self, held: Held, now: datetime) -> None:
        windows = held.claim.windows
        entries = [Entry(w, now, held.claim.amounts.of(w.unit)) for w in windows]
        self.entries += [entry for entry in entries if entry.window.unit != "concurrent"]
        self.held[held.id] = entries

    def settle(self, held: Held, used: Amounts | None) -> None:
        for entry in self.held.pop(held.id, []):
            entry.amount = used.of(entry.window.unit) if used else 0


def counts(entry: Entry, now: datetime) -> bool:
    window = entry.window
    if window.reset == "rolling":
        at = entry.at.timestamp()
        if slot := SLOTS.get(window.period):
            at = at // slot * slot + slot
        return datetime.fromtimestamp(at + SPANS[window.period] + window.guard_s, UTC) > now
    zone = ZoneInfo(window.reset)
    form = {"minute": "%Y%m%d%H%M", "day": "%Y%m%d", "month": "%Y%m"}[window.period]
    return entry.at.astimezone(zone).strftime(form) == now.astimezone(zone).strftime(form)


AMOUNTS = st.builds(
    Amounts,
    input_tokens=st.sampled_from([0, 100, 350, 700]),
    output_tokens=st.sampled_from([0, 50, 200]),
    credits=st.sampled_from([0, 0.5, 1.25]),
)
COUNTED = [window for window in WINDOWS if window.reset != "refill"]
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("reserve"),
            st.sets(st.sampled_from(COUNTED), min_size=1, max_size=5),
            AMOUNTS,
        ),
        st.tuples(st.just("settle"), st.integers(0, 5), st.none() | AMOUNTS),
        st.tuples(
            st.just("note"), st.sampled_from(COUNTED[:-1]), st.sampled_from([0.5, 2, 3, 400])
        ),
        st.tuples(
            st.just("move"),
            st.sampled_from([0.25, 20, 59.5, 60, 700, 3600, 86_400, 2_600_000, -0.5, -90, -4000]),
            st.none(),
        ),
    ),
    max_size=25,
)


@settings(max_examples=120, deadline=None)
@given(steps=STEPS)
async def test_it_agrees_with_a_plain_list_of_uses(steps: list[tuple]) -> None:
    clock, model, helds = FakeClock(), PlainModel(), []
    ledger = MemoryLedger(clock, expiry_s=1e9)
    for name, first, second in steps:
        match name:
            case "move":
                before = clock.now
                clock.move(first)
                model.move(before, clock.now)
            case "reserve":
                helds += await reserve_in_both(ledger, model, clock, claim_of(first, second))
            case "settle" if helds:
                held = helds[first % len(helds)]
                await ledger.settle(held, second)
                model.settle(held, second)
            case "note":
                await ledger.note_use("groq:1", first, second)
                missing = max(0, second - model.used(first, clock.now))
                model.entries.append(Entry(first, clock.now, missing))
        for use in await ledger.uses(COUNTED):
            assert use.used == model.used(use.window, clock.now), (name, use)


def claim_of(windows: set[Window], amounts: Amounts) -> Claim:
    return Claim("groq:1", tuple(sorted(windows, key=lambda w: w.id)), amounts)


async def reserve_in_both(
    ledger: MemoryLedger, model: PlainModel, clock: FakeClock, asked: Claim
) -> list[Held]:
    def has_room(window: Window, now: datetime) -> bool:
        return model.used(window, now) + asked.amounts.of(window.unit) <= window.limit

    try:
        held = await ledger.reserve(asked)
    except WindowFullError as raised:
        error = raised
    else:
        assert all(has_room(window, clock.now) for window in asked.windows)
        model.take(held, clock.now)
        assert [use.used for use in held.uses] == [model.used(w, clock.now) for w in asked.windows]
        check_times(held.uses, model)
        return [held]
    assert not all(has_room(window, clock.now) for window in asked.windows)
    if error.until is None:
        assert asked.amounts.of(error.window.unit) > error.window.limit
    elif error.window.unit != "concurrent":
        assert has_room(error.window, error.until)
        assert not has_room(error.window, error.until - MICROSECOND)
    return []


def check_times(uses: tuple[Use, ...], model: PlainModel) -> None:
    for use in uses:
        if use.window.unit == "concurrent" or not use.used:
            continue
        assert model.used(use.window, use.free_at) < use.used
        assert model.used(use.window, use.free_at - MICROSECOND) == use.used
        assert model.used(use.window, use.resets_at) == 0
        assert model.used(use.window, use.resets_at - MICROSECOND) > 0


class TestRenewal:
    """A call that reached its provider long after its room was taken."""

    async def test_it_counts_for_a_period_from_now_on(
        self, ledger: MemoryLedger, clock: FakeClock
    ) -> None:
        window = Window("rpm", "requests", "minute", 1, guard_s=1.0)
        held = await ledger.reserve(claim(window))
        clock.move(30)
        await ledger.renew(held)
        clock.move(60)
        assert await used(ledger, window) == 1
        clock.move(1)
        assert await used(ledger, window) == 0

    async def test_it_counts_again_when_its_time_was_over(
        self, ledger: MemoryLedger, clock: FakeClock
    ) -> None:
        window = Window("rpm", "requests", "minute", 1)
        held = await ledger.reserve(claim(window))
        clock.move(70)
        await ledger.renew(held)
        assert await used(ledger, window) == 1

    async def test_on_the_day_that_has_begun_meanwhile(
        self, ledger: MemoryLedger, clock: FakeClock
    ) -> None:
        # Midnight is 30 s away, there
        window = Window("rpd", "requests", "day", 1, LA)
        held = await ledger.reserve(claim(window))
        clock.move(31)
        assert await used(ledger, window) == 0
        await ledger.renew(held)
        assert await used(ledger, window) == 1

    async def test_a_level_is_not_below_what_the_provider_has_just_counted(
        self, ledger: MemoryLedger, clock: FakeClock
    ) -> None:
        window = Window("tpm", "tokens", "minute", 600, "refill")
        held = await ledger.reserve(claim(window, input_tokens=100))
        clock.move(5)
        await ledger.renew(held)
        assert await used(ledger, window) == 100

    async def test_of_several_that_come_late_none_is_forgotten(
        self, ledger: MemoryLedger, clock: FakeClock
    ) -> None:
        window = Window("tpm", "tokens", "minute", 600, "refill")
        helds = [await ledger.reserve(claim(window, input_tokens=40)) for _ in range(3)]
        clock.move(9)
        assert await used(ledger, window) == 30
        for held in helds:
            await ledger.renew(held)
        assert await used(ledger, window) == 120

    async def test_nor_is_anything_counted_twice(
        self, ledger: MemoryLedger, clock: FakeClock
    ) -> None:
        window = Window("tpm", "tokens", "minute", 600, "refill")
        over = await ledger.reserve(claim(window, input_tokens=300))
        await ledger.settle(over, Amounts(input_tokens=300))
        held = await ledger.reserve(claim(window, input_tokens=100))
        clock.move(5)
        await ledger.renew(held)
        assert await used(ledger, window) == 350
        await ledger.settle(held, None)
        assert await used(ledger, window) == 250

    async def test_what_was_given_back_stays_so(self, ledger: MemoryLedger) -> None:
        window = Window("rpm", "requests", "minute", 1)
        held = await ledger.reserve(claim(window))
        await ledger.settle(held, None)
        await ledger.renew(held)
        assert await used(ledger, window) == 0


class TestRetaining:
    """A refused call's room, which is free again at a time that is known."""

    async def test_it_counts_until_its_time_and_nobody_gives_it_back(
        self, ledger: MemoryLedger, clock: FakeClock
    ) -> None:
        window = Window("rpm", "requests", "minute", 1)
        await ledger.retain(await ledger.reserve(claim(window)), 5)
        clock.move(4.9)
        assert await used(ledger, window) == 1
        clock.move(0.2)
        assert await used(ledger, window) == 0

    async def test_never_longer_than_the_window_would_have_counted_it(
        self, ledger: MemoryLedger, clock: FakeClock
    ) -> None:
        window = Window("rpm", "requests", "minute", 1)
        held = await ledger.reserve(claim(window))
        clock.move(30)
        await ledger.retain(held, 90)
        clock.move(31)
        assert await used(ledger, window) == 0

    async def test_what_has_no_end_of_its_own_is_given_back(self, ledger: MemoryLedger) -> None:
        at_once = Window("calls", "concurrent", "call", 1)
        level = Window("tpm", "tokens", "minute", 600, "refill")
        held = await ledger.reserve(claim(at_once, level, input_tokens=100))
        await ledger.retain(held, 5)
        assert await used(ledger, at_once) == 0
        assert await used(ledger, level) == 0

    async def test_settled_or_retained_once_it_is_over(self, ledger: MemoryLedger) -> None:
        window = Window("rpm", "requests", "minute", 5)
        over = await ledger.reserve(claim(window))
        await ledger.settle(over, None)
        await ledger.retain(over, 5)
        assert await used(ledger, window) == 0
        held = await ledger.reserve(claim(window))
        await ledger.retain(held, 5)
        await ledger.settle(held, None)
        assert await used(ledger, window) == 1
