"""A subscriber outside of the cluster: keeps what is delivered to it, and answers as a test wants."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Delivery:
    """One POST that came in."""

    at: float
    """Seconds on the monotonic clock, when it had been read."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def type(self) -> str:
        """The event's type."""
        return self.headers.get("ce-type", "")

    @property
    def id(self) -> str:
        """The event's id."""
        return self.headers.get("ce-id", "")

    @property
    def data(self) -> Any:
        """The event's data."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Reaction:
    """How a delivery is answered."""

    status: int = 204
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    after: float = 0.0
    """Seconds before the answer."""


class Receiver:
    """An HTTP server on the address that pods reach this machine at."""

    def __init__(self, address: str, react: Callable[[Delivery], Reaction] = lambda _: Reaction()) -> None:
        self.deliveries: list[Delivery] = []
        self.react = react
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                delivery = Delivery(time.monotonic(), {k.lower(): v for k, v in self.headers.items()}, body)
                receiver.deliveries.append(delivery)
                reaction = receiver.react(delivery)
                time.sleep(reaction.after)
                try:
                    self.send_response(reaction.status)
                    for name, value in {**reaction.headers, "content-length": str(len(reaction.body))}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(reaction.body)
                except OSError:
                    pass  # whoever asked has not waited

            def log_message(self, *_: Any) -> None:
                """Nobody reads it."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 1024  # a burst must not be turned away here

        self._server = Server((address, 0), Handler)
        self.url = f"http://{address}:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def of(self, *, id: str | None = None, type: str | None = None) -> list[Delivery]:
        """The deliveries of one event, or of one type."""
        return [each for each in list(self.deliveries) if id in (None, each.id) and type in (None, each.type)]

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
