"""Cleaning the store: whatever was received and sent long ago goes, in small transactions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlmodel import Session

from functions.keeper.events import CleanupRequested
from functions.keeper.prune import PRUNES
from shared.events import EventData
from shared.operations import Prepared, Work
from shared.store import Operation, OperationState, Step

BATCHES = 10
"""Transactions in one slice, at most."""
BREATH = 0.2
"""Seconds between two slices, in which others get SQLite's one write lock; whoever waits for it looks again at least
every 0.1 s (sqlite3.c, sqliteDefaultBusyCallback)."""


class Cleanup:
    """The kind of operation behind `io.drover.cleanup.requested`; there is one at a time.

    How old is too old counts from when it was asked for, so that it comes to an end; what it has removed is noted in
    the transaction that removes it.

    Args:
        keep_days: days for which received and sent events are kept.
        keep_operations_days: days for which operations are kept that have ended; None: for ever.
    """

    name = "cleanup"
    requests: Sequence[type[EventData]] = (CleanupRequested,)

    def __init__(self, keep_days: int, keep_operations_days: int | None = None) -> None:
        self._keep = {"keep_days": keep_days, "keep_operations_days": keep_operations_days}

    def prepare(self, request: EventData) -> Prepared:
        """Nothing can be wrong with it."""
        assert isinstance(request, CleanupRequested)
        return Prepared("", "store", request.reason, request.requester, self._keep)

    def advance(self, work: Work) -> float | None:
        """Remove some batches."""
        for _ in range(BATCHES):
            if work.cancelled:
                work.end(OperationState.CANCELLED, _result(work.memo))
                return None
            if not work.may_start:
                return None
            if not _left(work.memo):
                work.end(OperationState.SUCCEEDED, _result(work.memo))
                return None
            work.save(also=lambda session: _remove(work, session))
        return BREATH

    def summary(self, operation: Operation, steps: Sequence[Step]) -> dict[str, Any]:
        """How many rows were removed, by what they were."""
        return {"removed": operation.memo.get("removed", {})}


def _left(memo: dict[str, Any]) -> list[str]:
    return [name for name in PRUNES if name not in memo.get("clean", [])]


def _remove(work: Work, session: Session) -> None:
    memo, operation = work.memo, work.operation
    name = _left(memo)[0]
    rows, more = PRUNES[name](session, operation.created_at, operation.parameters)
    removed = memo.setdefault("removed", {})
    removed[name] = removed.get(name, 0) + rows
    if not more:
        memo.setdefault("clean", []).append(name)


def _result(memo: dict[str, Any]) -> str:
    parts = [f"{rows} of {name}" for name, rows in memo.get("removed", {}).items() if rows]
    return f"removed: {', '.join(parts)}" if parts else "nothing was too old"
