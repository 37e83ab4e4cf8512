"""The outbox: events to send are rows, written with the change that caused them, and marked once they are sent."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import structlog
from sqlmodel import Session, col, select

from shared.clock import Clock
from shared.errors import Permanent
from shared.events import Event
from shared.store import Database, OutboxEvent

NOBODY = "nobody"
"""Name of the sink that only marks events as sent, where nobody listens."""

BATCH = 100
"""Rows that one flush sends at most, so that a long backlog does not hold up a request."""


log = structlog.get_logger(__name__)


class Sink(Protocol):
    """Where events go to, besides the HTTP reply."""

    name: str

    def send(self, event: Event) -> None:
        """Deliver the event.

        Raises:
            Retry: it was not taken; it stays in the outbox.
            Permanent: it will never be taken; those behind it shall not wait for it.
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


def oldest(session: Session, lock: bool = False) -> OutboxEvent | None:
    """The event that has waited longest.

    Args:
        lock: keep it from others until the transaction ends, so that two replies never carry the same one.
    """
    query = select(OutboxEvent).where(col(OutboxEvent.sent_at).is_(None)).order_by(col(OutboxEvent.serial)).limit(1)
    return session.exec(query.with_for_update(skip_locked=True) if lock else query).first()


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
    for sent in range(BATCH):
        with database.reading() as session:
            row = oldest(session)
        if row is None:
            return sent
        how = _send(sink, Event.from_document(row.event))  # in no transaction: a slow sink must not hold a lock
        with database.transaction() as session:
            mark(session, row, clock.now(), how)
    return BATCH


def _send(sink: Sink, event: Event) -> str:
    try:
        sink.send(event)
    except Permanent as error:
        log.error("the sink refuses an event for good", id=event.id, type=event.type, error=str(error))
        return "refused"
    return sink.name
