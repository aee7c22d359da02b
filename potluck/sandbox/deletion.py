"""Folders where code has worked, deleted with all that it made there."""

import os
import secrets
import stat
from pathlib import Path

_OPEN = stat.S_IRUSR | stat.S_IWUSR | stat.S_IXUSR


def delete_tree(folder: Path) -> None:
    """Delete a folder, however deep it is, also what is closed to us; links are not followed.

    Raises OSError, FileNotFoundError when it is not there.
    """
    if not stat.S_ISDIR(folder.lstat().st_mode):
        raise NotADirectoryError(f"{folder} is no folder")
    mark = secrets.token_hex(8)
    folder.chmod(_OPEN)
    found = [folder]
    for one in found:  # grows meanwhile
        with os.scandir(one) as entries:
            inside = list(entries)
        for entry in inside:
            if entry.is_dir(follow_symlinks=False) and not entry.is_junction():
                # Moved up: a path that was put together could be longer than the system takes
                moved = folder / f".{mark}-{len(found)}"
                Path(entry.path).chmod(_OPEN)
                Path(entry.path).rename(moved)
                found.append(moved)
            else:
                Path(entry.path).unlink(missing_ok=True)
    for one in reversed(found):
        one.rmdir()
