"""Waking the functions that sleep: the keeper, which has the tick, tells those that have something due."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import structlog

from shared.errors import Permanent, Retry
from shared.events import Event
from shared.operations import lease
from shared.operations.facts import fact_type
from shared.operations.outbox import Sink
from shared.store import Database

DUE = "due"
"""The word: `io.drover.<kind>.due`."""

log = structlog.get_logger(__name__)


def tell_who_is_due(
    database: Database,
    sink: Sink,
    own: Iterable[str],
    now: datetime,
    new_event: Callable[[str, dict[str, str]], Event],
) -> None:
    """Send the word for each kind of which an operation is due and free.

    By the sink, at once, and not through the outbox: a lost word is said again with the next tick.

    Args:
        own: kinds that need no waking.
        new_event: makes an event of a type with its data.
    """
    with database.reading() as session:
        kinds = lease.kinds_due(session, own, now)
    for kind in kinds:
        try:
            sink.send(new_event(fact_type(kind, DUE), {"kind": kind}))
        except (Retry, Permanent) as error:
            log.warning("the sink does not take events; the next tick tries again", error=str(error))
