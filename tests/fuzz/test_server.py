"""Bytes on a socket that are hardly HTTP, to the web server that parliament starts with a function behind it."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from waitress.server import create_server  # type: ignore[import-untyped]

import functions
from tests.fuzz import malformed
from tests.fuzz.judge import TELLING, counted
from tests.fuzz.world import Function, Request, World

EACH = 700 // len(functions.names())
"""Connections to each function."""
PATIENCE = 10.0
"""Seconds until an answer, or the end of the connection, must have come."""
REFUSED_BY_SERVER = (501, 505)
"""Of the server's own: a transfer encoding, or a version of HTTP, that it does not speak."""

LINES = (
    b"GET / HTTP/9.9", b"GET /", b"GET", b"\x00", b"GET  / HTTP/1.1", b"GET / HTTP/1.1\nHost: x",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 1e3\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\n: x\r\n\r\n", b"GET / HTTP/1.1\r\nA B: x\r\n\r\n", b"GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01", b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 12_000 + b"\r\n",
    b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}", b"GET http://x:y/ HTTP/1.1\r\n\r\n",
)  # fmt: skip
"""Requests with a history."""


def written(request: Request) -> bytes:
    """A request as it goes over the wire."""
    head = f"{request.method} {request.path}{'?' + request.query if request.query else ''} HTTP/1.1\r\nHost: drover\r\n"
    lines = "".join(f"{name}: {value}\r\n" for name, value in request.headers)
    length = f"Content-Length: {len(request.body)}\r\n" if request.body else ""
    return f"{head}{lines}{length}Connection: close\r\n\r\n".encode("latin-1", "replace") + request.body


@st.composite
def spoilt_bytes(draw: st.DrawFn, function: Function, world: World) -> bytes:
    """A request with bytes gone, doubled or changed, or one that is none."""
    if draw(st.integers(0, 4)) == 4:
        return draw(st.sampled_from(LINES) | st.binary(max_size=100))
    case = draw(
        malformed.strange_requests(function, world.identity) | malformed.spoilt_events(function, world.identity)
    )
    raw = written(case.request)
    for _ in range(draw(st.integers(0, 3))):
        at, length = draw(st.integers(0, len(raw))), draw(st.integers(0, 6))
        raw = raw[:at] + draw(st.binary(max_size=4) | st.just(raw[at : at + 20])) + raw[at + length :]
    return raw


@contextmanager
def served(function: Function) -> Iterator[int]:
    """The server, with parliament's and Drover's settings; gives its port."""
    server = create_server(function.app, host="127.0.0.1", port=0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server.effective_port
    finally:
        server.maintenance(0)
        server.close()


def exchange(port: int, raw: bytes) -> bytes:
    """All that is answered until the connection ends."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        answer = b""
        try:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65_536):
                answer += part
        except TimeoutError:
            raise
        except OSError:
            pass  # it had heard enough
        return answer


@pytest.mark.parametrize("name", functions.names())
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning", "ignore:to_binary is deprecated")
def test_bytes_that_are_hardly_http(world: World, times: int, name: str) -> None:
    """Each is answered with a status below 500 or not at all, and the server serves on."""
    function = world.functions[name]
    with served(function) as port:

        @settings(settings.get_profile("fuzz"), max_examples=EACH * times)
        @given(spoilt_bytes(function, world))
        def run(raw: bytes) -> None:
            answer = exchange(port, raw)
            told = answer.decode("latin-1")
            statuses = [int(found) for found in re.findall(r"^HTTP/1\.[01] (\d{3}) ", told, re.MULTILINE)]
            assert all(status < 500 or status in REFUSED_BY_SERVER for status in statuses), (raw[:2000], told[:2000])
            assert not [text for text in TELLING if text in told], told[:2000]
            assert not world.bugs.found, world.bugs.found.pop()
            counted[f"{name}'s socket: {'answered' if statuses else 'closed'}"] += 1

        run()
        assert b" 200 OK" in exchange(port, b"GET /health/readiness HTTP/1.1\r\nConnection: close\r\n\r\n")
