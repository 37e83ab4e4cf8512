"""How a drain ends: the proof that the host is empty, or the reason why it is not."""

from __future__ import annotations

from datetime import timedelta

from functions.migrate.fence import SEEN
from functions.migrate.model import Action, MoveState
from functions.migrate.moves import ServerMove
from functions.migrate.rhythm import wind_down
from functions.migrate.slice import Slice
from functions.migrate.verify import sweep, verify
from shared.fleet.snapshot import Server
from shared.operations import Act
from shared.store import OperationState

STAYS = "stays"
"""Where the memo keeps what is on the host beside servers, and stays there, in a sentence."""

READS = 2
"""Reads in a row that must find nothing: a server whose migration has just ended may be missing from the first."""

BETWEEN_READS = 1.0
"""Seconds."""

AGAIN_SECONDS = 10.0
"""Between two looks at what leaves by itself, or touches the host by somebody else's doing."""

LEAVING = timedelta(minutes=3)
"""How long servers that go away by themselves (being deleted) are waited for."""

TOUCHING = timedelta(minutes=30)
"""How long migrations of others from or to the host are waited for."""


def prove_empty(slice: Slice) -> float | None:
    """Nothing is left to do: read the host again, and end the drain when it was empty twice, or say why it is not."""
    here = sweep(slice)
    if slice.unfinished():
        return 0.0  # something came, or came back
    touching = [row for row in slice.flying() if slice.host in (row.target, row.source)]
    if slice.policy.evacuate:  # whatever else was on its way from or to a dead host hangs until that host is back
        touching = [row for row in touching if row.kind == "evacuation"]
    if touching:
        return _wait_for(
            slice, "touching_since", TOUCHING, f"{len(touching)} migrations of others still touch {slice.host}"
        )
    slice.work.memo.pop("touching_since", None)
    unconfirmed = {row.server for row in slice.rows if row.status == "finished" and row.source == slice.host}
    hanging = {row.server for row in slice.rows if row.in_flight and row.source == slice.host}
    _forget_the_gone(slice, {server.id for server in here} | unconfirmed | hanging)
    if here:
        return _left_behind(slice, here)
    return _count_empty(slice, unconfirmed)


def _forget_the_gone(slice: Slice, there: set[str]) -> None:
    """Servers that were to stay, or had been set aside, and are not here any more: others have taken them away."""
    for move in slice.moves.values():
        stayed = move.state is MoveState.LEFT or (move.state is MoveState.FAILED and move.record.arrived_at is None)
        if stayed and move.server not in there:
            move.record.way_out = ""
            move.put(MoveState.GONE, error="deleted or moved away by others during the drain", finished_at=slice.now)
            slice.later(move, acts=[Act("server is gone", move.server)])


def _count_empty(slice: Slice, unconfirmed: set[str]) -> float | None:
    memo = slice.work.memo
    memo["empty_reads"] = memo.get("empty_reads", 0) + 1
    if memo["empty_reads"] < READS:
        return BETWEEN_READS
    moves = slice.moves.values()
    unwell = [move for move in moves if move.state in (MoveState.FAILED, MoveState.LEFT)]
    strangers = unconfirmed - {move.server for move in unwell}
    if unwell or strangers:
        pending = f"a revert would bring back, unconfirmed: {', '.join(sorted(strangers))}" if strangers else ""
        note = "; ".join(part for part in (_names(unwell), pending) if part)
        slice.end(OperationState.HALTED, f"{slice.host} is empty, but {note}")
    else:
        odd = [move for move in moves if move.state is MoveState.DONE and move.step.error]
        slice.end(OperationState.SUCCEEDED, "; ".join(filter(None, (_names(odd), memo.get(STAYS)))))
    return None


def _wait_for(slice: Slice, since: str, limit: timedelta, what: str) -> float | None:
    """Something that passes by itself keeps the host from being empty; a person is asked when it does not."""
    memo = slice.work.memo
    memo["empty_reads"] = 0
    memo.setdefault(since, slice.now.isoformat())
    if slice.due(since, limit):
        slice.end(OperationState.HALTED, f"{what}, for {limit.total_seconds() / 60:.0f} minutes now")
        return None
    slice.work.operation.note = f"waits: {what}"
    return AGAIN_SECONDS


def _left_behind(slice: Slice, here: list[Server]) -> float | None:
    """Some servers stay: those that are on their way out are waited for, the others need a person."""
    stay = [slice.moves[server.id] for server in here]
    if all(move.action is Action.LEAVE for move in stay):
        return _wait_for(slice, "leaving_since", LEAVING, f"{slice.host} is not empty: {_names(stay)}")
    slice.work.memo["empty_reads"] = 0
    away = [move for move in slice.moves.values() if move.state is MoveState.FAILED and move not in stay]
    elsewhere = f"; and elsewhere: {_names(away)}" if away else ""
    slice.end(OperationState.HALTED, f"{slice.host} is not empty: {_names(stay)}{elsewhere}")
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
    verify(slice, at_once=not slice.active())
    if slice.busy():
        slice.work.operation.note = why
        return wind_down(slice.moves.values(), slice.now)
    slice.end(OperationState.HALTED, why)
    return None


def source_died(slice: Slice, state: str, forced_down: bool) -> bool:
    """Whether the host's own nova-compute is gone, so that nothing can migrate away from it."""
    if slice.policy.evacuate or (state == "up" and not forced_down):
        return False
    note = (
        f"nova-compute on {slice.host} is down: nothing can migrate away from it. Start it and resume this drain; or "
        f"make sure that the host is off, cancel this drain, and drain it with --evacuate"
    )
    slice.end(OperationState.HALTED, note)
    return True


def begin_again(slice: Slice) -> None:
    """Somebody resumed the drain: whatever stayed behind is looked at anew, with a fresh error budget."""
    for move in slice.moves.values():
        if move.state not in (MoveState.FAILED, MoveState.LEFT):
            continue
        move.forget_request()
        record = move.record
        record.failed_targets, record.stalls, record.put_last, record.conflicts = [], 0, False, 0
        record.way_out = ""
        move.put(MoveState.HELD, action=Action.WAIT, to=None, attempts=0, not_before=None)
        slice.later(move.put(error=None, finished_at=None), acts=[Act("try server again", move.server)])
    memo = slice.work.memo
    if slice.policy.deadline is not None and slice.now >= slice.policy.deadline:
        memo["deadline_lifted"] = True
        slice.lift_deadline()
    for key in ("leaving_since", "touching_since", "services_at", SEEN):
        memo.pop(key, None)
    memo["empty_reads"] = 0


def _names(moves: list[ServerMove]) -> str:
    shown = [f"{move.step.name} ({move.step.error or move.step.state})" for move in moves[:5]]
    more = f" and {len(moves) - 5} more" if len(moves) > 5 else ""
    return "; ".join(shown) + more
