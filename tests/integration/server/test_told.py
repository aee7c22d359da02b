"""What a running server tells of itself: metrics, one trace for a request, logs as JSON."""

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from potluck.simulator.reply import Fault, Reply
from potluck.simulator.server import SimulatorServer
from tests.conftest import PotluckServer, unlimited_config

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

KEYS = "ann:ann-has-a-key,prometheus:prom-has-a-key:metrics,root:root-has-a-key:admin"
DIARY = "my diary of today"
QUESTION = f"What is 17*23? It is for {DIARY}."
FAILING = "Once it fails"
SPANS_WITHIN_S = 15
LINES_WITHIN_S = 5
DOORS = ("/v1/chat/completions", "/v1/models")


@dataclass
class Collector:
    """An OpenTelemetry collector that keeps what it is sent."""

    requests: list[ExportTraceServiceRequest] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def spans(self) -> list[Any]:
        return [
            span
            for request in list(self.requests)
            for of_resource in request.resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]

    def trace_of(self, request_id: str, *names: str) -> list[Any]:
        """The spans of the request's trace, once all of these names are there."""
        deadline = time.monotonic() + SPANS_WITHIN_S
        found: list[Any] = []
        while time.monotonic() < deadline:
            spans = self.spans()
            ids = {s.trace_id for s in spans if facts(s).get("potluck.request_id") == request_id}
            found = [span for span in spans if span.trace_id in ids]
            if set(names) <= {span.name for span in found}:
                return found
            time.sleep(0.1)
        raise AssertionError(f"only {sorted(span.name for span in found)} came")


def facts(span: Any) -> dict[str, Any]:
    """A span's attributes."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    kept = Collector()

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            request = ExportTraceServiceRequest()
            request.ParseFromString(body)
            assert self.path == "/v1/traces"
            kept.headers.append(dict(self.headers))
            kept.requests.append(request)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        kept.url = f"http://127.0.0.1:{server.server_port}"
        yield kept
        server.shutdown()


@pytest.fixture(scope="module")
def told(
    make_server: Callable[..., PotluckServer],
    collector: Collector,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[PotluckServer]:
    config = unlimited_config(tmp_path_factory.mktemp("told") / "config")
    with SimulatorServer() as simulator:
        yield make_server(
            simulator=simulator,
            env={
                "POTLUCK_CONFIG_DIR": str(config),
                "POTLUCK_API_KEYS": KEYS,
                "POTLUCK_LOG_FORMAT": "json",
                "POTLUCK_LOG_LEVEL": "info",
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
                "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=tea,authorization=Bearer%20collectors",
                "OTEL_BSP_SCHEDULE_DELAY": "200",
            },
        )


def ask(server: PotluckServer, request_id: str, **body: Any) -> None:
    asked = {"model": "potluck", "messages": [{"role": "user", "content": QUESTION}]}
    answer = httpx.post(
        f"{server.url}/v1/chat/completions",
        json=asked | body,
        headers={"Authorization": "Bearer ann-has-a-key", "X-Request-Id": request_id},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["X-Request-Id"] == request_id


def metrics(server: PotluckServer) -> dict[tuple[str, ...], float]:
    page = httpx.get(
        f"{server.url}/metrics", headers={"Authorization": "Bearer prom-has-a-key"}, timeout=20
    )
    assert page.status_code == 200, page.text
    return {
        (sample.name, *(sample.labels[key] for key in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(page.text)
        for sample in family.samples
    }


def sum_of(told: dict[tuple[str, ...], float], name: str, *labels: str) -> float:
    return sum(value for key, value in told.items() if key[0] == name and set(labels) <= set(key))


def log_lines(server: PotluckServer, until: str = "") -> list[dict[str, Any]]:
    """Everything that the server has written, once the answer to request `until` stands in it."""
    deadline = time.monotonic() + LINES_WITHIN_S
    while True:
        lines = [json.loads(line) for line in server.output.splitlines()]
        answered = (line.get("request_id") for line in lines if line.get("path") in DOORS)
        if not until or until in answered or time.monotonic() > deadline:
            return lines
        time.sleep(0.05)


def test_metrics_tell_what_was_done(told: PotluckServer) -> None:
    before = metrics(told)
    ask(told, "req-metrics")
    after = metrics(told)

    def grew(name: str, *labels: str) -> float:
        return sum_of(after, name, *labels) - sum_of(before, name, *labels)

    assert grew("potluck_calls_total", "answered") == 2
    assert grew("potluck_chain_calls_total", "first") == 2
    assert grew("potluck_tokens_total", "input") > 100
    assert grew("potluck_time_to_first_token_seconds_count") == 2
    assert grew("potluck_runs_total", "success") == 1
    assert grew("potluck_run_duration_seconds_count", "success") == 1
    assert grew("potluck_http_requests_total", "openai", "200") == 1
    assert after["potluck_runs_in_progress",] == 0
    assert after["potluck_database_up",] == 1
    assert after["potluck_event_loop_lag_seconds_count",] > 0


def test_a_model_that_fails_is_passed_over_and_counted(told: PotluckServer) -> None:
    assert told.simulator is not None
    before = metrics(told)
    told.simulator.script.on(Reply(fault=Fault.named("server_error")), text=FAILING, times=1)
    question = {"role": "user", "content": FAILING}
    ask(told, "req-fallback", model="auto", messages=[question])
    after = metrics(told)
    passed = sum_of(after, "potluck_fallbacks_total") - sum_of(before, "potluck_fallbacks_total")
    assert passed == 1
    name = "potluck_chain_calls_total"
    assert sum_of(after, name, "fallback") - sum_of(before, name, "fallback") == 1


def test_who_is_refused_is_counted_and_logged(told: PotluckServer) -> None:
    before = metrics(told)
    for key, path, status in (
        ("nobody", "/v1/models", 401),
        ("prom-has-a-key", "/quota", 403),
        ("ann-has-a-key", "/metrics", 403),
    ):
        headers = {"Authorization": f"Bearer {key}", "X-Request-Id": f"req-{status}{path[:3]}"}
        assert httpx.get(told.url + path, headers=headers, timeout=20).status_code == status
    after = metrics(told)
    for door, status in (("openai", "401"), ("quota", "403"), ("metrics", "403")):
        name = "potluck_http_requests_total"
        assert sum_of(after, name, door, status) - sum_of(before, name, door, status) == 1
    lines = [line for line in log_lines(told) if line["event"] == "request"]
    seen = [(x["path"], x["status"]) for x in lines if str(x["request_id"]).startswith("req-40")]
    assert seen == [("/v1/models", 401), ("/quota", 403), ("/metrics", 403)]


def test_only_who_may_count_reads_the_metrics(told: PotluckServer) -> None:
    def status(path: str, key: str) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.get(told.url + path, headers=headers, timeout=20).status_code

    assert status("/metrics", "root-has-a-key") == 200
    assert status("/metrics", "ann-has-a-key") == 403
    assert status("/metrics", "nobody") == 401
    for path in ("/v1/models", "/quota", "/threads/search", "/openapi.json", "/docs"):
        assert status(path, "prom-has-a-key") == 403


def test_a_request_is_one_trace_from_the_door_to_the_provider(
    told: PotluckServer, collector: Collector
) -> None:
    ask(told, "req-trace")
    door, inner = "POST /v1/chat/completions", "POST /runs/stream"
    run, tool = "invoke_agent agent", "execute_tool calculator"
    spans = collector.trace_of("req-trace", door, inner, run, tool)
    assert len({span.trace_id for span in spans}) == 1
    by_id = {span.span_id: span for span in spans}

    def line(span: Any) -> list[str]:
        """The names from the span up to the root."""
        above = by_id.get(span.parent_span_id)
        return [span.name, *(line(above) if above is not None else [])]

    lines = [line(span) for span in spans]
    started = [run, inner, door]
    [call] = [one for one in lines if one[0].startswith("chat ") and "node triage" in one]
    assert call[1:] == ["chain", "node triage", *started]
    assert [tool, "node tools", *started] in lines
    [called] = [span for span in spans if line(span) == call]
    assert facts(called)["gen_ai.operation.name"] == "chat"
    assert facts(called)["gen_ai.usage.input_tokens"] > 0
    [ran] = [span for span in spans if span.name == run]
    assert facts(ran)["potluck.status"] == "success"


def test_a_client_stands_above_its_request(told: PotluckServer, collector: Collector) -> None:
    trace_id, span_id = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    httpx.get(
        f"{told.url}/v1/models",
        headers={
            "Authorization": "Bearer ann-has-a-key",
            "X-Request-Id": "req-client",
            "traceparent": f"00-{trace_id}-{span_id}-01",
        },
        timeout=20,
    ).raise_for_status()
    [span] = collector.trace_of("req-client", "GET /v1/models")
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (trace_id, span_id)


def test_the_collector_is_sent_its_headers_and_nothing_that_was_said(
    told: PotluckServer, collector: Collector
) -> None:
    ask(told, "req-quiet")
    collector.trace_of("req-quiet", "invoke_agent agent")
    assert collector.headers[-1]["x-tenant"] == "tea"
    assert collector.headers[-1]["authorization"] == "Bearer collectors"
    sent = "".join(str(request) for request in collector.requests)
    assert DIARY not in sent
    assert "has-a-key" not in sent


def test_every_line_of_the_log_is_json_and_those_of_a_run_say_so(told: PotluckServer) -> None:
    ask(told, "req-log")
    lines = log_lines(told, until="req-log")
    assert {"timestamp", "level", "event", "logger"} <= set.intersection(*map(set, lines))
    of_request = [line for line in lines if line.get("request_id") == "req-log"]
    [begun] = [line for line in of_request if line["event"] == "run begins"]
    calls = [line for line in of_request if line["event"] == "call"]
    assert len(calls) == 2
    for line in calls:
        assert (line["run_id"], line["thread_id"]) == (begun["run_id"], begun["thread_id"])
        assert line["provider"]
        assert line["user_id"] == "ann"
        assert len(line["trace_id"]) == 32
    [asked] = [line for line in of_request if line.get("path") == "/v1/chat/completions"]
    assert (asked["method"], asked["status"]) == ("POST", 200)


def test_what_is_asked_every_few_seconds_stands_in_no_log_unless_it_fails(
    told: PotluckServer,
) -> None:
    headers = {"Authorization": "Bearer ann-has-a-key", "X-Request-Id": "req-polled"}
    for path in ("/metrics", "/health", "/v1/models"):
        httpx.get(told.url + path, headers=headers, timeout=20)
    metrics(told)
    lines = log_lines(told, until="req-polled")
    assert not [x for x in lines if x.get("path") == "/metrics" and x["status"] == 200]
    polled = [x for x in lines if x.get("request_id") == "req-polled"]
    assert [(x["path"], x["status"]) for x in polled] == [("/metrics", 403), ("/v1/models", 200)]


def test_no_line_of_the_log_holds_a_key_or_what_was_said(told: PotluckServer) -> None:
    ask(told, "req-secret")
    assert "has-a-key" not in told.output
    assert "collectors" not in told.output
    assert DIARY not in told.output


def test_a_run_bears_the_id_of_its_request(told: PotluckServer) -> None:
    headers = {"Authorization": "Bearer ann-has-a-key", "X-Request-Id": "req-run"}
    with httpx.Client(base_url=told.url, headers=headers, timeout=60) as client:
        thread = client.post("/threads", json={}).json()["thread_id"]
        run = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "hi"}]}}
        client.post(f"/threads/{thread}/runs/wait", json=run).raise_for_status()
        state = client.get(f"/threads/{thread}/state").json()
    assert state["metadata"]["request_id"] == "req-run"


def test_what_was_said_is_in_the_spans_once_that_is_wished(
    start_server: Callable[..., PotluckServer], collector: Collector
) -> None:
    server = start_server(
        env={
            "POTLUCK_API_KEYS": KEYS,
            "POTLUCK_TRACE_CONTENTS": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
    )
    ask(server, "req-contents")
    spans = collector.trace_of("req-contents", "invoke_agent agent", "agent")
    assert any(DIARY in str(facts(span).get("input.value", "")) for span in spans)
    assert "has-a-key" not in str(spans)
