"""What is too old, table by table: each removes so many rows in one transaction, the oldest first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, Delete, delete, or_, tuple_
from sqlmodel import Session, col, select

from shared.store import ENDED, DeadLetter, InboxEvent, Operation, OutboxEvent, Step

ROWS = 1000
"""Rows of one transaction: some hundredths of a second, for which nobody else can write to SQLite."""
OPERATIONS = 20
"""Operations of one transaction; each brings its steps, some hundreds of them."""
LETTER_DAYS = 90
"""Days for which a dead letter is kept that nobody has sent again."""

Prune = Callable[[Session, datetime, Mapping[str, Any]], tuple[int, bool]]
"""Removes what is too old at a time, by the operation's parameters; how many rows, and whether there may be more."""


def inbox(session: Session, now: datetime, parameters: Mapping[str, Any]) -> tuple[int, bool]:
    """Events received; a second delivery of one of them would not be known any more."""
    key = (col(InboxEvent.source), col(InboxEvent.id))
    received = col(InboxEvent.received_at)
    old = select(*key).where(received < _ago(now, parameters["keep_days"])).order_by(received).limit(ROWS)
    return _run(session, delete(InboxEvent).where(tuple_(*key).in_(old)))


def outbox(session: Session, now: datetime, parameters: Mapping[str, Any]) -> tuple[int, bool]:
    """Events sent; what still waits is never too old."""
    sent = col(OutboxEvent.sent_at)
    old = select(OutboxEvent.serial).where(sent < _ago(now, parameters["keep_days"])).order_by(sent).limit(ROWS)
    return _run(session, delete(OutboxEvent).where(col(OutboxEvent.serial).in_(old)))


def letters(session: Session, now: datetime, parameters: Mapping[str, Any]) -> tuple[int, bool]:
    """Dead letters that were sent again, and those that nobody has cared for in three months."""
    sent_again = col(DeadLetter.replayed_at) < _ago(now, parameters["keep_days"])
    old = select(DeadLetter.id).where(or_(sent_again, col(DeadLetter.last_at) < _ago(now, LETTER_DAYS))).limit(ROWS)
    return _run(session, delete(DeadLetter).where(col(DeadLetter.id).in_(old)))


def cleanups(session: Session, now: datetime, parameters: Mapping[str, Any]) -> tuple[int, bool]:
    """Earlier cleanups: one comes each day, and all would else stay for ever. The audit trail tells of them."""
    return _operations(session, [col(Operation.kind) == "cleanup"], _ago(now, parameters["keep_days"]))


def operations(session: Session, now: datetime, parameters: Mapping[str, Any]) -> tuple[int, bool]:
    """Operations that have ended, with their steps, if somebody has said that they may go."""
    days = parameters["keep_operations_days"]
    return (0, False) if days is None else _operations(session, [], _ago(now, days))


def _operations(session: Session, which: list[Any], before: datetime) -> tuple[int, bool]:
    ended = col(Operation.state).in_(sorted(ENDED))
    query = select(Operation.id).where(ended, col(Operation.finished_at) < before, *which).limit(OPERATIONS)
    ids = session.exec(query).all()
    if ids:
        session.execute(delete(Step).where(col(Step.operation_id).in_(ids)))
        session.execute(delete(Operation).where(col(Operation.id).in_(ids)))
    return len(ids), len(ids) == OPERATIONS


def _run(session: Session, statement: Delete) -> tuple[int, bool]:
    result: CursorResult[Any] = session.execute(statement, execution_options={"synchronize_session": False})  # type: ignore[assignment]
    return result.rowcount, result.rowcount == ROWS


def _ago(now: datetime, days: int) -> datetime:
    return now - timedelta(days=days)


PRUNES: Mapping[str, Prune] = {
    "inbox": inbox,
    "outbox": outbox,
    "dead letters": letters,
    "cleanups": cleanups,
    "operations": operations,
}
"""In the order in which they are done, by what the result calls them. The audit trail is never touched."""
