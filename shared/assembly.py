"""Puts an engine together from the settings: store, sink, logs, metrics, traces."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shared import store
from shared.operations import Engine, Kind, Limits
from shared.settings import Settings, load
from shared.sink import make_sink
from shared.telemetry.logs import start_logs
from shared.telemetry.metrics import Metrics
from shared.telemetry.scraping import serve_metrics
from shared.telemetry.traces import start_tracing


def assemble(
    name: str,
    kinds: Sequence[Kind],
    settings: Settings | None = None,
    metrics: Metrics | None = None,
    *,
    dead_letters: bool = False,
    chores: Sequence[Callable[[], None]] = (),
) -> Engine:
    """The engine of a served function.

    Args:
        metrics: where others have counted already.
        dead_letters: whether brokers deliver here what they could not deliver elsewhere.
        chores: what else is looked after at each tick.

    Raises:
        SettingsError: a setting is wrong.
        StoreError: the store does not answer.
        DroverError: the port of the metrics can't be opened, or traces are wanted and can't be sent.
    """
    settings = settings or load()
    start_logs(settings.log_format, settings.log_level, function=name)
    database = store.create(settings.database_url.get_secret_value())
    tracing = start_tracing(settings.otlp_endpoint, name)
    metrics = metrics or Metrics()
    if settings.metrics_port:  # last of all that can fail: the next request tries again, and must find the port free
        token = settings.metrics_token
        serve_metrics(metrics, settings.metrics_port, token.get_secret_value() if token else None)
    return Engine(
        database,
        kinds,
        source=f"/drover/{name}",
        sink=make_sink(settings),
        limits=Limits(settings.slice_seconds, settings.lease_seconds, settings.continuation_hops),
        metrics=metrics,
        tracing=tracing,
        dead_letters=dead_letters,
        chores=chores,
    )
