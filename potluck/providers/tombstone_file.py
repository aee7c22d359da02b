"""Tombstones in a JSON file of the data folder, shared by the server and the commands."""

import asyncio
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from potluck.providers.tombstones import Place, Tombstone

_log = logging.getLogger(__name__)

_LOCK_TIMEOUT_S = 5.0
_TOMBSTONES = TypeAdapter(tuple[Tombstone, ...])


class TombstoneFile:
    """A TombstoneStore in one file, replaced as a whole, so that no reader sees half of it.

    A file that makes no sense counts as empty, with a warning: models would be asked once more.
    """

    def __init__(self, home: Path) -> None:
        self._file = home / "tombstones.json"

    async def load(self) -> tuple[Tombstone, ...]:
        """All that the file keeps. Raises OSError when there is one that cannot be read."""
        return await asyncio.to_thread(self._read)

    async def put(self, tombstone: Tombstone) -> None:
        """Write this one, in place of an older one. Raises OSError."""

        def with_it(kept: dict[Place, Tombstone]) -> dict[Place, Tombstone]:
            return kept | {tombstone.place: tombstone}

        await asyncio.to_thread(self._change, with_it)

    async def remove(self, places: Iterable[Place]) -> None:
        """Take these out. Raises OSError."""
        gone = frozenset(places)

        def without(kept: dict[Place, Tombstone]) -> dict[Place, Tombstone]:
            return {place: kept[place] for place in kept if place not in gone}

        await asyncio.to_thread(self._change, without)

    def _change(self, change: Callable[[dict[Place, Tombstone]], dict[Place, Tombstone]]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self._file.with_suffix(".lock"), timeout=_LOCK_TIMEOUT_S):
                kept = {tombstone.place: tombstone for tombstone in self._read()}
                changed = change(kept)
                if changed != kept:
                    self._write(tuple(changed.values()))
        except Timeout as error:
            raise TimeoutError(f"{self._file} is locked by another process") from error

    def _read(self) -> tuple[Tombstone, ...]:
        try:
            text = self._file.read_bytes()
        except FileNotFoundError:
            return ()
        try:
            return _TOMBSTONES.validate_json(text)
        except ValidationError:
            _log.warning("%s makes no sense and is not used; delete it", self._file)
            return ()

    def _write(self, tombstones: tuple[Tombstone, ...]) -> None:
        # A reader, or a crash in between, must find the old file or the new one
        text = json.dumps(_TOMBSTONES.dump_python(tombstones, mode="json"), indent=2)
        descriptor, name = tempfile.mkstemp(dir=self._file.parent, prefix=self._file.name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                out.write(f"{text}\n")
                out.flush()
                os.fsync(out.fileno())
            Path(name).replace(self._file)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
