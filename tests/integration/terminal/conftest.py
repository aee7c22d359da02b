"""What tests of the terminal share."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PotluckServer


@pytest.fixture
def own_home(server: PotluckServer) -> Iterator[Path]:
    """A data folder without a server, that PostgreSQL's own user may enter."""
    home = Path(f"{server.home}-chat")
    home.mkdir()
    yield home
    shutil.rmtree(home)
