"""`potluck prune` on a data folder without a server."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from potluck.database import database_url
from potluck.settings import PROJECT_DIR, Settings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

_CALL = """
INSERT INTO potluck.calls VALUES (gen_random_uuid(), 1, now() - make_interval(days => %s), 'p', 'm',
    '', '', 'general', 'interactive', 'ok', NULL, 1, 1, NULL, NULL, 1, 1)
"""


@pytest.fixture
def home() -> Iterator[Path]:
    from tests.conftest import make_home  # noqa: PLC0415

    made = make_home()
    yield made
    shutil.rmtree(made)


def prune(home: Path, *options: str) -> dict[str, tuple[int, int]]:
    foreign = ("DATABASE_URL", "REDIS_URL", "POTLUCK_")
    env = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    env |= {"POTLUCK_HOME": str(home), "POTLUCK_ENV_FILE": str(home / ".env")}
    done = subprocess.run(
        [sys.executable, "-m", "potluck", "prune", "--json", *options],
        cwd=PROJECT_DIR, env=env, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["dry_run"] is ("--dry-run" in options)
    return {one["kind"]: (one["old"], one["beyond"]) for one in found["swept"]}


def test_tells_first_then_does_it_also_on_a_new_folder(home: Path) -> None:
    told = prune(home, "--dry-run")
    assert told["workspaces"] == told["calls"] == (0, 0)
    old = home / "workspaces" / "old"
    old.mkdir(parents=True)
    (old / "notes.txt").write_text("tea")
    for path in (old / "notes.txt", old):
        os.utime(path, (0, 0))
    with (
        database_url(Settings(potluck_home=home, database_url=None)) as url,
        psycopg.connect(url) as connection,
    ):
        for days in (400, 1):
            connection.execute(_CALL, [days])
    assert prune(home, "--dry-run")["calls"] == (1, 0)
    assert old.exists()
    done = prune(home)
    assert (done["calls"], done["workspaces"]) == ((1, 0), (1, 0))
    assert not old.exists()
    assert prune(home)["calls"] == (0, 0)
