from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.workspace import Workspace, use_workspace


@pytest.fixture(params=["anchored", "portable"])
def workspace(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workspace]:
    """A workspace in use, walked both ways: from open folders, and by checked paths."""
    made = Workspace(tmp_path / "root", anchored=request.param == "anchored")
    with use_workspace(made):
        yield made
