"""Serve one WSGI application on the loopback address: `python -m drover_lab.wsgi MODULE PORT [THREADS]`."""

from __future__ import annotations

import importlib
import signal
import sys
from types import FrameType


def main() -> None:
    """Import `application` from the module and serve it until SIGTERM."""
    module, port = sys.argv[1], int(sys.argv[2])
    threads = int(sys.argv[3]) if len(sys.argv) > 3 else 8
    sys.argv = [module]  # the applications parse it as they are imported
    from cheroot.wsgi import Server

    application = importlib.import_module(module).application
    server = Server(("127.0.0.1", port), application, numthreads=threads, request_queue_size=128, timeout=30)

    def end(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    try:
        server.start()
    except KeyboardInterrupt:
        server.stop()


if __name__ == "__main__":
    main()
