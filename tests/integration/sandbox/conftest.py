"""Real sandboxes. Where bubblewrap does not work these tests are skipped, unless all must run."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from potluck.errors import SandboxError
from potluck.sandbox.bubblewrap import Bubblewrap
from potluck.sandbox.limits import MIB, Limits
from potluck.sandbox.pool import Sandboxes, Size
from potluck.sandbox.probe import find_launcher
from potluck.settings import Settings

LIMITS = Limits(memory_bytes=400 * MIB, disk_bytes=40 * MIB, scratch_bytes=16 * MIB, files=500)


@pytest.fixture(scope="session")
def launcher() -> Bubblewrap:
    """bubblewrap with small limits."""
    try:
        found = asyncio.run(find_launcher(Settings()))
    except SandboxError as error:
        if os.environ.get("POTLUCK_TEST_REQUIRE_ALL") == "1":
            pytest.fail(f"no sandbox: {error}")
        pytest.skip(f"no sandbox: {error}")
    return replace(found, limits=LIMITS)


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A folder that the sandbox's user could reach if nothing but its permissions held it."""
    made = Path(tempfile.mkdtemp(prefix="potluck-test-"))
    made.chmod(0o755)
    (made / "workspaces").mkdir()
    yield made
    shutil.rmtree(made)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandboxes(launcher: Bubblewrap, home: Path) -> AsyncIterator[Sandboxes]:
    """Sandboxes shared by the tests of a module, each of which takes a workspace of its own."""
    opened = Sandboxes(
        launcher, home / "workspaces", limits=LIMITS,
        clock=lambda: datetime.now(UTC), size=Size(spare=False, sessions=4),
    )  # fmt: skip
    yield opened
    await opened.aclose()


@pytest.fixture
def workspace(home: Path, request: pytest.FixtureRequest) -> Path:
    """A workspace of this test's own."""
    return Path(tempfile.mkdtemp(prefix="w-", dir=home / "workspaces"))
