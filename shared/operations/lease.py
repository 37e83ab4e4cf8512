"""Who may work on an operation: one worker at a time, and a late one's writes change nothing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, case, or_, update
from sqlmodel import Session, col, select

from shared.errors import DroverError
from shared.store import ENDED, Operation


class LeaseLost(DroverError):
    """Another worker holds this operation by now; what this one was about to write has changed nothing."""


def claim(
    session: Session,
    kinds: Iterable[str],
    token: str,
    now: datetime,
    seconds: float,
    operation_id: str | None = None,
) -> Operation | None:
    """Take the lease of the operation that is longest due, or of the named one if it is due.

    Returns:
        The operation with the lease in it; None when nothing is due or all that is due is leased.
    """
    query = (
        select(Operation)
        .where(*_living(kinds, operation_id), col(Operation.next_at) <= now, _free(now))
        .order_by(col(Operation.next_at), col(Operation.id))
        .limit(1)
        .with_for_update(skip_locked=True)  # SQLite has one writer and ignores it
    )
    operation = session.exec(query).first()
    if operation is None:
        return None
    operation.lease_token = token
    operation.lease_until = now + timedelta(seconds=seconds)
    session.add(operation)
    return operation


def write(session: Session, operation: Operation, now: datetime, seconds: float, changes: dict[str, Any]) -> None:
    """Change the operation's row and renew the lease, if the lease is still ours.

    Raises:
        LeaseLost: it is not; the transaction must be rolled back.
    """
    _update(session, operation, {**changes, "lease_until": now + timedelta(seconds=seconds)})


def release(
    session: Session, operation: Operation, now: datetime, next_at: datetime | None, changes: dict[str, Any]
) -> None:
    """Change the row and give the lease back. A request that came in meanwhile makes the operation due at once,
    unless it has ended.

    Raises:
        LeaseLost: the lease is not ours any more.
    """
    when: Any = None
    if operation.state not in ENDED:
        when = case((col(Operation.intent_serial) == operation.intent_serial, next_at), else_=now)
    _update(session, operation, {**changes, "lease_token": None, "lease_until": None, "next_at": when})


def next_due(session: Session, kinds: Iterable[str], operation_id: str | None = None) -> datetime | None:
    """When the next operation can be claimed: it is due, and nobody's lease is on it; None when none ever will."""
    query = select(Operation.next_at, Operation.lease_until).where(
        *_living(kinds, operation_id), col(Operation.next_at).is_not(None)
    )
    times = [max(time for time in row if time is not None) for row in session.exec(query)]
    return min(times, default=None)


def kinds_due(session: Session, but: Iterable[str], now: datetime) -> list[str]:
    """The kinds, but for these, of which an operation is due and free."""
    query = select(Operation.kind).where(
        col(Operation.kind).not_in(list(but)),
        col(Operation.state).not_in(sorted(ENDED)),
        col(Operation.next_at) <= now,
        _free(now),
    )
    return sorted(session.exec(query.distinct()))


def _living(kinds: Iterable[str], operation_id: str | None) -> list[Any]:
    conditions = [col(Operation.kind).in_(list(kinds)), col(Operation.state).not_in(sorted(ENDED))]
    return conditions if operation_id is None else [*conditions, col(Operation.id) == operation_id]


def _free(now: datetime) -> Any:
    return or_(col(Operation.lease_until).is_(None), col(Operation.lease_until) <= now)


def _update(session: Session, operation: Operation, changes: dict[str, Any]) -> None:
    statement = (
        update(Operation)
        .where(col(Operation.id) == operation.id, col(Operation.lease_token) == operation.lease_token)
        .values(**changes)
        .execution_options(synchronize_session=False)
    )
    result: CursorResult[Any] = session.execute(statement)  # type: ignore[assignment]
    if result.rowcount != 1:
        raise LeaseLost(f"operation {operation.id} is worked on by somebody else now")
