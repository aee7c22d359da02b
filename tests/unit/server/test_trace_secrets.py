"""No span takes a secret out of this process."""

from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, Status, StatusCode

from potluck import settings
from potluck.server.trace_secrets import SecretsHidden
from potluck.settings import know_secret

PLANTED = 'planted/"secret'


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "_known", set())
    know_secret(PLANTED)


def test_nothing_in_a_span_tells_a_secret_and_all_else_stays() -> None:
    sent = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(SecretsHidden(sent)))
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("parent"):
        link = Link(tracer.start_span("other").get_span_context(), {"of": PLANTED})
        with tracer.start_as_current_span(f"call {PLANTED}", links=[link]) as span:
            span.set_attribute("url", "https://h/?key=planted%2F%22secret")
            span.set_attribute("body", '{"key": "planted/\\"secret"}')
            span.set_attribute("many", [PLANTED, "plain"])
            span.set_attribute("numbers", [1, 2])
            span.set_attribute("count", 3)
            span.record_exception(ValueError(f"Wrong key {PLANTED}."))
            span.set_status(Status(StatusCode.ERROR, f"Wrong key {PLANTED}."))
    child, parent = sent.get_finished_spans()
    text = child.to_json()
    assert "planted" not in text
    assert child.name == "call [key]"
    attributes = dict(child.attributes or {})
    assert (attributes["numbers"], attributes["count"]) == ((1, 2), 3)
    assert list(attributes["many"]) == ["[key]", "plain"]  # type: ignore[arg-type] # a list
    assert "Wrong key [key]." in str(child.events[0].attributes)
    assert child.parent is not None
    assert child.parent.span_id == parent.context.span_id  # type: ignore[union-attr] # it has one
    assert child.status.status_code is StatusCode.ERROR
    assert child.end_time is not None


class Flaky(SpanExporter):
    """An exporter to a collector that comes and goes."""

    is_there = True

    def export(self, _: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS if self.is_there else SpanExportResult.FAILURE


def test_a_collector_that_is_away_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    flaky = Flaky()
    exporter = SecretsHidden(flaky)
    for flaky.is_there in (True, False, False, False, True, True):
        exporter.export([])
    away, back = caplog.messages
    assert "takes no spans" in away
    assert "takes spans again" in back
