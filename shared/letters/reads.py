"""What people and machines read of dead letters: JSON documents, filtered and paged."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, func, select

from shared.access.signature import MAX_AGE
from shared.errors import Rejected
from shared.paging import PAGE, check, page
from shared.store import Database, DeadLetter, is_storable

FILTERS = ("type", "replayed")
BOOLEANS = {"true": True, "false": False}


def waiting(session: Session) -> int:
    """How many letters wait for somebody to look at them."""
    query = select(func.count()).select_from(DeadLetter).where(col(DeadLetter.replayed_at).is_(None))
    return session.exec(query).one()


def hindrance(letter: DeadLetter, now: datetime) -> str:
    """Why this letter can't be sent again at this moment; empty if it can."""
    if letter.hindrance or letter.good_until > now:
        return letter.hindrance
    return f"it is more than {MAX_AGE.days} days old, and nobody takes it any more: send it anew"


def letter_document(letter: DeadLetter, now: datetime) -> dict[str, Any]:
    """One letter without the event itself. Times are ISO 8601 in UTC."""
    return {
        "id": letter.id,
        "type": letter.type,
        "source": letter.source,
        "event_id": letter.event_id,
        "subject": letter.subject,
        "first_at": letter.first_at.isoformat(),
        "last_at": letter.last_at.isoformat(),
        "times": letter.times,
        "code": letter.code,
        "destination": letter.destination,
        "answer": letter.answer,
        "hindrance": hindrance(letter, now),
        "replayed_at": letter.replayed_at.isoformat() if letter.replayed_at else None,
        "replayed_by": letter.replayed_by,
    }


def read_letter(database: Database, id: str, now: datetime) -> dict[str, Any] | None:
    """One letter whole, with the event as it was kept; None when there is none with this id."""
    if not is_storable(id):
        return None
    with database.reading() as session:
        letter = session.get(DeadLetter, id)
    return None if letter is None else {**letter_document(letter, now), "event": letter.event}


def list_letters(
    database: Database, filters: Mapping[str, str], now: datetime, limit: int = PAGE, before: str | None = None
) -> dict[str, Any]:
    """Letters without their events, newest first.

    Args:
        filters: `type` (must match exactly), `replayed` (`true` or `false`).
        before: id of the last letter of the page before this one.

    Returns:
        `{"letters": [...], "next": id or null}`; `next` is the `before` of the following page.

    Raises:
        Rejected: a filter, its value or the page's bounds make no sense.
    """
    _check(filters, limit)
    query = select(DeadLetter)
    if "type" in filters:
        query = query.where(DeadLetter.type == filters["type"])
    if "replayed" in filters:
        sent = col(DeadLetter.replayed_at).is_not(None)
        query = query.where(sent if BOOLEANS[filters["replayed"]] else ~sent)
    with database.reading() as session:
        letters, following = page(session, query, DeadLetter, "first_at", "dead letter", limit, before)
    return {"letters": [letter_document(letter, now) for letter in letters], "next": following}


def _check(filters: Mapping[str, str], limit: int) -> None:
    check(filters, FILTERS, limit)
    if filters.get("replayed", "true") not in BOOLEANS:
        raise Rejected(f"replayed: found {filters['replayed'][:40]!r}, expected true or false")
