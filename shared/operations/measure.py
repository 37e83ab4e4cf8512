"""What the metrics say of the store, counted with each tick."""

from __future__ import annotations

from sqlmodel import col, func, select

from shared.letters.reads import waiting as letters_waiting
from shared.store import Database, Operation, OutboxEvent
from shared.telemetry.families import Family
from shared.telemetry.metrics import Metrics

MEASURES = "measures"
"""Key of an operation's memo for what metrics shall say of it: lists of families as `Family.dump` makes them, each
list by a name, so that one can be replaced without the others."""


def measure(database: Database, metrics: Metrics) -> None:
    """Count the operations of all functions by their kinds and states, the events that wait, and the dead letters.

    And show what operations that live have to tell of themselves.

    Of all functions, because most of them sleep most of the time, and the keeper, which has the tick, does not.
    """
    with database.reading() as session:
        query = select(Operation.kind, Operation.state, func.count()).group_by(Operation.kind, col(Operation.state))
        states = session.exec(query).all()
        waiting = session.exec(select(func.count()).select_from(OutboxEvent).where(col(OutboxEvent.sent_at).is_(None)))
        metrics.outbox_waiting(waiting.one())
        metrics.dead_letters_waiting(letters_waiting(session))
        told = session.exec(select(col(Operation.memo)[MEASURES]).where(col(Operation.active_key).is_not(None))).all()
    metrics.told(Family.load(saved) for parts in told for part in (parts or {}).values() for saved in part)
    metrics.operations({(kind, str(state)): number for kind, state, number in states})
