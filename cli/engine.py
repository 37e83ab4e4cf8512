"""The engine in this process: what the local commands and `drover serve` run operations with."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import functions
from shared.clock import Clock, SystemClock
from shared.errors import Rejected

if TYPE_CHECKING:
    import requests

    from shared.operations import Engine, Kind, Sink
    from shared.settings import Settings

LOG_BYTES = 10_000_000
"""A log file that is longer than this is put aside (one is kept) when the next command begins."""

Kinds = Callable[[str | None], "Sequence[Kind]"]
"""Makes the kinds of operations of one function, or of all."""


def function_kinds(function: str | None = None) -> Sequence[Kind]:
    """The kinds of operations that a function brings; None: those of all functions.

    Raises:
        Rejected: there is no such function.
    """
    names = functions.names()
    if function is not None and function not in names:
        raise Rejected(f"there is no function {function!r}; expected one of: {', '.join(names)}")
    chosen = [function] if function else names
    return [kind for name in chosen for kind in importlib.import_module(f"functions.{name}.func").kinds()]


@dataclass(frozen=True)
class Parts:
    """What the commands are put together from; tests bring parts of their own."""

    kinds: Kinds = function_kinds
    clock: Clock = field(default_factory=SystemClock)
    session: Callable[[], requests.Session] | None = None
    """Makes the HTTP session to a Drover elsewhere; None: an ordinary one."""


def build(settings: Settings, kinds: Sequence[Kind], sink: Sink, *, source: str, clock: Clock) -> Engine:
    """The engine on the store of the settings.

    Raises:
        StoreError: the store does not answer.
    """
    from shared import store
    from shared.operations import Engine, Limits

    return Engine(
        store.create(settings.database_url.get_secret_value()),
        kinds,
        source=source,
        clock=clock,
        sink=sink,
        limits=Limits(settings.slice_seconds, settings.lease_seconds, settings.continuation_hops),
    )


def sink_of(settings: Settings) -> Sink:
    """Where this process sends events: DROVER_SINK, or nowhere."""
    from shared.sink import make_sink

    return make_sink(settings) or nowhere()


def nowhere() -> Sink:
    """Takes events where nobody listens."""
    from shared.sink import Nowhere

    return Nowhere()


def state_directory() -> Path:
    """Where Drover keeps its store and its log unless it is told otherwise (XDG_STATE_HOME)."""
    from platformdirs import user_state_dir

    return Path(user_state_dir("drover"))


def log_to_file(level: str) -> Path:
    """Send this process's log to a file: the terminal belongs to the progress bar."""
    from shared.telemetry.logs import start_logs

    path = state_directory() / "drover.log"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)  # errors may name servers and projects
    start_logs("json", level, stream=os.fdopen(descriptor, "a", buffering=1, encoding="utf-8"))
    return path
