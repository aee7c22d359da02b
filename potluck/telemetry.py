"""Spans: what a request sets in motion, as OpenTelemetry tells it, without a word of what is said.

Names are those of OpenTelemetry's conventions for HTTP and for generative AI where there are any,
else begin with `potluck.`. As long as nobody collects them, they cost next to nothing.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager

from langgraph.errors import GraphBubbleUp
from opentelemetry import context, propagate, trace
from opentelemetry.trace import (
    ProxyTracerProvider,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    TracerProvider,
)

NAME = "potluck"
ERROR_TYPE = "error.type"
OPERATION = "gen_ai.operation.name"
AGENT = "gen_ai.agent.name"
CONVERSATION = "gen_ai.conversation.id"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
TOOL = "gen_ai.tool.name"
TOOL_CALL = "gen_ai.tool.call.id"
REQUEST_ID = "potluck.request_id"
RUN_ID = "potluck.run_id"

Value = str | bool | int | float
Attributes = Mapping[str, Value]


class _Tracing:
    """Who makes the spans: the process's own provider of tracers, or a test's."""

    def __init__(self) -> None:
        # Goes over to the process's provider once there is one
        self.tracer: Tracer = trace.get_tracer(NAME)
        self.is_replaced = False


_tracing = _Tracing()


@contextmanager
def use_provider(provider: TracerProvider) -> Iterator[None]:
    """Inside the block, spans are made by `provider`."""
    kept = _tracing.tracer, _tracing.is_replaced
    _tracing.tracer, _tracing.is_replaced = provider.get_tracer(NAME), True
    try:
        yield
    finally:
        _tracing.tracer, _tracing.is_replaced = kept


def is_on() -> bool:
    """Whether somebody may collect spans."""
    return _tracing.is_replaced or not isinstance(trace.get_tracer_provider(), ProxyTracerProvider)


def begin(
    name: str,
    attributes: Attributes | None = None,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    parent: context.Context | None = None,
) -> Span:
    """A span under the current one, or `parent`; whoever began it must end it."""
    return _tracing.tracer.start_span(name, parent, kind=kind, attributes=attributes)


@contextmanager
def span(
    name: str, attributes: Attributes | None = None, *, kind: SpanKind = SpanKind.INTERNAL
) -> Iterator[Span]:
    """A span for the block, current in it; what is raised marks it. Not for async generators."""
    made = begin(name, attributes, kind=kind)
    with current(made), ended(made):
        yield made


@contextmanager
def current(made: Span) -> Iterator[None]:
    """Make the span the parent of those begun in the block."""
    token = context.attach(trace.set_span_in_context(made))
    try:
        yield
    finally:
        context.detach(token)


@contextmanager
def ended(made: Span) -> Iterator[None]:
    """End the span with the block, marked with what it raised."""
    try:
        yield
    except GraphBubbleUp:
        # A run that stops to be gone on with later
        made.set_attribute("potluck.interrupted", True)  # noqa: FBT003 # OpenTelemetry's signature
        raise
    except Exception as error:
        fail(made, type(error).__name__)
        raise
    finally:
        made.end()


async def each_within[Item](made: Span, stream: AsyncGenerator[Item]) -> AsyncGenerator[Item]:
    """The items of a stream, each made while the span is current, read while it is not."""
    # A generator runs in the context of its reader, step by step: nothing may stay behind in it
    while True:
        with current(made):
            try:
                item = await anext(stream)
            except StopAsyncIteration:
                return
        yield item


def fail(made: Span, kind: str) -> None:
    """Mark the span as failed, by the kind of the error: its text may quote what was said."""
    made.set_attribute(ERROR_TYPE, kind)
    made.set_status(Status(StatusCode.ERROR))


def carried() -> dict[str, str]:
    """The headers that tell another process of the current span; none without one."""
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers


def carried_by(headers: Mapping[str, str]) -> context.Context:
    """The context of the span that these headers tell of, by lower-case name; else this one."""
    return propagate.extract(headers, context.get_current())
