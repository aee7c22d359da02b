"""What is counted in this process, in Prometheus's terms; each app has a registry of its own.

Labels hold names of the catalog and words of ours, never what users send. What is kept in the
database or changes by itself is read when it is asked for: see metrics_reading.
"""

from importlib.metadata import PackageNotFoundError, version
from platform import python_version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

from potluck.providers.observed import ChainRecord
from potluck.quota.calls import CallRecord

MOST_MODELS = 500
"""How many models get series of their own; those beyond share one."""
OTHER = "other"
_CALL_S = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 180)
_RUN_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640, 1800, 3600)
_LAG_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_PACKAGES = {"aegra": "aegra-api", "langgraph": "langgraph", "langchain_core": "langchain-core"}


class Metrics:
    """Every counter of one app, and how what happens is put into them."""

    def __init__(self) -> None:
        # When each series was made is of no use, and doubles them
        disable_created_metrics()  # type: ignore[no-untyped-call] # as it comes
        self.registry = CollectorRegistry()
        self._models: set[tuple[str, str]] = set()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        build = Info("potluck_build", "Versions of what runs here.", registry=self.registry)
        build.info({"version": _version("potluck"), "python": python_version()} | _versions())
        self.calls = self._counter(
            "calls", "Calls to models, by how they ended.", "provider", "model", "outcome"
        )
        self.failures = self._counter(
            "call_failures", "Calls that failed, by kind of error.", "provider", "model", "kind"
        )
        self.fallbacks = self._counter(
            "fallbacks",
            "Times that a model failed or had no room and another one answered in its place.",
            "provider", "model", "kind",
        )  # fmt: skip
        self.chains = self._counter(
            "chain_calls",
            "Questions to the chain, by who answered: the first asked, a fallback, the offline "
            "model, nobody.",
            "outcome",
        )
        self.tokens = self._counter(
            "tokens", "Tokens used, as providers count them.", "provider", "model", "direction"
        )
        self.cache_hits = self._counter(
            "cache_hits", "Questions answered from the cache.", "provider", "model"
        )
        self.saved = self._counter(
            "cache_saved_tokens", "Tokens that answers from the cache saved.", "direction"
        )
        self.first_token = self._histogram(
            "time_to_first_token_seconds", "From a call to its first word.", _CALL_S, "provider"
        )
        self.call_time = self._histogram(
            "call_duration_seconds", "Calls that were answered, from end to end.", _CALL_S,
            "provider",
        )  # fmt: skip
        self.runs = self._counter("runs", "Runs of the agent, by how they ended.", "status")
        self.run_time = self._histogram(
            "run_duration_seconds", "Runs of the agent, from start to end.", _RUN_S, "status"
        )
        self.runs_now = self._gauge("runs_in_progress", "Runs of the agent under way.")
        self.sandbox = self._counter(
            "sandbox_runs", "Cells and commands run, by how they ended.", "kind", "result"
        )
        self.sandbox_time = self._histogram(
            "sandbox_run_duration_seconds", "Cells and commands, from start to end.", _CALL_S,
            "kind",
        )  # fmt: skip
        self.requests = self._counter(
            "http_requests", "Requests, by door and status.", "door", "status"
        )
        self.requests_now = self._gauge(
            "http_requests_in_progress", "Requests being answered, streams among them.", "door"
        )
        self.lag = self._histogram(
            "event_loop_lag_seconds", "How late the event loop wakes up a task.", _LAG_S
        )
        self._begin_at_zero()

    def note_call(self, record: CallRecord) -> None:
        """Count a call to a model, or an answer from the cache."""
        model = self._model(record.provider, record.model)
        self.calls.labels(*model, record.outcome).inc()
        if record.outcome == "cached":
            self.cache_hits.labels(*model).inc()
            self.saved.labels("input").inc(record.input_tokens)
            self.saved.labels("output").inc(record.output_tokens)
            return
        self.tokens.labels(*model, "input").inc(record.input_tokens)
        self.tokens.labels(*model, "output").inc(record.output_tokens)
        if record.error is not None:
            self.failures.labels(*model, record.error).inc()
        if record.first_token_s is not None:
            self.first_token.labels(model[0]).observe(record.first_token_s)
        if record.outcome == "answered":
            self.call_time.labels(model[0]).observe(record.duration_s)

    def note_chain(self, record: ChainRecord) -> None:
        """Count a question to the chain."""
        self.chains.labels(record.outcome).inc()
        if record.outcome != "fallback":
            return
        for error in record.passed:
            model = self._model(error.provider, error.model)
            self.fallbacks.labels(*model, error.kind.value).inc()

    def note_run(self, status: str, duration_s: float) -> None:
        """Count a run of the agent that has ended here."""
        self.runs.labels(status).inc()
        self.run_time.labels(status).observe(duration_s)

    def note_sandbox(self, kind: str, result: str, duration_s: float) -> None:
        """Count a cell or a command."""
        self.sandbox.labels(kind, result).inc()
        self.sandbox_time.labels(kind).observe(duration_s)

    def _model(self, provider: str, model: str) -> tuple[str, str]:
        """The labels of a model; a shared one where there are too many."""
        pair = (provider, model)
        if pair not in self._models:
            if len(self._models) >= MOST_MODELS:
                return OTHER, OTHER
            self._models.add(pair)
        return pair

    def _begin_at_zero(self) -> None:
        """Have what is rare there from the start: a rate over a series that appears is nothing."""
        for status in ("success", "error", "interrupted", "cancelled", "handed_over"):
            self.runs.labels(status)
        for outcome in ("first", "fallback", "offline", "failed", "cancelled"):
            self.chains.labels(outcome)
        for kind in ("python", "shell"):
            for result in ("ok", "error", "time", "memory", "disk"):
                self.sandbox.labels(kind, result)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"potluck_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"potluck_{name}", text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(f"potluck_{name}", text, labels, buckets=buckets, registry=self.registry)


def _versions() -> dict[str, str]:
    return {label: _version(package) for label, package in _PACKAGES.items()}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
