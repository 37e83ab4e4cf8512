"""The outbox: events to send are rows, written with the change that caused them, and marked once they are sent."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from sqlmodel import Session, col, select

from shared.clock import Clock
from shared.events import Event
from shared.store import Database, OutboxEvent

BATCH = 100
"""Rows that one flush sends at most, so that a long backlog does not hold up a request."""


class Sink(Protocol):
    """Where events go to, besides the HTTP reply."""

    name: str

    def send(self, event: Event) -> None:
        """Deliver the event.

        Raises:
            Retry: it was not taken; it stays in the outbox.
        """
        ...


def put(session: Session, event: Event, now: datetime, operation_id: str | None = None, sent_by: str = "") -> None:
    """Store an event that is to be sent; with `sent_by`, one that is being sent as this request's reply."""
    session.add(
        OutboxEvent(
            event=event.document(),
            operation_id=operation_id,
            created_at=now,
            sent_at=now if sent_by else None,
            sent_by=sent_by,
        )
    )


def oldest(session: Session) -> OutboxEvent | None:
    """The event that has waited longest; locked, so that two replies never carry the same one."""
    query = (
        select(OutboxEvent)
        .where(col(OutboxEvent.sent_at).is_(None))
        .order_by(col(OutboxEvent.serial))
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return session.exec(query).first()


def mark(session: Session, row: OutboxEvent, now: datetime, sent_by: str) -> None:
    """Note that the event has been sent, when, and how."""
    row.sent_at, row.sent_by = now, sent_by
    session.merge(row)


def flush(database: Database, sink: Sink, clock: Clock) -> int:
    """Send what waits, oldest first, each marked only after it was taken.

    A crash between the two sends it again; receivers know it by source and id.

    Returns:
        How many were sent.

    Raises:
        Retry: the sink did not take one; it and those after it stay.
    """
    sent = 0
    while sent < BATCH:
        with database.reading() as session:
            row = oldest(session)
        if row is None:
            break
        sink.send(Event.from_document(row.event))  # outside of any transaction: a slow sink must not hold a lock
        with database.transaction() as session:
            mark(session, row, clock.now(), sink.name)
        sent += 1
    return sent
