"""The file of tombstones: whole, shared between processes, and no trouble when it is broken."""

import asyncio
import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from potluck.providers.tombstone_file import TombstoneFile
from potluck.providers.tombstones import Tombstone

SINCE = datetime(2026, 11, 21, 12, tzinfo=UTC)


def tombstone(model: str, why: str = "decommissioned") -> Tombstone:
    return Tombstone("groq", model, "https://x/v1", SINCE, "gone", why, "new")


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_what_is_put_in_is_read_back_by_another(tmp_path: Path) -> None:
    home = tmp_path / "home"
    await TombstoneFile(home).put(tombstone("a"))
    assert await TombstoneFile(home).load() == (tombstone("a"),)


async def test_a_newer_one_takes_the_place_of_the_old(tmp_path: Path) -> None:
    file = TombstoneFile(tmp_path)
    await file.put(tombstone("a"))
    await file.put(tombstone("a", why="still gone"))
    assert await file.load() == (tombstone("a", why="still gone"),)


async def test_only_what_is_removed_goes(tmp_path: Path) -> None:
    file = TombstoneFile(tmp_path)
    for name in ("a", "b"):
        await file.put(tombstone(name))
    await file.remove([tombstone("a").place, tombstone("never there").place])
    assert await file.load() == (tombstone("b"),)


async def test_writers_side_by_side_lose_nothing(tmp_path: Path) -> None:
    names = [f"m{number}" for number in range(12)]
    await asyncio.gather(*(TombstoneFile(tmp_path).put(tombstone(name)) for name in names))
    assert {kept.model for kept in await TombstoneFile(tmp_path).load()} == set(names)
    assert names_in(tmp_path) <= {"tombstones.json", "tombstones.lock"}


async def test_without_a_file_there_are_none(tmp_path: Path) -> None:
    assert await TombstoneFile(tmp_path / "nowhere").load() == ()


@pytest.mark.parametrize("text", ["", "{", "[{}]", '{"groq": 1}', "[null]"])
async def test_a_broken_file_counts_as_empty_and_is_mended_by_the_next_writer(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "tombstones.json"
    path.write_text(text)
    with caplog.at_level(logging.WARNING):
        assert await TombstoneFile(tmp_path).load() == ()
    assert str(path) in caplog.text
    await TombstoneFile(tmp_path).put(tombstone("a"))
    assert [entry["model"] for entry in json.loads(path.read_text())] == ["a"]


async def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = TombstoneFile(tmp_path)
    await file.put(tombstone("a"))

    def full(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="full"):
        await file.put(tombstone("b"))
    assert await file.load() == (tombstone("a"),)
    assert names_in(tmp_path) <= {"tombstones.json", "tombstones.lock"}
