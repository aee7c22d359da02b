"""Logs set up as a server sets them up, for a test alone."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from potluck.server.logs import ACCESS, CHATTERERS, EXPORTER, TALKERS, set_up_logs
from potluck.settings import Settings


@contextmanager
def logs_set_up(form: str, level: str = "info") -> Iterator[None]:
    """Inside the block, logs are written in that form and from that level."""
    root = logging.getLogger()
    handlers, root_level = root.handlers[:], root.level
    named = [logging.getLogger(name) for name in (ACCESS, EXPORTER, *CHATTERERS, *TALKERS)]
    levels = [one.level for one in named]
    set_up_logs(Settings(potluck_log_format=form, potluck_log_level=level))  # type: ignore[arg-type]
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(root_level)
        for one, kept in zip(named, levels, strict=True):
            one.setLevel(kept)
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
