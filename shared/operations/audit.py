"""The audit trail: every act on a cloud or on an operation, who wanted it and why. Rows are only ever added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlmodel import Session

from shared.store import AuditEntry, Operation


@dataclass(frozen=True, slots=True)
class Act:
    """One act, before it is written down."""

    act: str
    """A verb and its object: `disable service`, `live-migrate`, `pause operation`."""
    subject: str
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)


def note(
    session: Session,
    operation: Operation,
    act: Act,
    now: datetime,
    *,
    who: str = "",
    why: str = "",
    event: str = "",
) -> None:
    """Add one row. `who` and `why` are the operation's own unless somebody else asked for this act."""
    session.add(
        AuditEntry(
            at=now,
            operation_id=operation.id,
            who=who or operation.requester,
            why=why or operation.reason,
            event=event,
            act=act.act,
            subject=act.subject,
            before=dict(act.before),
            after=dict(act.after),
        )
    )
