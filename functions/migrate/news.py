"""What the owners of servers are told: that a server is about to be moved, and what has become of it.

Every `….migrating` is followed by one `….migrated`, also when the request was taken back or Nova did not take it. Moves
that somebody else has started are theirs to tell. Of failovers nothing is told: an amphora is Octavia's own server.
"""

from __future__ import annotations

from typing import Any

from functions.migrate.events import ServerMigrated, ServerMigrating
from functions.migrate.model import Action, MoveState
from functions.migrate.moves import ServerMove
from shared.operations import News
from shared.store import Operation

RESULTS = {
    MoveState.DONE: "moved",
    MoveState.FAILED: "failed",
    MoveState.GONE: "gone",
    MoveState.HELD: "not moved",
    MoveState.LEFT: "not moved",
}
"""What the states mean to an owner in which a move is over, or not under way any more."""


def news_of(operation: Operation, move: ServerMove) -> list[News]:
    """What is new about a move since this was asked for last, which the move remembers in its record."""
    record = move.record
    if move.state is MoveState.SUBMITTING and not record.told and move.action is not Action.FAIL_OVER:
        record.told = move.step.to or ""
        return [News(ServerMigrating(**_data(operation, move)), move.server)]
    if not record.told or move.state not in RESULTS:
        return []
    result = RESULTS[move.state]
    data = _data(operation, move)
    if result != "moved":
        data["target"] = record.told  # the step has no target any more, or its next one
    record.told = ""
    again = move.state is MoveState.HELD
    return [News(ServerMigrated(**data, result=result, error=move.step.error or "", again=again), move.server)]


def _data(operation: Operation, move: ServerMove) -> dict[str, Any]:
    step = move.step
    return {
        "operation": operation.id,
        "cloud": operation.cloud,
        "server": move.server,
        "name": step.name,
        "project": move.record.project,
        "source": operation.target,
        "target": step.to or "",
        "action": step.action,
        "attempt": max(1, step.attempts),
        "reason": operation.reason,
    }
