"""Cancelling a drain at a person's wish."""

from __future__ import annotations

from datetime import datetime, timedelta

from functions.migrate.model import MoveState
from functions.migrate.moves import ServerMove
from functions.migrate.rhythm import wind_down
from functions.migrate.service import give_back
from functions.migrate.slice import Slice
from functions.migrate.stall import Abort, ask_abort, status_of
from shared.clouds import Refused
from shared.errors import Permanent, Rejected
from shared.store import OperationState

FOLLOW_LIMIT = timedelta(minutes=15)
"""How long a cancelled drain follows what could not be aborted; after that it ends and says so."""


def cancel(slice: Slice) -> float | None:
    """Abort what can be aborted, follow the rest to its end, give the host back if that is wanted."""
    # What waits in Nova's queue goes first: it would begin as soon as what runs before it is aborted, and between its
    # preparation and its copy there is a moment in which Nova loses an abort.
    for move in sorted(slice.active(), key=lambda move: status_of(slice, move) != "queued"):
        if not move.record.abort_refused and not slice.late:
            _abort(slice, move)
    slice.work.memo.setdefault("cancelled_at", slice.now.isoformat())
    if slice.busy() and not slice.due("cancelled_at", FOLLOW_LIMIT):
        return wind_down(slice.moves.values(), slice.now, datetime.fromisoformat(slice.work.memo["cancelled_at"]))
    for move in slice.unfinished():
        under_way = move.state is not MoveState.HELD
        why = f"still under way to {move.step.to}" if under_way else "not moved"
        move.record.way_out = "look at its migration" if under_way else "drain the host again"
        move.put(MoveState.LEFT, error=f"{why} when the drain was cancelled", finished_at=slice.now)
        slice.later(move)
    slice.end(OperationState.CANCELLED, _note(slice))
    return None


def _abort(slice: Slice, move: ServerMove) -> None:
    if ask_abort(slice, move, "the drain was cancelled") is Abort.REFUSED:
        move.record.abort_refused = True
        slice.work.memo.setdefault("not_aborted", []).append(move.step.name)
        slice.later(move)


def _note(slice: Slice) -> str:
    parts = []
    if names := slice.work.memo.get("not_aborted"):
        parts.append(f"could not be aborted: {', '.join(names)}")
    if slice.work.operation.intent_options.get("undo") and slice.work.memo.get("disabled_by_us"):
        parts.append(_undo(slice))
    elif slice.work.memo.get("disabled_by_us"):
        parts.append(f"{slice.host} stays disabled: `drover undrain {slice.host}` enables it")
    return "; ".join(parts)


def _undo(slice: Slice) -> str:
    try:
        return give_back(slice.work, slice.nova)
    except (Permanent, Refused, Rejected) as error:
        return f"not enabled again: {error}"
