"""Files that only grow are shortened in place."""

from pathlib import Path

from potluck.server.retention_logs import shorten

LINES = [f"line {number:04}\n" for number in range(1_000)]


def test_the_newer_half_of_what_may_be_stays_from_a_whole_line_on(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("".join(LINES))
    gone = shorten(file, 5_000, dry=False)
    left = file.read_text()
    assert 2_480 <= len(left) <= 2_500
    assert gone == len("".join(LINES)) - len(left)
    assert "".join(LINES).endswith(left)
    assert left.startswith("line ")


def test_whoever_writes_at_its_end_goes_on_there(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with file.open("a") as writer:
        writer.write("".join(LINES))
        writer.flush()
        shorten(file, 5_000, dry=False)
        writer.write("and on\n")
    assert file.read_text().endswith("line 0999\nand on\n")
    assert "\0" not in file.read_text()


def test_a_small_one_and_none_at_all_stay_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("short\n")
    assert shorten(file, 6, dry=False) == 0
    assert file.read_text() == "short\n"
    assert shorten(tmp_path / "none", 6, dry=False) == 0
    assert not (tmp_path / "none").exists()


def test_a_dry_run_only_counts(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("".join(LINES))
    counted = shorten(file, 5_000, dry=True)
    assert file.read_text() == "".join(LINES)
    assert counted == shorten(file, 5_000, dry=False)
