"""What Nova's list of migrations says of one move."""

from __future__ import annotations

from datetime import timedelta

import pytest

from functions.migrate.moves import MoveRecord
from functions.migrate.sight import Sight, newest, sight
from shared.fleet.snapshot import Migration
from tests.unit.migrate.builders import NOW


def _row(uuid: str, status: str, created: float = 0.0) -> Migration:
    time = NOW + timedelta(seconds=created)
    return Migration(1, uuid, "vm", "cmp01", "cmp02", status, "live-migration", time, time)


@pytest.mark.parametrize(
    ("status", "seen"),
    [
        ("accepted", Sight.IN_FLIGHT), ("queued", Sight.IN_FLIGHT), ("preparing", Sight.IN_FLIGHT),
        ("running", Sight.IN_FLIGHT), ("post-migrating", Sight.IN_FLIGHT), ("pre-migrating", Sight.IN_FLIGHT),
        ("migrating", Sight.IN_FLIGHT), ("confirming", Sight.IN_FLIGHT), ("reverting", Sight.IN_FLIGHT),
        ("finished", Sight.CONFIRMABLE), ("completed", Sight.ARRIVED), ("confirmed", Sight.ARRIVED),
        ("done", Sight.ARRIVED), ("error", Sight.FAILED), ("failed", Sight.FAILED), ("cancelled", Sight.CANCELLED),
        ("reverted", Sight.CANCELLED), ("a status of tomorrow", Sight.IN_FLIGHT),
    ],
)  # fmt: skip
def test_every_status_has_its_meaning(status: str, seen: Sight) -> None:
    """All of Nova's statuses are known; what is not is waited for, and never taken for an end."""
    assert sight(MoveRecord(), [_row("a", status)])[0] is seen


def test_old_migrations_are_not_ours() -> None:
    """What was there before the request is not its result."""
    assert sight(MoveRecord(known=["old"]), [_row("old", "completed")]) == (Sight.NOTHING, None)
    assert sight(MoveRecord(), []) == (Sight.NOTHING, None)


def test_the_newest_that_is_new_is_taken() -> None:
    """Of several new ones, the one that was made last."""
    rows = [_row("first", "error", 1), _row("second", "running", 2), _row("old", "completed", 3)]
    found = newest(MoveRecord(known=["old"]), rows)
    assert found is not None
    assert found.uuid == "second"


def test_a_migration_that_is_followed_stays_the_one() -> None:
    """Whatever others come after it."""
    rows = [_row("ours", "completed", 1), _row("later", "running", 2)]
    assert sight(MoveRecord(migration="ours"), rows)[0] is Sight.ARRIVED
    assert sight(MoveRecord(migration="lost"), rows) == (Sight.NOTHING, None)
