"""What goes when something has been kept for too long: the parts that need no database."""

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from langgraph.checkpoint.base.id import uuid6

from potluck.errors import DatabaseError
from potluck.server.retention import PruneBusyError, Swept
from potluck.server.retention_checkpoints import _due
from potluck.server.retention_task import EVERY_S, FIRST_AFTER_S, _keep_sweeping
from potluck.server.retention_threads import checkpoint_id_at
from potluck.server.retention_workspaces import Workspaces, _held

NOW = datetime.now(UTC)


def workspace(home: Path, name: str, *, days: int, size: int = 10_000) -> Path:
    folder = home / "workspaces" / name / "inner"
    folder.mkdir(parents=True)
    (folder / "data.bin").write_bytes(b"x" * size)
    at = (NOW - timedelta(days=days)).timestamp()
    for path in (folder / "data.bin", folder, folder.parent):
        os.utime(path, (at, at))
    return folder.parent


def looked_at(home: Path) -> Workspaces:
    found = Workspaces(home, NOW)
    found.look()
    return found


class TestCheckpointIds:
    def test_lie_between_the_moments_before_and_after_they_were_made(self) -> None:
        before = checkpoint_id_at(datetime.now(UTC) - timedelta(seconds=1))
        made = str(uuid6())
        after = checkpoint_id_at(datetime.now(UTC) + timedelta(seconds=1))
        assert before < made < after


class TestCheckpoints:
    IDS = ("9", "8", "7", "6", "5", "4", "3", "2", "1")

    def test_the_last_ones_and_the_first_stay(self) -> None:
        assert _due(self.IDS, 3, "0") == ([], ["6", "5", "4", "3", "2"])

    def test_what_is_too_old_goes_but_never_the_newest(self) -> None:
        assert _due(self.IDS, 100, "7") == (["6", "5", "4", "3", "2", "1"], [])
        assert _due(self.IDS, 100, "a") == (list(self.IDS[1:]), [])

    def test_both_limits_count_each_only_once(self) -> None:
        old, beyond = _due(self.IDS, 2, "4")
        assert (old, beyond) == (["3", "2", "1"], ["7", "6", "5", "4"])

    @pytest.mark.parametrize("count", [1, 2, 3])
    def test_a_short_past_stays_whole(self, count: int) -> None:
        assert _due(self.IDS[-count:], 3, "0") == ([], [])


class TestWorkspaces:
    def test_are_as_old_as_the_newest_thing_in_them(self, tmp_path: Path) -> None:
        old = workspace(tmp_path, "old", days=9)
        fresh = workspace(tmp_path, "fresh", days=9)
        os.utime(fresh / "inner" / "data.bin")
        found = looked_at(tmp_path).untouched_since(NOW - timedelta(days=5))
        assert [one.folder for one in found] == [old]
        assert found[0].size_bytes >= 10_000

    def test_the_sandboxs_own_folders_are_not_among_them(self, tmp_path: Path) -> None:
        workspace(tmp_path, ".spare-1", days=99)
        assert looked_at(tmp_path).held == []

    def test_the_longest_untouched_go_until_the_rest_is_not_too_much(self, tmp_path: Path) -> None:
        first = workspace(tmp_path, "first", days=9, size=200_000)
        second = workspace(tmp_path, "second", days=8, size=200_000)
        workspace(tmp_path, "third", days=7, size=200_000)
        found = looked_at(tmp_path)
        assert [one.folder for one in found.beyond(300_000, found.held, gone=[])] == [first, second]
        gone = [one for one in found.held if one.folder == first]
        assert [one.folder for one in found.beyond(300_000, found.held, gone=gone)] == [second]
        assert found.beyond(1e9, found.held, gone=[]) == []

    def test_none_yet_are_none(self, tmp_path: Path) -> None:
        assert looked_at(tmp_path).held == []

    def test_one_that_goes_meanwhile_is_passed_over(self, tmp_path: Path) -> None:
        assert _held(tmp_path / "gone") is None


class TestTask:
    async def test_goes_on_after_what_went_wrong(self) -> None:
        slept: list[float] = []
        results: list[Sequence[Swept] | Exception] = [
            PruneBusyError("busy"),
            DatabaseError("away"),
            [Swept("threads", 1, 0, 5)],
        ]

        async def sweep() -> Sequence[Swept]:
            result = results.pop(0)
            if isinstance(result, Exception):
                raise result
            return result

        async def sleep(seconds: float) -> None:
            slept.append(seconds)
            if not results:
                raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await _keep_sweeping(sweep, sleep=sleep)
        assert slept == [FIRST_AFTER_S, EVERY_S, EVERY_S, EVERY_S]
