"""Whose a workspace is when the server runs as root."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from potluck.sandbox.ownership import FIRST_USER, LAST_USER, adopt, owner_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")


@pytest.mark.parametrize("attempt", range(20))
def test_those_who_adopt_at_the_same_time_give_it_to_the_same_user(
    tmp_path: Path, attempt: int
) -> None:
    folder = tmp_path / f"workspace-{attempt}"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    barrier = Barrier(8)

    def adopted(_: int) -> int:
        barrier.wait(5)
        return adopt(folder, whole=False)

    with ThreadPoolExecutor(8) as threads:
        users = set(threads.map(adopted, range(8)))
    assert users == {owner_of(folder)} == {(folder / "a.txt").stat().st_uid}
    assert FIRST_USER <= owner_of(folder) <= LAST_USER


def test_one_that_has_an_owner_keeps_it(tmp_path: Path) -> None:
    user = adopt(tmp_path, whole=False)
    (tmp_path / "later.txt").write_text("later")
    assert adopt(tmp_path, whole=True) == user
    assert (tmp_path / "later.txt").stat().st_uid == user
