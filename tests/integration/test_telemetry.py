"""Metrics and traces over real sockets, on the loopback address."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from shared.telemetry.metrics import Metrics
from shared.telemetry.scraping import MetricsError, serve_metrics
from shared.telemetry.traces import start_tracing


class Collector(ThreadingHTTPServer):
    """An OTLP/HTTP collector that keeps what it gets."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receiver)
        self.received: list[tuple[str, ExportTraceServiceRequest]] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, Collector)
        self.server.received.append((self.path, ExportTraceServiceRequest.FromString(body)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """The requests are in `received`."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A running collector."""
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(timeout=5)


def test_metrics_are_served() -> None:
    """`GET /metrics` answers with what was counted, and after closing the port is free again."""
    metrics = Metrics()
    metrics.outbox_waiting(3)
    server = serve_metrics(metrics, 0)
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=5) as answer:
        assert "drover_outbox_waiting 3.0" in answer.read().decode()
    server.close()
    serve_metrics(metrics, server.port).close()


def test_a_taken_port_is_told() -> None:
    """When the port is taken, the message names the variable, the port and the way out."""
    server = serve_metrics(Metrics(), 0)
    try:
        with pytest.raises(MetricsError, match=rf"DROVER_METRICS_PORT: port {server.port} .*choose one") as caught:
            serve_metrics(Metrics(), server.port)
        assert "in use" in str(caught.value)
    finally:
        server.close()


def test_spans_reach_a_collector(collector: Collector) -> None:
    """Closing sends the spans to /v1/traces below the configured address, in the sender's trace."""
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    tracing = start_tracing(collector.endpoint + "/", "migrate")
    with tracing.span("event", parent=parent, type="io.drover.tick"):
        pass
    tracing.close()
    ((path, request),) = collector.received
    (span,) = request.resource_spans[0].scope_spans[0].spans
    assert path == "/v1/traces"
    assert (span.name, span.trace_id.hex()) == ("event", parent.split("-")[1])
    attributes = {item.key: item.value.string_value for item in request.resource_spans[0].resource.attributes}
    assert attributes["service.name"] == "migrate"


def test_metrics_want_their_token() -> None:
    """Over a real socket: 401 without it or with another, the metrics with it; refusals are counted as such."""
    metrics = Metrics()
    server = serve_metrics(metrics, 0, "0123456789abcdef", "127.0.0.1")
    try:
        for given in (None, "Bearer 0123456789abcdee"):
            request = urllib.request.Request(f"http://127.0.0.1:{server.port}/metrics")
            if given:
                request.add_header("Authorization", given)
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(request, timeout=5)
        request.add_header("Authorization", "Bearer 0123456789abcdef")
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert 'drover_refused_total{door="metrics",reason="bad token"} 1.0' in answer.read().decode()
    finally:
        server.close()
