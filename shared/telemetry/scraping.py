"""The metrics' own web server: `GET /metrics` on a port of its own, for whoever has the token."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from shared.errors import DroverError

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

    from shared.telemetry.metrics import Metrics

PATIENCE = 10.0
"""Seconds that a scraper may take to say what it wants; its thread is not for ever."""
EVERYWHERE, HERE = "0.0.0.0", "127.0.0.1"  # noqa: S104 scraped from outside the pod, by whoever has the token

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class MetricsError(DroverError):
    """The port of the metrics can't be opened."""


@dataclass(frozen=True)
class MetricsServer:
    """A running server, a daemon thread."""

    port: int
    _server: WSGIServer
    _thread: Thread

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


class _Handler(WSGIRequestHandler):
    timeout = PATIENCE

    def handle(self) -> None:
        """One request; whoever says nothing, or leaves, is no error of ours."""
        with suppress(TimeoutError, ConnectionError):
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:
        """A scrape every few seconds is no news."""


def metrics_app(metrics: Metrics, token: str | None = None) -> App:
    """The WSGI application; with a token, for those alone who send it as a bearer (RFC 6750)."""
    inner = make_wsgi_app(metrics.registry)
    expected = None if token is None else f"Bearer {token}".encode()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        given = str(environ.get("HTTP_AUTHORIZATION", "")).encode("utf-8", "replace")
        if expected is None or hmac.compare_digest(expected, given):
            found: Iterable[bytes] = inner(environ, start_response)
            return found
        metrics.refused("metrics", "bad token" if given else "nothing")
        headers = [("WWW-Authenticate", 'Bearer realm="drover metrics"'), ("Content-Type", "application/json")]
        start_response("401 Unauthorized", headers)
        return [b'{"error": "expected `Authorization: Bearer` and the token of DROVER_METRICS_TOKEN"}']

    return app


def serve_metrics(metrics: Metrics, port: int, token: str | None = None, address: str | None = None) -> MetricsServer:
    """Serve `GET /metrics` on a port; 0 takes a free one.

    Args:
        token: what a scraper must send as a bearer; None: anybody may look, but only on this machine.
        address: to listen on; by default every address with a token, and 127.0.0.1 without.

    Raises:
        MetricsError: the port is taken, or this user may not open it.
    """
    address = address or (EVERYWHERE if token else HERE)
    try:
        server = make_server(address, port, metrics_app(metrics, token), ThreadingWSGIServer, _Handler)
    except OSError as error:
        raise MetricsError(
            f"DROVER_METRICS_PORT: port {port} of {address} can't be opened ({error.strerror}); "
            "choose one that is free, or unset it to serve no metrics"
        ) from error
    thread = Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    return MetricsServer(server.server_port, server, thread)
