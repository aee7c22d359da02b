import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from potluck.errors import SandboxError
from potluck.sandbox.kernel import Kernel
from potluck.sandbox.limits import Limits
from potluck.sandbox.outcome import Outcome, Tell
from potluck.sandbox.pool import Sandboxes, Size
from potluck.sandbox.runner import use_approval

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class FakeKernel:
    """Answers at once; `hold` makes it wait, `die` makes the next cell its last."""

    workspace: Path
    alive: bool = True
    busy: bool = False
    hold: asyncio.Event | None = None
    ran: list[str] = field(default_factory=list)

    async def run(self, code: str, *, timeout_s: float, tell: Tell | None = None) -> Outcome:  # noqa: ARG002 - as the real one
        self.ran.append(code)
        if self.hold:
            self.busy = True
            await self.hold.wait()
            self.busy = False
        if code == "die":
            self.alive = False
            return Outcome("", stopped="crash", state_lost="its process was ended")
        return Outcome(f"ran {code} for {timeout_s:g} s")

    async def stop(self) -> None:
        self.alive = False


@dataclass
class World:
    now: datetime = START
    started: list[FakeKernel] = field(default_factory=list)
    broken: bool = False

    async def start(self, workspace: Path) -> Kernel:
        if self.broken:
            raise SandboxError("no")
        await asyncio.to_thread(workspace.mkdir, parents=True, exist_ok=True)
        self.started.append(FakeKernel(workspace))
        return self.started[-1]  # type: ignore[return-value] # stands in


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "workspaces").mkdir()
    return tmp_path / "workspaces"


@pytest.fixture
def open_pool(world: World, folder: Path) -> Callable[..., Sandboxes]:
    def opened(**given: object) -> Sandboxes:
        size = Size(sessions=2, idle=timedelta(minutes=15), spare=bool(given.pop("spare", False)))
        limits = Limits(start_timeout_s=0.05, max_timeout_s=100)
        return Sandboxes(
            None, folder, limits=limits, clock=lambda: world.now, size=size, start=world.start,  # type: ignore[arg-type] # never launches
            **given,  # type: ignore[arg-type] # passed through
        )  # fmt: skip

    return opened


async def test_a_workspace_keeps_its_session(
    open_pool: Callable[..., Sandboxes], world: World, folder: Path
) -> None:
    pool = open_pool()
    for code in ("1", "2"):
        outcome = await pool.python(folder / "a", code)
        assert outcome.state_lost is None
    await pool.python(folder / "b", "3")
    assert [kernel.ran for kernel in world.started] == [["1", "2"], ["3"]]
    await pool.aclose()
    assert not any(kernel.alive for kernel in world.started)


async def test_time_is_what_was_asked_for_within_bounds(
    open_pool: Callable[..., Sandboxes], folder: Path
) -> None:
    pool = open_pool()
    asked = {None: "60", 0: "60", -1: "60", 5: "5", 10_000: "100"}
    for timeout_s, expected in asked.items():
        outcome = await pool.python(folder / "a", "x", timeout_s=timeout_s)
        assert outcome.text == f"ran x for {expected} s"
    await pool.aclose()


async def test_a_session_that_ended_while_idle_is_replaced_and_the_loss_told_once(
    open_pool: Callable[..., Sandboxes], world: World, folder: Path
) -> None:
    pool = open_pool()
    await pool.python(folder / "a", "1")
    world.started[0].alive = False
    assert (await pool.python(folder / "a", "2")).state_lost == "its process had ended"
    assert (await pool.python(folder / "a", "3")).state_lost is None
    await pool.aclose()


async def test_a_loss_that_was_told_is_not_told_again(
    open_pool: Callable[..., Sandboxes], folder: Path
) -> None:
    pool = open_pool()
    assert (await pool.python(folder / "a", "die")).state_lost == "its process was ended"
    assert (await pool.python(folder / "a", "1")).state_lost is None
    await pool.aclose()


async def test_idle_sessions_are_ended_and_the_model_is_told(
    open_pool: Callable[..., Sandboxes], world: World, folder: Path
) -> None:
    pool = open_pool()
    await pool.python(folder / "a", "1")
    world.now += timedelta(minutes=14)
    await pool.python(folder / "b", "1")
    await pool.sweep()
    assert all(kernel.alive for kernel in world.started)
    world.now += timedelta(minutes=2)
    await pool.sweep()
    assert [kernel.alive for kernel in world.started] == [False, True]
    assert "not used for a long time" in str((await pool.python(folder / "a", "2")).state_lost)
    await pool.aclose()


async def test_one_too_many_takes_the_place_of_the_one_idle_for_longest(
    open_pool: Callable[..., Sandboxes], world: World, folder: Path
) -> None:
    pool = open_pool()
    for name in ("a", "b", "a", "c"):
        await pool.python(folder / name, "1")
        world.now += timedelta(seconds=1)
    assert [kernel.alive for kernel in world.started] == [True, False, True]
    assert "needed its place" in str((await pool.python(folder / "b", "2")).state_lost)
    await pool.aclose()


async def test_sessions_at_work_are_not_ended_for_others(
    open_pool: Callable[..., Sandboxes], world: World, folder: Path
) -> None:
    pool = open_pool()
    hold = asyncio.Event()
    for name in ("a", "b"):
        await pool.python(folder / name, "1")
    for kernel in world.started:
        kernel.hold = hold
    working = [asyncio.create_task(pool.python(folder / name, "2")) for name in ("a", "b")]
    await asyncio.sleep(0)
    with pytest.raises(SandboxError, match="All 2 Python sessions") as caught:
        await pool.python(folder / "c", "1")
    assert caught.value.may_pass
    hold.set()
    assert all(outcome.ok for outcome in await asyncio.gather(*working))
    assert (await pool.python(folder / "c", "1")).ok
    await pool.aclose()


async def test_a_spare_session_is_taken_by_an_empty_workspace_and_replaced(
    open_pool: Callable[..., Sandboxes], world: World, folder: Path
) -> None:
    pool = open_pool(spare=True)
    pool.warm_up()
    (folder / "a").mkdir()
    await pool.python(folder / "a", "1")
    assert world.started[0].ran == ["1"]
    assert world.started[0].workspace == folder / "a"
    assert (folder / "a").is_dir()
    await asyncio.sleep(0.05)
    assert len(world.started) == 2
    await pool.aclose()
    assert names(folder) == ["a"]


async def test_a_workspace_with_files_gets_a_session_of_its_own(
    open_pool: Callable[..., Sandboxes], world: World, folder: Path
) -> None:
    pool = open_pool(spare=True)
    pool.warm_up()
    await asyncio.sleep(0.05)
    (folder / "a").mkdir()
    (folder / "a/data.csv").write_text("1")
    await pool.python(folder / "a", "1")
    assert [kernel.ran for kernel in world.started] == [[], ["1"]]
    assert (folder / "a/data.csv").read_text() == "1"
    await pool.aclose()


async def test_a_spare_that_died_or_never_came_is_done_without(
    open_pool: Callable[..., Sandboxes], world: World, folder: Path
) -> None:
    pool = open_pool(spare=True)
    pool.warm_up()
    await asyncio.sleep(0.05)
    world.started[0].alive = False
    assert (await pool.python(folder / "a", "1")).ok
    world.broken = True
    await pool.aclose()


async def test_folders_of_spares_whose_server_is_gone_are_removed(
    open_pool: Callable[..., Sandboxes], folder: Path
) -> None:
    (folder / ".spare-99999999-abc").mkdir()
    (folder / "thread").mkdir()
    pool = open_pool(spare=True)
    pool.warm_up()
    await asyncio.sleep(0.05)
    assert not (folder / ".spare-99999999-abc").exists()
    assert (folder / "thread").exists()
    await pool.aclose()


async def test_a_forgotten_workspace_has_no_session(
    open_pool: Callable[..., Sandboxes], world: World, folder: Path
) -> None:
    pool = open_pool()
    await pool.python(folder / "a", "1")
    await pool.forget(folder / "a")
    assert not world.started[0].alive
    assert (await pool.python(folder / "a", "2")).state_lost is None
    await pool.aclose()


async def test_without_walls_each_call_must_have_been_approved(
    open_pool: Callable[..., Sandboxes], world: World, folder: Path
) -> None:
    pool = open_pool(each_approved=True)
    for call in (pool.python, pool.shell):
        with pytest.raises(SandboxError, match="approve each call"):
            await call(folder / "a", "1")
    assert world.started == []
    with use_approval():
        assert (await pool.python(folder / "a", "1")).ok
    with pytest.raises(SandboxError):
        await pool.python(folder / "a", "2")
    await pool.aclose()
