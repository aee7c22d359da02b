"""A running process takes over what the files say, and keeps what held when they are wrong."""

import logging
from pathlib import Path

import pytest

from potluck.providers.catalog import Catalog
from potluck.providers.catalog_file import load_catalog
from potluck.providers.catalog_watch import CatalogWatch

PROVIDERS = "providers: {groq: {model: a, limits: {requests_per_day: 10}}}\n"


class Folder:
    """A folder of configuration, watched; `taken` are the catalogs that were handed on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.taken: list[Catalog] = []
        self.writes = 0
        self.write("providers.yaml", PROVIDERS)
        self.watch = CatalogWatch(path, load_catalog(path), self.taken.append)

    def write(self, name: str, text: str) -> None:
        self.writes += 1
        # Two writes in one tick of the file system's clock must differ in size
        (self.path / name).write_text(text + "#" * self.writes + "\n")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


async def test_nothing_happens_while_nothing_changes(folder: Folder) -> None:
    assert not await folder.watch.look()
    assert folder.taken == []


async def test_new_limits_and_policy_are_handed_on_once(folder: Folder) -> None:
    folder.write("limits.yaml", "rate_limits: {groq: {requests_per_day: 5}}\nstop_at: 0.5\n")
    assert await folder.watch.look()
    assert not await folder.watch.look()
    [catalog] = folder.taken
    assert catalog.providers["groq"].limits.requests_per_day == 5
    assert catalog.providers["groq"].stop_at == 0.5


async def test_a_comment_changes_nothing(folder: Folder) -> None:
    folder.write("providers.yaml", PROVIDERS)
    assert not await folder.watch.look()
    assert folder.taken == []


async def test_a_wrong_file_is_logged_once_with_its_line_and_fix(
    folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write("limits.yaml", "privacy: any\nstop_at: 7\n")
    for _ in range(3):
        assert not await folder.watch.look()
    assert folder.taken == []
    [line] = caplog.messages
    assert f"{folder.path}/limits.yaml:2" in line
    assert "Write a share above 0" in line
    assert "goes on holding" in line
    folder.write("limits.yaml", "stop_at: 0.7\n")
    assert await folder.watch.look()


async def test_a_file_that_is_away_changes_nothing(
    folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    (folder.path / "providers.yaml").unlink()
    assert not await folder.watch.look()
    assert "no such file" in caplog.text
    assert folder.taken == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("providers: {groq: {model: b}}", "`groq`"),
        ("providers: {groq: {model: a, api_key_env: OTHER_KEY}}", "`groq`"),
        (f"{PROVIDERS}  together: {{model: x}}".replace("}}}\n", "}}, together: {model: x}}\n#"),
         "`together`"),
    ],
)  # fmt: skip
async def test_what_needs_a_restart_is_said(
    folder: Folder, caplog: pytest.LogCaptureFixture, text: str, name: str
) -> None:
    folder.write("providers.yaml", text)
    assert await folder.watch.look()
    assert f"{name} of {folder.path} changed: restart to use it." in caplog.messages


async def test_limits_need_no_restart(folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    folder.write(
        "providers.yaml",
        "providers: {groq: {models: [{id: a, limits: {tokens_per_day: 5}}], day_resets: UTC}}\n",
    )
    assert await folder.watch.look()
    assert caplog.messages == []


async def test_looks_again_and_again(folder: Folder) -> None:
    naps: list[float] = []

    class EnoughError(Exception):
        """The test has seen enough."""

    async def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 2:
            folder.write("limits.yaml", "stop_at: 0.5\n")
        if len(naps) == 4:
            raise EnoughError

    watch = CatalogWatch(folder.path, load_catalog(folder.path), folder.taken.append, sleep=sleep)
    with pytest.raises(EnoughError):
        await watch.run()
    assert naps == [2.0] * 4
    assert len(folder.taken) == 1
