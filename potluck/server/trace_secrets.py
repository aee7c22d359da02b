"""Spans leave this process without the secrets that it knows."""

import logging
from collections.abc import Mapping, Sequence

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Link, Status
from opentelemetry.util.types import Attributes, AttributeValue

from potluck.settings import hide_secrets

logger = logging.getLogger(__name__)


class SecretsHidden(SpanExporter):
    """Exports spans as another exporter does, once nothing in them tells a secret.

    Exceptions are written down with their texts, in which providers quote keys. That a collector
    is away is logged once, not with each batch.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._is_away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send the spans."""
        result = self._exporter.export([_hidden(span) for span in spans])
        was_away, self._is_away = self._is_away, result is not SpanExportResult.SUCCESS
        if self._is_away and not was_away:
            logger.warning("The collector of OTEL_EXPORTER_OTLP_ENDPOINT takes no spans.")
        elif was_away and not self._is_away:
            logger.warning("The collector of OTEL_EXPORTER_OTLP_ENDPOINT takes spans again.")
        return result

    def shutdown(self) -> None:
        """Send no more."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send at once what waits."""
        return self._exporter.force_flush(timeout_millis)


def _hidden(span: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        name=hide_secrets(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_without(span.attributes),
        events=[
            Event(hide_secrets(one.name), _without(one.attributes), one.timestamp)
            for one in span.events
        ],
        links=[Link(one.context, _without(one.attributes)) for one in span.links],
        kind=span.kind,
        status=_status(span.status),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _status(status: Status) -> Status:
    text = status.description
    return Status(status.status_code, hide_secrets(text) if text else None)


def _without(attributes: Attributes) -> Mapping[str, AttributeValue]:
    return {name: _plain(value) for name, value in (attributes or {}).items()}


def _plain(value: AttributeValue) -> AttributeValue:
    if isinstance(value, str):
        return hide_secrets(value)
    if isinstance(value, Sequence) and all(isinstance(one, str) for one in value):
        return [hide_secrets(str(one)) for one in value]
    return value
