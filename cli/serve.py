"""`drover serve`: all functions in one process, with a tick of its own; for one machine without Knative."""

from __future__ import annotations

import ipaddress
import signal
import threading
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import exits
from shared.errors import DroverError, Rejected, Retry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.operations import Engine, Sink

WORK_SECONDS = 2.0
"""Of each turn of the tick; short, so that the server stops soon after it is told to."""
IDLE_SECONDS = 0.5
"""Between two turns: this long a new operation waits at most."""
STOP_SECONDS = 60.0
"""How long the slice at work may take to end after SIGTERM; a slice is shorter."""


def serve(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="TCP port; 0 takes a free one.", min=0, max=65535)] = 8080,
    host: Annotated[str, typer.Option(help="Address to listen on; only this machine's own (loopback).")] = "127.0.0.1",
    function: Annotated[
        str | None, typer.Option(help="Serve this function alone, such as migrate.", show_default="all")
    ] = None,
) -> None:
    """Serve all functions on this machine, and carry their operations on.

    drover serve --port 8080

    DROVER_URL=http://127.0.0.1:8080 drover drain cmp07 --reason "new memory"

    SIGTERM or Ctrl-C stops it after the step at work; whatever was begun goes on when it is started again.
    """
    from cli.engine import build, sink_of
    from cli.run import parts_of
    from shared.settings import load
    from shared.telemetry.logs import start_logs

    _only_loopback(host)
    settings, parts = load(), parts_of(context)
    kinds = parts.kinds(function)
    start_logs(settings.log_format, settings.log_level, function=function or "all")
    sink = sink_of(settings)
    engine = build(settings, kinds, sink, source=f"/drover/{function or 'all'}", clock=parts.clock)
    if settings.metrics_port:
        from shared.telemetry.scraping import serve_metrics

        token = settings.metrics_token
        serve_metrics(engine.metrics, settings.metrics_port, token.get_secret_value() if token else None)
    try:
        _run(engine, sink, host, port)
    finally:
        engine.database.close()


def _only_loopback(host: str) -> None:
    try:
        inside = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        inside = False
    if not inside:
        raise Rejected(
            f"--host: found {host}, expected an address of this machine's own such as 127.0.0.1: `drover serve` has no "
            "authentication, and whoever reaches it could empty your hosts. Use an SSH tunnel, or deploy it on Knative"
        )


def _run(engine: Engine, sink: Sink, host: str, port: int) -> None:
    """Serve until a signal comes."""
    from parliament.server import create
    from waitress.server import create_server  # type: ignore[import-untyped]

    from cli.errors import say
    from shared.server import MAX_TAKEN, THREADS

    app = create(SimpleNamespace(main=door_of(engine).main))
    try:
        server = create_server(app, host=host, port=port, threads=THREADS, max_request_body_size=MAX_TAKEN)
    except OSError as error:
        raise DroverError(f"{host}:{port} can't be opened ({error.strerror}); choose another one with --port") from None
    say(f"Drover serves {', '.join(engine.kinds)} on http://{host}:{server.effective_port} "
        f"(store: {engine.database.address}). Ctrl-C ends it.")  # fmt: skip
    stop = threading.Event()
    tick = threading.Thread(target=_tick, args=(engine, sink, stop), name="tick")
    with _ending():
        tick.start()
        try:
            server.run()  # waitress ends its own threads when the signal's SystemExit reaches it
        finally:
            stop.set()
            tick.join(STOP_SECONDS)
            server.close()
    say("Drover has stopped; operations go on when it is started again.")
    raise typer.Exit(exits.DONE)


def door_of(engine: Engine) -> Any:
    """The door of the functions with this engine behind it; open, because the server listens on loopback alone."""
    from shared.access import OpenGate
    from shared.door import Door

    class Served(Door):
        def __init__(self) -> None:
            super().__init__("all", lambda: list(engine.kinds.values()), OpenGate())
            self._engine = engine

    return Served()


def _tick(engine: Engine, sink: Sink, stop: threading.Event) -> None:
    """Do what is due, again and again."""
    import structlog

    from shared.operations import outbox

    log = structlog.get_logger(__name__)
    while not stop.is_set():
        try:
            engine.work(WORK_SECONDS)
            outbox.flush(engine.database, sink, engine.clock)
        except Retry as error:
            log.warning("the sink does not take events; they wait in the outbox", error=str(error))
        except Exception:
            log.exception("unexpected error in the tick")  # the store was away, for example: the next turn tries again
            stop.wait(WORK_SECONDS)
        stop.wait(IDLE_SECONDS)


@contextmanager
def _ending() -> Iterator[None]:
    """SIGTERM and SIGINT end the server in good order."""

    def end(_number: int, _frame: object) -> None:
        raise SystemExit

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
