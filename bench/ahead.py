"""A reader whose broker is ahead of it: what a queue holds is sent to it at once, when all of it is there.

On a machine with few cores RabbitMQ delivers more slowly than a fast reader reads, so that by the clock every such
reader is as fast as the broker. Between the two, a process keeps what the broker sends until nothing more comes, and
then gives it to the reader as fast as that takes it: the same bytes, from the same queue.
"""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

CONSUME = b"\x00\x3c\x00\x14"
"""Class and method of basic.consume: what comes after it is kept."""
SILENT = 3.0
"""Seconds without a byte after which the broker is taken to have sent everything."""
PIECE = 1 << 20


@contextlib.contextmanager
def ahead_of(url: str) -> Iterator[str]:
    """The URL of a process that stands between this broker and one reader after the other, for as long as it lasts."""
    port = re.search(r":(\d+)/", url)
    assert port is not None, url
    process = subprocess.Popen([sys.executable, __file__, port[1]], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield url.replace(f":{port[1]}/", f":{process.stdout.readline().strip()}/")
    finally:
        process.kill()
        process.wait()


def main(broker: int) -> None:
    """Stand before the broker at this port of loopback; prints its own port."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        reader, _ = listener.accept()
        relay(reader, socket.create_connection(("127.0.0.1", broker)))


def relay(reader: socket.socket, broker: socket.socket) -> None:
    """Until the broker closes the connection."""
    consuming, listening = threading.Event(), threading.Event()
    listening.set()
    threading.Thread(target=_asked, args=(reader, broker, consuming, listening), daemon=True).start()
    kept: list[bytes] | None = []
    while True:
        broker.settimeout(SILENT if kept else None)
        try:
            piece = broker.recv(PIECE)
        except TimeoutError:
            listening.clear()
            reader.sendall(b"".join(kept or ()))
            listening.set()
            kept = None
            continue
        except OSError:
            piece = b""
        if not piece:
            reader.close()
            return
        if consuming.is_set() and kept is not None:
            kept.append(piece)
        else:
            reader.sendall(piece)


def _asked(
    reader: socket.socket, broker: socket.socket, consuming: threading.Event, listening: threading.Event
) -> None:
    """Pass on what the reader says: while it reads what was kept, the broker is to have no work of it."""
    with contextlib.suppress(OSError):
        while piece := reader.recv(PIECE):
            if CONSUME in piece:
                consuming.set()
            listening.wait()
            broker.sendall(piece)
    with contextlib.suppress(OSError):
        broker.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    main(int(sys.argv[1]))
