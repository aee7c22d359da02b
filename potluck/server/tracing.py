"""Where spans go: to an OpenTelemetry collector, if one is set."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from socket import gethostname

from openinference.instrumentation import TraceConfig
from openinference.instrumentation.langchain import LangChainInstrumentor
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.util.re import parse_env_headers

from potluck.server.trace_secrets import SecretsHidden
from potluck.settings import Settings

EXPORT_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 5.0


@asynccontextmanager
async def spans_sent(settings: Settings) -> AsyncIterator[None]:
    """Inside the block, this process's spans go to the collector of the settings, if there is one.

    A collector that is away costs nothing but the spans.
    """
    if settings.otel_exporter_otlp_endpoint is None:
        yield
        return
    provider = _provider(settings)
    processor = BatchSpanProcessor(_exporter(settings))
    provider.add_span_processor(processor)
    instrumentor = LangChainInstrumentor()
    with_contents = settings.potluck_trace_contents
    if with_contents and not instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.instrument(tracer_provider=provider, config=TraceConfig())
    try:
        yield
    finally:
        # What is still to be sent is sent by a thread of its own, which may hang
        close = asyncio.to_thread(processor.force_flush, int(CLOSE_TIMEOUT_S * 1000))
        await asyncio.wait({asyncio.ensure_future(close)}, timeout=CLOSE_TIMEOUT_S)


def _provider(settings: Settings) -> TracerProvider:
    """The provider of this process, which Aegra has made if OTEL_TARGETS is set, else ours."""
    found = trace.get_tracer_provider()
    if isinstance(found, TracerProvider):
        return found
    made = TracerProvider(
        resource=Resource.create(
            {
                "service.name": settings.otel_service_name,
                "service.version": version("potluck"),
                "service.instance.id": gethostname(),
            }
        )
    )
    trace.set_tracer_provider(made)
    return made


def _exporter(settings: Settings) -> SpanExporter:
    headers = settings.otel_exporter_otlp_headers
    written = headers.get_secret_value() if headers is not None else ""
    return SecretsHidden(
        OTLPSpanExporter(
            endpoint=f"{str(settings.otel_exporter_otlp_endpoint).rstrip('/')}/v1/traces",
            headers=parse_env_headers(written, liberal=True),
            timeout=EXPORT_TIMEOUT_S,
        )
    )
