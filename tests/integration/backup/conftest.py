"""Data folders for backups to be made of, and to be restored into."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def homes() -> Iterator[Callable[[], Path]]:
    """Empty data folders that PostgreSQL's own user may enter."""
    from tests.conftest import make_home  # noqa: PLC0415

    made: list[Path] = []

    def make() -> Path:
        made.append(make_home())
        return made[-1]

    yield make
    for home in made:
        shutil.rmtree(home)
