"""What people and machines read of operations: JSON documents, filtered and paged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlmodel import col, select

from shared.errors import Rejected
from shared.operations.kind import Kind
from shared.paging import PAGE, check, page
from shared.store import Database, Operation, OperationState, Step, is_storable

FILTERS = ("kind", "state", "cloud", "target")


def operation_document(kind: Kind, operation: Operation, steps: Sequence[Step]) -> dict[str, Any]:
    """One operation whole, as `--json` prints it and `GET /?operation=ID` answers it. Times are ISO 8601 in UTC."""
    return {
        **_header(operation),
        "steps": [_step(step) for step in steps],
        "summary": kind.summary(operation, steps),
    }


def read_operation(database: Database, kinds: Mapping[str, Kind], operation_id: str) -> dict[str, Any] | None:
    """The document of one operation; None when there is none with this id."""
    if not is_storable(operation_id):
        return None
    with database.reading() as session:
        operation = session.get(Operation, operation_id)
        if operation is None or operation.kind not in kinds:
            return None
        query = select(Step).where(Step.operation_id == operation_id).order_by(col(Step.position), col(Step.id))
        return operation_document(kinds[operation.kind], operation, session.exec(query).all())


def list_operations(
    database: Database,
    kinds: Mapping[str, Kind],
    filters: Mapping[str, str],
    limit: int = PAGE,
    before: str | None = None,
) -> dict[str, Any]:
    """Operations without their steps, newest first.

    Args:
        filters: `kind`, `state`, `cloud`, `target`; each must match exactly.
        before: id of the last operation of the page before this one.

    Returns:
        `{"operations": [...], "next": id or null}`; `next` is the `before` of the following page.

    Raises:
        Rejected: a filter, its value or the page's bounds make no sense.
    """
    _check(filters, limit)
    query = select(Operation).where(col(Operation.kind).in_(list(kinds)))
    for name, value in filters.items():
        query = query.where(getattr(Operation, name) == value)
    with database.reading() as session:
        operations, following = page(session, query, Operation, "created_at", "operation", limit, before)
    return {"operations": [_header(operation) for operation in operations], "next": following}


def _check(filters: Mapping[str, str], limit: int) -> None:
    check(filters, FILTERS, limit)
    states = [str(state) for state in OperationState]
    if filters.get("state", states[0]) not in states:
        raise Rejected(f"state: found {filters['state']!r}, expected one of {', '.join(states)}")


def _header(operation: Operation) -> dict[str, Any]:
    return {
        "id": operation.id,
        "kind": operation.kind,
        "state": str(operation.state),
        "intent": str(operation.intent),
        "cloud": operation.cloud,
        "target": operation.target,
        "reason": operation.reason,
        "requester": operation.requester,
        "note": operation.note,
        "created_at": _time(operation.created_at),
        "started_at": _time(operation.started_at),
        "finished_at": _time(operation.finished_at),
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "subject": step.subject,
        "name": step.name,
        "action": step.action,
        "to": step.to,
        "state": step.state,
        "attempts": step.attempts,
        "error": step.error,
        "started_at": _time(step.started_at),
        "finished_at": _time(step.finished_at),
    }


def _time(value: datetime | None) -> str | None:
    return value.isoformat() if value else None
