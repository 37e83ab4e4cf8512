"""What Nova's list of migrations says of one move. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from functions.migrate.moves import MoveRecord
from shared.fleet.snapshot import Migration


class Sight(StrEnum):
    """What has become of the request to move a server."""

    NOTHING = "nothing"
    """No row: the request has not arrived, or Nova has not written it down yet."""
    IN_FLIGHT = "in flight"
    CONFIRMABLE = "confirmable"
    """A cold migration has ended in VERIFY_RESIZE and waits to be confirmed."""
    ARRIVED = "arrived"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDINGS = {
    "completed": Sight.ARRIVED,  # live migration; an evacuation whose source has come back
    "done": Sight.ARRIVED,  # evacuation
    "confirmed": Sight.ARRIVED,  # cold migration
    "confirming": Sight.IN_FLIGHT,
    "finished": Sight.CONFIRMABLE,
    "reverting": Sight.IN_FLIGHT,
    "reverted": Sight.CANCELLED,
    "cancelled": Sight.CANCELLED,
    "error": Sight.FAILED,
    "failed": Sight.FAILED,
}
"""Statuses of a migration that does not move any more (Nova, `nova/objects/migration.py`)."""


def sight(record: MoveRecord, rows: Sequence[Migration]) -> tuple[Sight, Migration | None]:
    """The migration that answers our last request, and what has become of it.

    Args:
        rows: the migrations of this server.
    """
    row = _followed(record, rows)
    if row is None:
        return Sight.NOTHING, None
    if row.in_flight:
        return Sight.IN_FLIGHT, row
    return ENDINGS.get(row.status, Sight.IN_FLIGHT), row


def newest(record: MoveRecord, rows: Sequence[Migration]) -> Migration | None:
    """The newest migration of this server that was not there before our last request."""
    new = [row for row in rows if row.uuid not in record.known]
    return max(new, key=lambda row: row.created, default=None)


def _followed(record: MoveRecord, rows: Sequence[Migration]) -> Migration | None:
    """The row that we follow already, or the one that our request has made."""
    if record.migration is not None:
        return next((row for row in rows if row.uuid == record.migration), None)
    return newest(record, rows)
