"""The threat model promises a test for each line; this holds it to its word."""

import re
from itertools import pairwise
from pathlib import Path

from benchmarks.sandbox_escapes import ESCAPES

PROJECT_DIR = Path(__file__).parents[3]
TEXT = (PROJECT_DIR / "docs" / "threat-model.md").read_text(encoding="utf-8")
LINES = [
    line
    for line, below in pairwise(TEXT.splitlines())
    if line.startswith("| ") and not below.startswith("|--")
]


def test_every_test_that_it_names_exists() -> None:
    written = "\n".join(file.read_text("utf-8") for file in (PROJECT_DIR / "tests").rglob("*.py"))
    named = set(re.findall(r"`(test_\w+)`", TEXT))
    assert len(named) > 30
    assert {name for name in named if f"def {name}(" not in written} == set()


def test_every_threat_has_a_test() -> None:
    untested = [line for line in LINES if not re.search(r"`test_\w+`|\*escape\*", line)]
    assert untested == []


def test_it_names_every_kind_of_escape_that_is_tried_and_no_other() -> None:
    named = {
        kind.strip()
        for line in LINES
        for kinds in re.findall(r"\*escape\* ([\w, ]+)", line)
        for kind in kinds.split(",")
    }
    assert named == {escape.threat for escape in ESCAPES}
