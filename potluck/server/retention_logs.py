"""Files that only grow: what PostgreSQL logs, and what was typed in the terminal."""

import shutil
from pathlib import Path

HISTORY_BYTES = 1_000_000


def shorten(file: Path, most_bytes: int, *, dry: bool) -> int:
    """Drop the older lines of a file that is larger, down to half of that: the bytes that go.

    In place, so that whoever writes at its end goes on there. Raises OSError.
    """
    try:
        size = file.stat().st_size
    except FileNotFoundError:
        return 0
    if size <= most_bytes:
        return 0
    with file.open("rb") as newer, file.open("r+b") as start:
        newer.seek(size - most_bytes // 2)
        newer.readline()
        gone = newer.tell()
        if not dry:
            shutil.copyfileobj(newer, start)
            start.truncate()
    return gone
