"""The HTTP door: the simulated cloud on a port of the loopback address."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from lab.simulator.control import ROOT, Control
from lab.simulator.front import Front
from lab.simulator.protocol import Answer, Dropped

LOG = logging.getLogger(__name__)

THREADS = 32
"""Connections that are served at once; further ones wait."""
IDLE = 5.0
"""Seconds after which a connection that says nothing is closed, so that it does not hold a thread."""
LONGEST = 16 * 2**20
"""Bytes of the longest body that is read."""


class Door(HTTPServer):
    """Serves a `Front`, and the control path, until it is closed."""

    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, front: Front, control: Control, port: int = 0) -> None:
        """Begin to listen.

        Args:
            front: what is served.
            control: what answers below `/control`.
            port: 0 takes a free one.

        Raises:
            OSError: the port is taken.
        """
        self.front = front
        self.control = control
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="simulator")
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def base(self) -> str:
        """The cloud's address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start(self) -> None:
        """Serve in a thread of its own."""
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand a new connection to one of the threads."""
        self._pool.submit(self._work, request, client_address)

    def _work(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except OSError:
            LOG.debug("a connection broke off", exc_info=True)
        finally:
            self.shutdown_request(request)

    def close(self) -> None:
        """Stop listening; requests that are being answered are finished."""
        self.shutdown()
        self.server_close()
        self._pool.shutdown(wait=False, cancel_futures=True)


class Handler(BaseHTTPRequestHandler):
    """One connection, which may carry many requests."""

    server: Door
    protocol_version = "HTTP/1.1"
    server_version = "drover-simulator"
    timeout = IDLE
    disable_nagle_algorithm = True
    wbufsize = -1

    def answer(self) -> None:
        """Answer a request of any method."""
        length = int(self.headers.get("Content-Length") or 0)
        if length > LONGEST:
            self.close_connection = True
            self._write(Answer(413, {"error": {"code": 413, "message": "the body is too long"}}))
            return
        body = self.rfile.read(length) if length else b""
        if self.server.front.trouble.unreachable and not self.path.startswith(ROOT):
            self.close_connection = True
            return
        try:
            self._write(self._found(body))
        except Dropped:
            self.close_connection = True

    def _found(self, body: bytes) -> Answer:
        if self.path.startswith(ROOT):
            return self.server.control.answer(self.command, self.path, body)
        # A client behind a proxy or a name of its own gets links that it can follow.
        base = f"http://{self.headers.get('Host') or self.server.base.removeprefix('http://')}"
        try:
            return self.server.front.answer(self.command, self.path, dict(self.headers.items()), body, base)
        except Dropped:
            raise
        except Exception:
            LOG.exception("%s %s", self.command, self.path)
            return Answer(500, {"error": {"code": 500, "message": "a bug of the simulator; see its log"}})

    def _write(self, answer: Answer) -> None:
        content = answer.encoded()
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = answer  # noqa: N815 - the names that http.server looks for

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are in the front's own log."""
