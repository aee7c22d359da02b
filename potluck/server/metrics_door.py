"""The metrics door: `GET /metrics`, for Prometheus."""

from collections.abc import Iterable, Iterator

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder

from potluck import engine
from potluck.server.guard import METRICS_PATH
from potluck.server.metrics import Metrics
from potluck.server.metrics_reading import read
from potluck.server.ownership import caller

# Aegra's own counters: runs taken over from dead replicas, threads that expired
_FOREIGN = "aegra_"
_FORBIDDEN = (
    "This key may not read the metrics: use one with the role metrics or admin "
    "(name:secret:metrics in POTLUCK_API_KEYS)."
)


def mount(app: FastAPI, metrics: Metrics) -> None:
    """Add `/metrics`."""

    async def scrape(request: Request) -> Response:
        """Counters of this process, and quota, parked runs and sandboxes as they stand now."""
        who = caller()
        if who is not None and who.role not in {"admin", "metrics"}:
            raise HTTPException(403, _FORBIDDEN)
        try:
            readings = await read(await engine.current())
        except TimeoutError as error:
            raise HTTPException(503, "The quota could not be read in time; try again.") from error
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        page = _Page(metrics.registry, readings)
        return Response(encode(page), media_type=content_type)

    app.get(
        METRICS_PATH,
        tags=["Metrics"],
        summary="Metrics for Prometheus",
        response_class=PlainTextResponse,
    )(scrape)


class _Page:
    """All that one answer shows, as a registry to read from."""

    def __init__(self, registry: CollectorRegistry, readings: Iterable[Metric]) -> None:
        self._registry = registry
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        """Each metric."""
        yield from self._registry.collect()
        yield from self._readings
        yield from (one for one in REGISTRY.collect() if one.name.startswith(_FOREIGN))
