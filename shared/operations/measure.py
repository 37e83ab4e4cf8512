"""What the metrics say of the store, counted with each tick."""

from __future__ import annotations

from sqlmodel import col, func, select

from shared.letters.reads import waiting as letters_waiting
from shared.store import Database, Operation, OutboxEvent
from shared.telemetry.metrics import Metrics


def measure(database: Database, metrics: Metrics) -> None:
    """Count the operations of all functions by their kinds and states, the events that wait, and the dead letters.

    Of all functions, because most of them sleep most of the time, and the keeper, which has the tick, does not.
    """
    with database.reading() as session:
        query = select(Operation.kind, Operation.state, func.count()).group_by(Operation.kind, col(Operation.state))
        states = session.exec(query).all()
        waiting = session.exec(select(func.count()).select_from(OutboxEvent).where(col(OutboxEvent.sent_at).is_(None)))
        metrics.outbox_waiting(waiting.one())
        metrics.dead_letters_waiting(letters_waiting(session))
    metrics.operations({(kind, str(state)): number for kind, state, number in states})
