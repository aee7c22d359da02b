"""Spans nest as the work does, also through streams, and hold no words of errors."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

import pytest
from langgraph.errors import GraphInterrupt
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from potluck import telemetry
from tests.collected import Spans, collected


@pytest.fixture
def spans() -> Iterator[Spans]:
    with collected() as kept:
        yield kept


def test_nobody_collects_unless_asked() -> None:
    assert not telemetry.is_on()
    with telemetry.span("alone") as made:
        assert not made.is_recording()
    assert telemetry.carried() == {}


def test_spans_nest(spans: Spans) -> None:
    assert telemetry.is_on()
    with telemetry.span("outer"), telemetry.span("inner", {"potluck.node": "x"}):
        pass
    assert spans.parent_of("inner") == "outer"
    assert spans.parent_of("outer") is None
    assert dict(spans.one("inner").attributes or {}) == {"potluck.node": "x"}


def test_an_error_is_told_by_its_kind_alone(spans: Spans) -> None:
    with pytest.raises(ValueError, match="my diary"), telemetry.span("work"):
        raise ValueError("my diary")
    made = spans.one("work")
    assert made.status.status_code is StatusCode.ERROR
    assert (made.attributes or {})["error.type"] == "ValueError"
    assert "diary" not in spans.told()


def test_a_run_that_stops_for_later_has_not_failed(spans: Spans) -> None:
    with pytest.raises(GraphInterrupt), telemetry.span("node"):
        raise GraphInterrupt
    made = spans.one("node")
    assert made.status.status_code is StatusCode.UNSET
    assert (made.attributes or {})["potluck.interrupted"] is True


async def test_a_streams_span_is_current_in_the_stream_and_not_in_its_reader(spans: Spans) -> None:
    async def words() -> AsyncGenerator[str]:
        for word in ("a", "b"):
            with telemetry.span(f"making {word}"):
                yield word

    stream = telemetry.begin("stream")
    with telemetry.span("reader"):
        reader = trace.get_current_span()
        async with aclosing(telemetry.each_within(stream, words())) as read:
            async for _ in read:
                pass
        stream.end()
    assert spans.parent_of("making a") == "stream"
    assert reader.get_span_context().is_valid


async def test_a_reader_of_a_stream_keeps_its_own_span(spans: Spans) -> None:
    async def numbers() -> AsyncGenerator[int]:
        yield 1
        yield 2

    stream = telemetry.begin("stream")
    with telemetry.span("reader") as own:
        async with aclosing(telemetry.each_within(stream, numbers())) as read:
            async for _ in read:
                assert trace.get_current_span() is own
        assert trace.get_current_span() is own


def test_a_span_is_carried_to_another_process(spans: Spans) -> None:
    with telemetry.span("here"):
        headers = telemetry.carried()
    telemetry.begin("there", parent=telemetry.carried_by(headers)).end()
    assert spans.parent_of("there") == "here"
    assert spans.one("there").context.trace_id == spans.one("here").context.trace_id  # type: ignore[union-attr]
