"""Spans kept in memory, for tests that look at them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from potluck import telemetry


@dataclass
class Spans:
    """The spans that have ended so far."""

    exporter: InMemorySpanExporter

    def all(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def names(self) -> list[str]:
        return [span.name for span in self.all()]

    def one(self, name: str) -> ReadableSpan:
        [found] = [span for span in self.all() if span.name == name]
        return found

    def parent_of(self, name: str) -> str | None:
        """The name of the span above the one of that name."""
        parent = self.one(name).parent
        by_id = {span.context.span_id: span.name for span in self.all() if span.context}
        return by_id[parent.span_id] if parent else None

    def told(self) -> str:
        """Everything that we put into them, to look for what must not be.

        Times and ids are left out: any short number turns up in them now and then.
        """
        return "\n".join(_told(json.loads(span.to_json())) for span in self.all())


def _told(span: dict[str, Any]) -> str:
    events = [{**event, "timestamp": None} for event in span["events"]]
    links = [link["attributes"] for link in span["links"]]
    # The id of the process is made anew for each
    own = {**span["resource"]["attributes"], "service.instance.id": None}
    return json.dumps([span["name"], span["status"], span["attributes"], events, links, own])


@contextmanager
def collected() -> Iterator[Spans]:
    """Inside the block, our spans are kept."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with telemetry.use_provider(provider):
        yield Spans(exporter)
    provider.shutdown()
