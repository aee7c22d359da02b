"""What `potluck prune`, `backup` and `restore` tell."""

from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from potluck.backup import Summary
from potluck.server.retention import Swept
from potluck.terminal.backup import written
from potluck.terminal.prune import print_swept


def shown(*swept: Swept, dry: bool) -> str:
    console = Console(width=100, record=True)
    print_swept(swept, console, dry=dry)
    return console.export_text()


def test_only_what_goes_is_listed() -> None:
    told = shown(Swept("threads", 3, 0, 2_500_000), Swept("cache", 0, 0, 0), dry=True)
    assert "threads" in told
    assert "2.5" in told
    assert "cached" not in told
    assert "Nothing was changed" in told


def test_a_real_run_does_not_say_that_nothing_was_changed() -> None:
    assert "Nothing" not in shown(Swept("runs", 1, 2, 0), dry=False)


def test_nothing_to_do_is_said_in_one_line() -> None:
    told = shown(Swept("runs", 0, 0, 0), dry=False)
    assert told.strip() == "Nothing is too old or too much."


def test_a_backup_is_summed_up_in_one_sentence() -> None:
    summary = Summary(Path("/b"), datetime(2026, 11, 21, 12, tzinfo=UTC), 1, 2, 1, 3_400_000)
    told = written("Saved", summary)
    assert told.startswith("Saved: 1 thread, 2 files, as of 2026-11-2")
    assert told.endswith("(/b, 3.4 MB). 1 entry left out.")
