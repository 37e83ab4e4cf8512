"""The sink over a real socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cloudevents.http import CloudEvent, from_http

from shared.errors import Permanent, Retry
from shared.events import Event
from shared.sink import HttpSink
from tests.support.bench import Bench
from tests.support.kinds import tick


class Broker(ThreadingHTTPServer):
    """Takes events as a broker does, or answers with another status."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Ingress)
        self.status = 202
        self.events: list[CloudEvent] = []


class Ingress(BaseHTTPRequestHandler):
    """One delivery."""

    def do_POST(self) -> None:
        """Read the event, keep it if it is taken, answer."""
        assert isinstance(self.server, Broker)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.status == 202:
            self.server.events.append(from_http(dict(self.headers), body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def broker() -> Iterator[Broker]:
    """A running one."""
    broker = Broker()
    thread = threading.Thread(target=broker.serve_forever, daemon=True)
    thread.start()
    yield broker
    broker.shutdown()
    broker.server_close()
    thread.join(5)


def test_facts_reach_a_broker(bench: Bench, broker: Broker) -> None:
    """All of an operation's facts, in order, while the broker is down for a time in between."""
    bench.engine = bench.new_engine(HttpSink(f"http://127.0.0.1:{broker.server_port}/"))
    bench.begin(target="hôte")
    broker.status = 503
    bench.engine.handle(tick("1"))
    broker.status = 202
    bench.engine.handle(tick("2"))
    assert [event["type"] for event in broker.events] == ["io.drover.walk.accepted", "io.drover.walk.completed"]
    assert {event["subject"] for event in broker.events} == {"hôte"}
    assert {row.sent_by for row in bench.outbox()} == {"sink"}


@pytest.mark.parametrize(("status", "error"), [(503, Retry), (302, Retry), (400, Permanent)])
def test_refusals(broker: Broker, status: int, error: type[Exception]) -> None:
    """What may go better later, and what never will."""
    broker.status = status
    with pytest.raises(error, match=str(status)):
        HttpSink(f"http://127.0.0.1:{broker.server_port}/").send(Event("1", "/x", "io.drover.walk.started", {}))


def test_nobody_there() -> None:
    """A sink that does not answer is for later."""
    with pytest.raises(Retry, match="does not answer: ConnectionError"):
        HttpSink("http://127.0.0.1:1/").send(Event("1", "/x", "io.drover.walk.started", {}))
