"""The inbox: every event that had an effect, so that its second delivery has none."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from shared.events import Event
from shared.store import InboxEvent


def find(session: Session, event: Event) -> InboxEvent | None:
    """The row of an earlier delivery of this event."""
    return session.get(InboxEvent, (event.source, event.id))


def record(
    session: Session,
    event: Event,
    now: datetime,
    reply: Event | None,
    *,
    operation_id: str | None = None,
    rejected: str | None = None,
) -> None:
    """Write the event down in the transaction of its effect, with the answer that a second delivery shall get."""
    session.add(
        InboxEvent(
            source=event.source,
            id=event.id,
            type=event.type[:200],
            received_at=now,
            outcome="accepted" if rejected is None else "rejected",
            reason=rejected or "",
            operation_id=operation_id,
            reply=reply.document() if reply else None,
        )
    )
    session.flush()  # a twin's row shows here, before anything else is written
