"""What `potluck backup` and `potluck restore` tell while they work, and at their end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from potluck.backup import Summary, Tell


@contextmanager
def told() -> Iterator[Tell]:
    """Shows the step that is under way, on the error stream of a terminal.

    Whoever ends the process politely has it clear away what is half done, as Ctrl-C does.
    """
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {
        one: signal.signal(one, signal.default_int_handler)
        for one in (signal.Signals[name] for name in names)
        # As `nohup` wants it
        if signal.getsignal(one) is not signal.SIG_IGN
    }
    try:
        with Console(stderr=True).status("Starting the database …") as status:
            yield lambda step: status.update(f"{step} …")
    finally:
        for one, again in before.items():
            signal.signal(one, again)


def written(deed: str, summary: Summary) -> str:
    """One sentence on what was saved or restored."""
    counts = f"{_counted(summary.threads, 'thread')}, {_counted(summary.files, 'file')}"
    made = summary.made_at.astimezone().strftime("%Y-%m-%d %H:%M")
    size = summary.size_bytes / 1e6
    missing = f" {_counted(summary.left_out, 'entry')} left out." if summary.left_out else ""
    return f"{deed}: {counts}, as of {made} ({summary.file}, {size:,.1f} MB).{missing}"


def _counted(count: int, noun: str) -> str:
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"
