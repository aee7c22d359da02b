"""Folders where code has worked, deleted with all that it made there."""

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

_OPEN = stat.S_IRUSR | stat.S_IWUSR | stat.S_IXUSR


def delete_tree(folder: Path) -> None:
    """Delete a folder, however deep it is, also what is closed to us; links are not followed.

    Raises OSError, FileNotFoundError when it is not there.
    """
    if not stat.S_ISDIR(folder.lstat().st_mode):
        raise NotADirectoryError(f"{folder} is no folder")
    if os.scandir not in os.supports_fd:
        shutil.rmtree(folder)
        return
    mark = secrets.token_hex(8)
    folder.chmod(_OPEN)
    found = [folder]
    for one in found:  # grows meanwhile
        # Code that is still at work may have put a link in its place
        inside = os.open(one, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            found.extend(_emptied(inside, folder / f".{mark}-{len(found)}"))
        finally:
            os.close(inside)
    for one in reversed(found):
        one.rmdir()


def _emptied(folder: int, place: Path) -> Iterator[Path]:
    """Delete what an open folder holds, but its folders: those are moved to places of that name.

    Up, as a path that was put together could be longer than the system takes.
    """
    with os.scandir(folder) as entries:
        inside = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in inside:
        if is_folder:
            moved = place.with_name(f"{place.name}-{secrets.token_hex(4)}")
            os.chmod(name, _OPEN, dir_fd=folder)
            os.rename(name, moved, src_dir_fd=folder)
            yield moved
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
