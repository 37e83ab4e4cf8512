"""The inbox: every event that had an effect, so that its second delivery has none."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from shared.errors import DroverError
from shared.events import Event
from shared.store import InboxEvent, storable

MAX_ID = 500
"""Characters of an event's source and id that are kept; of a longer one the beginning and a digest."""

MAX_TYPE = 200


class AlreadyTaken(DroverError):
    """A second delivery of this event was faster; what was about to be written has changed nothing."""


def key(event: Event) -> tuple[str, str]:
    """The event's source and id as they are stored."""
    return storable(event.source, MAX_ID), storable(event.id, MAX_ID)


def find(session: Session, event: Event) -> InboxEvent | None:
    """The row of an earlier delivery of this event."""
    return session.get(InboxEvent, key(event))


def record(
    session: Session,
    event: Event,
    now: datetime,
    reply: Event | None,
    *,
    outcome: str = "accepted",
    reason: str = "",
    operation_id: str | None = None,
) -> None:
    """Write the event down in the transaction of its effect, with the answer that a second delivery shall get.

    Raises:
        AlreadyTaken, IntegrityError: a twin of this event was written since `find`.
    """
    source, id = key(event)
    earlier = session.get(InboxEvent, (source, id))
    if earlier is not None:
        if earlier.outcome != "unknown" or outcome == "unknown":
            raise AlreadyTaken(f"the event {id} of {source} was taken already")
        # A function that does not know this type saw the event first: this one, which knows it, has the say.
        session.delete(earlier)
        session.flush()
        session.expunge(earlier)
    session.add(
        InboxEvent(
            source=source,
            id=id,
            type=storable(event.type, MAX_TYPE),
            received_at=now,
            outcome=outcome,
            reason=reason,
            operation_id=operation_id,
            reply=reply.document() if reply else None,
        )
    )
    session.flush()  # a twin's row shows here, before anything else is written
