"""What the metrics say of the store, counted with each tick."""

from __future__ import annotations

from collections.abc import Iterable

from sqlmodel import col, func, select

from shared.letters.reads import waiting as letters_waiting
from shared.store import Database, Operation, OutboxEvent
from shared.telemetry.metrics import Metrics


def measure(database: Database, kinds: Iterable[str], metrics: Metrics) -> None:
    """Count the operations by their states, the events that wait to be sent, and the dead letters.

    Args:
        kinds: operations of other kinds are another function's to count.
    """
    with database.reading() as session:
        states = session.exec(
            select(Operation.state, func.count()).where(col(Operation.kind).in_(list(kinds))).group_by(Operation.state)
        ).all()
        waiting = session.exec(select(func.count()).select_from(OutboxEvent).where(col(OutboxEvent.sent_at).is_(None)))
        metrics.outbox_waiting(waiting.one())
        metrics.dead_letters_waiting(letters_waiting(session))
    metrics.operations({str(state): number for state, number in states})
