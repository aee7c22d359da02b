"""Logs: a line for each event, for people or as JSON, with the request and the run it is of."""

import logging
import logging.config
import re
import sys

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor, WrappedLogger

from potluck.quota.calls import CallRecord
from potluck.settings import Settings, hide_secrets

# Of no use in a line that says what happened
_NOISE = (
    "filename", "func_name", "lineno", "graph_id", "original_request_id", "color_message", "task_id"
)  # fmt: skip
_FIRST = ("timestamp", "level", "event", "logger")
# At `debug` these write down every header and every chunk, whatever secrets are in them.
TALKERS = ("httpcore", "httpcore2", "sse_starlette", "openai", "groq", "google_genai", "psycopg")
# At `info` these tell of each request and connection, of which we tell in words of our own
CHATTERERS = ("httpx", "httpx2", "psycopg.pool", "alembic", "aegra_api.core.app_loader")
# Tells of each batch of spans, and of each try, that the collector is away; see trace_secrets
EXPORTER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
ACCESS = "app.access_logs"
# Asked every few seconds: in the access log only when they fail
POLLED = ("/health", "/live", "/ready", "/metrics", "/quota", "/dashboard")

# Ends of lines, and what steers a terminal or stands for no letter: JSON escapes the first 32
_CONTROLS = "\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_UNESCAPED = re.compile(f"[{_CONTROLS}]")
_UNREADABLE = re.compile(f"[\x00-\x1f{_CONTROLS}]")
_MANY_LINES = ("exception", "stack")

calls = structlog.stdlib.get_logger("potluck.calls")


def set_up_logs(settings: Settings) -> None:
    """Write logs in the form and from the level of the settings.

    To be done again when a library that sets up logs of its own has been imported.
    """
    level = settings.potluck_log_level.upper()
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": LineFormatter, "as_json": is_json(settings)}},
            "handlers": {
                "out": {
                    "class": "logging.StreamHandler",
                    "formatter": "line",
                    "stream": "ext://sys.stdout",
                }
            },
            "root": {"handlers": ["out"], "level": level},
        }
    )
    for name in ("uvicorn", "uvicorn.access", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    for name in TALKERS:
        # Lower than the root's level it would let through what the root keeps out
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLevelNamesMapping()[level]))
    is_terse = settings.potluck_log_level == "info"
    for name in CHATTERERS:
        logging.getLogger(name).setLevel(logging.WARNING if is_terse else logging.NOTSET)
    logging.getLogger(EXPORTER).setLevel(logging.NOTSET if level == "DEBUG" else logging.CRITICAL)
    # It takes every 4xx for a warning; the client was told already.
    is_quiet = settings.potluck_log_level == "warning"
    logging.getLogger(ACCESS).setLevel(logging.ERROR if is_quiet else level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def is_json(settings: Settings) -> bool:
    """Whether programs read the logs."""
    return settings.potluck_log_format == "json"


def log_call(record: CallRecord) -> None:
    """Write down a call to a model, at `info`."""
    more = {"error": record.error} if record.error is not None else {}
    calls.info(
        "call",
        provider=record.provider,
        model=record.model,
        outcome=record.outcome,
        duration_s=round(record.duration_s, 3),
        input_tokens=record.input_tokens,
        output_tokens=record.output_tokens,
        **more,
    )


class LineFormatter(structlog.stdlib.ProcessorFormatter):
    """One line for a log record, whoever wrote it, without secrets that this process knows."""

    def __init__(self, *, as_json: bool) -> None:
        renderer: Processor
        if as_json:
            renderer = structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
            ending: list[Processor] = [
                structlog.processors.format_exc_info,
                _traced,
                _ordered,
                renderer,
            ]
        else:
            renderer = structlog.dev.ConsoleRenderer(
                colors=sys.stdout.isatty(),
                exception_formatter=structlog.dev.plain_traceback,
                pad_level=False,
                pad_event_to=0,
            )
            ending = [structlog.processors.format_exc_info, _readable, renderer]
        super().__init__(
            processors=[self.remove_processors_meta, _plain, *ending],
            foreign_pre_chain=_shared(),
        )

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return _UNESCAPED.sub(_escaped, hide_secrets(super().format(record)))


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.UnicodeDecoder(),
    ]


def _plain(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Without what nobody asks for; what is asked for under one name, wherever it comes from."""
    original = event.get("original_request_id")
    if original:
        event.setdefault("request_id", original)
    for name in _NOISE:
        event.pop(name, None)
    if event.get("logger") == ACCESS and isinstance(event.get("http"), dict):
        _flatten(event)
    return event


def _readable(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """For people: nothing that was said looks like a line of its own, or steers the terminal."""
    for name, value in event.items():
        if isinstance(value, str):
            lines = value.split("\n") if name in _MANY_LINES else [value]
            event[name] = "\n    ".join(_UNREADABLE.sub(_escaped, line) for line in lines)
    return event


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _flatten(event: EventDict) -> None:
    """Aegra's line for a request, whose parts stand in dictionaries of their own."""
    http, network = event.pop("http"), event.pop("network", {})
    event["event"] = "request"
    event["method"], event["path"] = http.get("method"), http.get("url")
    event["status"] = http.get("status_code")
    event["client"] = network.get("client", {}).get("ip")
    event["duration_s"] = round(event.pop("duration", 0) / 1e9, 3)


def _ordered(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """With what people look for first in front."""
    return {name: event[name] for name in _FIRST if name in event} | dict(event)


def _traced(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """With the trace that the event belongs to, if there is one."""
    found = trace.get_current_span().get_span_context()
    if found.is_valid:
        event["trace_id"] = trace.format_trace_id(found.trace_id)
        event["span_id"] = trace.format_span_id(found.span_id)
    return event
