"""How a drain ends: the proof that the host is empty, or the reason why it is not."""

from __future__ import annotations

from datetime import datetime, timedelta

from functions.migrate.model import Action, MoveState
from functions.migrate.moves import ServerMove, in_flight
from functions.migrate.nova import Nova
from functions.migrate.service import give_back
from functions.migrate.slice import Slice
from functions.migrate.stall import ask_abort
from functions.migrate.verify import sweep, verify
from shared.clouds import AnswerLost, Refused
from shared.errors import Permanent, Retry
from shared.fleet.snapshot import Server
from shared.operations import Act
from shared.store import OperationState

READS = 2
"""Reads in a row that must find nothing: a server whose migration has just ended may be missing from the first."""

BETWEEN_READS = 1.0
"""Seconds."""

WIND_DOWN = 5.0
"""Seconds between two looks while the last moves of a drain that starts no more come to their end."""

LEAVING = timedelta(minutes=3)
"""How long servers that go away by themselves (being deleted) are waited for."""


def prove_empty(slice: Slice) -> float | None:
    """Nothing is left to do: read the host again, and end the drain when it was empty twice, or say why it is not."""
    here = sweep(slice, at_once=True) or []
    if slice.unfinished():
        return 0.0  # something came, or came back
    inbound = [row for row in in_flight(slice.rows) if slice.host in (row.target, row.source)]
    if inbound:
        slice.work.operation.note = f"waits for {len(inbound)} migrations of others that still touch {slice.host}"
        return _not_empty(slice, 5.0)
    if here:
        return _left_behind(slice, here)
    return _count_empty(slice)


def _count_empty(slice: Slice) -> float | None:
    memo = slice.work.memo
    memo["empty_reads"] = memo.get("empty_reads", 0) + 1
    if memo["empty_reads"] < READS:
        slice.save()
        return BETWEEN_READS
    unwell = [move for move in slice.moves.values() if move.state is MoveState.FAILED]
    if unwell:
        slice.work.end(OperationState.HALTED, f"{slice.host} is empty, but {_names(unwell)}")
    else:
        slice.work.end(OperationState.SUCCEEDED, "")
    return None


def _not_empty(slice: Slice, after: float) -> float:
    slice.work.memo["empty_reads"] = 0
    slice.save()
    return after


def _left_behind(slice: Slice, here: list[Server]) -> float | None:
    """Some servers stay: those that are on their way out are waited for, the others need a person."""
    slice.work.memo["empty_reads"] = 0
    stay = [slice.moves[server.id] for server in here]
    if all(move.action is Action.LEAVE for move in stay):
        since = datetime.fromisoformat(slice.work.memo.setdefault("leaving_since", slice.now.isoformat()))
        if slice.now - since < LEAVING:
            slice.work.operation.note = f"waits for {len(stay)} servers that are being deleted"
            slice.save()
            return 10.0
    slice.work.end(OperationState.HALTED, f"{slice.host} is not empty: {_names(stay)}")
    return None


def halt_reason(slice: Slice) -> str:
    """Why none of the servers that are left may be started: the error budget is used up, or the deadline has passed.

    Empty when they may, and when none is left.
    """
    held = [move for move in slice.moves.values() if move.state is MoveState.HELD]
    failed = [move for move in slice.moves.values() if move.state is MoveState.FAILED]
    budget, deadline = slice.policy.error_budget, slice.policy.deadline
    if held and len(failed) >= budget:
        return f"{len(failed)} servers could not be moved (error budget: {budget}): {_names(failed)}"
    if held and deadline is not None and slice.now >= deadline:
        moment = deadline.isoformat(timespec="seconds")
        return f"the deadline {moment} has passed with {len(held)} servers left; resume it to go on without a deadline"
    return ""


def halt(slice: Slice, why: str) -> float | None:
    """Start nothing more; what is in flight is followed to its end, then the drain halts."""
    slice.work.operation.note = why
    verify(slice, at_once=not slice.active())
    if slice.active() or any(move.state is MoveState.ARRIVED for move in slice.moves.values()):
        slice.save()
        return WIND_DOWN
    slice.work.end(OperationState.HALTED, why)
    return None


def source_died(slice: Slice, state: str, forced_down: bool) -> bool:
    """Whether the host's own nova-compute is gone, so that nothing can migrate away from it."""
    if slice.policy.evacuate or (state == "up" and not forced_down):
        return False
    note = (
        f"nova-compute on {slice.host} is down: nothing can migrate away from it. Start it and resume this drain; or "
        f"make sure that the host is off, cancel this drain, and drain it with --evacuate"
    )
    slice.work.end(OperationState.HALTED, note)
    return True


def cancel(slice: Slice) -> float | None:
    """End at a person's wish: abort what can be aborted, follow the rest, give the host back if that is wanted."""
    for move in slice.active():
        if not move.record.aborting and not move.record.abort_refused:
            _abort(slice, move)
    if slice.active():
        return WIND_DOWN
    for move in slice.unfinished():
        if move.state is MoveState.HELD:
            move.put(MoveState.LEFT, error="not moved: the drain was cancelled", finished_at=slice.now)
            slice.save(move)
    slice.work.end(OperationState.CANCELLED, _cancel_note(slice))
    return None


def _abort(slice: Slice, move: ServerMove) -> None:
    if move.record.migration_id is None:
        return  # Nova has not shown the migration yet; the next slice finds it
    if not ask_abort(slice, move, "the drain was cancelled"):
        move.record.abort_refused = True
        slice.work.memo.setdefault("not_aborted", []).append(move.step.name)
        slice.save(move)


def _cancel_note(slice: Slice) -> str:
    parts = []
    if names := slice.work.memo.get("not_aborted"):
        parts.append(f"could not be aborted and went on to the end: {', '.join(names)}")
    if slice.work.operation.intent_options.get("undo") and slice.work.memo.get("disabled_by_us"):
        parts.append(_undo(slice, slice.nova))
    elif slice.work.memo.get("disabled_by_us"):
        parts.append(f"{slice.host} stays disabled: `drover undrain {slice.host}` enables it")
    return "; ".join(parts)


def _undo(slice: Slice, nova: Nova) -> str:
    try:
        return give_back(slice.work, nova)
    except (Permanent, Refused) as error:
        return f"not enabled again: {error}"
    except AnswerLost as error:
        raise Retry(str(error), after=2.0) from error


def begin_again(slice: Slice) -> None:
    """Somebody resumed the drain: whatever stayed behind is looked at anew, with a fresh error budget."""
    for move in slice.moves.values():
        if move.state not in (MoveState.FAILED, MoveState.LEFT):
            continue
        move.forget_request()
        move.record.failed_targets, move.record.stalls, move.record.put_last = [], 0, False
        move.put(MoveState.HELD, action=Action.WAIT, to=None, attempts=0, not_before=None, finished_at=None)
        slice.save(move, acts=[Act("try server again", move.server)])
    if slice.policy.deadline is not None and slice.now >= slice.policy.deadline:
        slice.work.memo["deadline_lifted"] = True
    slice.work.memo.pop("leaving_since", None)
    slice.work.memo["empty_reads"] = 0
    slice.save()


def _names(moves: list[ServerMove]) -> str:
    shown = [f"{move.step.name} ({move.step.error or move.step.state})" for move in moves[:5]]
    more = f" and {len(moves) - 5} more" if len(moves) > 5 else ""
    return "; ".join(shown) + more
