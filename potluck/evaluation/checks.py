"""What really happened, against what should have: files, calls, pictures, facts in the answer."""

import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from potluck.evaluation.record import MadeCall, Record
from potluck.evaluation.task import FileCheck, Task

# What tools may leave behind beside what was asked for.
BY_THE_WAY = ("__pycache__/*", "*/__pycache__/*", "tool_results/*", "images/*", "*.pyc")
CHANGING = frozenset({"write_file", "edit_file", "shell", "python", "delete", "change_database"})
PNG = b"\x89PNG\r\n\x1a\n"

Files = Mapping[str, bytes]


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file of a workspace, by its path with slashes."""
    if not folder.is_dir():
        return {}
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def wrong_in(task: Task, record: Record, files: Files) -> tuple[str, ...]:
    """All that is wrong with a run, in words; the hidden test is not among it."""
    return (
        *_wrong_answer(task, record),
        *_wrong_calls(task, record.calls),
        *_wrong_files(task, files),
    )


def _wrong_answer(task: Task, record: Record) -> Iterator[str]:
    text = record.answer.strip()
    # Thousands separators are a matter of taste.
    plain = re.sub(r"(?<=\d)[,\u00a0\u202f ](?=\d{3}\b)", "", text)
    if not text:
        yield "no answer"
    for wanted in task.checks.answer_has:
        if wanted not in text and wanted not in plain:
            yield f"the answer lacks {wanted!r}"
    for pattern in task.checks.answer_lacks:
        if re.search(pattern, text):
            yield f"the answer claims {pattern!r}"
    if task.checks.asks and not re.search(r"[?\uff1f]|ますか|ですか|でしょうか", text):
        yield "nothing was asked back"


def _wrong_calls(task: Task, calls: Sequence[MadeCall]) -> Iterator[str]:
    good = {call.name for call in calls if call.ok}
    made = {call.name for call in calls}
    for name in task.checks.called:
        if name not in good and not (name == "read_file" and "search_files" in good):
            yield f"{name} was not used"
    for name in task.checks.not_called:
        if name == "*" and made:
            yield f"tools were used for nothing: {', '.join(sorted(made))}"
        elif name in made:
            yield f"{name} was used"
    if task.checks.asks and made & CHANGING:
        yield f"acted instead of asking: {', '.join(sorted(made & CHANGING))}"


def _wrong_files(task: Task, files: Files) -> Iterator[str]:
    for check in task.checks.files:
        yield from _wrong_file(check, files.get(check.path))
    for path, content in task.given.items():
        if not _may_write(task, path) and files.get(path) != content.encode():
            yield f"{path} was {'changed' if path in files else 'removed'}"
    for path in files:
        if path not in task.given and not _may_write(task, path):
            yield f"{path} was made"


def _wrong_file(check: FileCheck, content: bytes | None) -> Iterator[str]:
    if content is None:
        if not check.gone:
            yield f"{check.path} is missing"
        return
    if check.gone:
        yield f"{check.path} is still there"
    if check.picture and not (content.startswith(PNG) and len(content) > 64):
        yield f"{check.path} is no picture"
        return
    text = content.decode(errors="replace")
    if check.equals is not None and text.strip() != check.equals.strip():
        yield f"{check.path} does not hold what it should"
    for wanted in check.has:
        if wanted not in text:
            yield f"{check.path} lacks {wanted!r}"
    for unwanted in check.lacks:
        if unwanted in text:
            yield f"{check.path} still has {unwanted!r}"


def _may_write(task: Task, path: str) -> bool:
    return any(fnmatch.fnmatch(path, one) for one in (*BY_THE_WAY, *task.checks.may_write))
