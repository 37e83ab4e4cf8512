"""What has become of the moves that were requested, and what follows from it for each of them."""

from __future__ import annotations

from datetime import timedelta

from functions.migrate.model import Action, MoveState
from functions.migrate.moves import ServerMove
from functions.migrate.sight import Sight, sight
from functions.migrate.slice import Slice
from shared.clouds import AnswerLost, Refused
from shared.errors import Retry
from shared.fleet.reader import read_servers
from shared.fleet.snapshot import Migration
from shared.operations import Act

GRACE = timedelta(seconds=15)
"""How long a request without a trace may still be on its way: longer than Nova's API keeps one before it is visible."""

LOST = timedelta(seconds=90)
"""After so long a request that Nova accepted and then did nothing about counts as failed."""

MAX_STALLS = 2
"""After so many tries that did not converge and were aborted the server is set aside."""

BACK_OFF = 5.0
"""Seconds until the second try of a move; doubled for each further one."""


def follow(slice: Slice) -> None:
    """Bring every requested move in line with what the cloud's migrations show."""
    untraced = []
    for move in slice.active():
        seen, row = sight(move.record, slice.rows_of.get(move.server, ()))
        if row is not None:
            _take_over(slice, move, row)
        match seen:
            case Sight.NOTHING:
                untraced.append(move)
            case Sight.IN_FLIGHT:
                pass
            case Sight.CONFIRMABLE:
                _confirm(slice, move)
            case Sight.ARRIVED:
                _arrived(slice, move, row)
            case Sight.FAILED:
                fail(slice, move, _why(slice, move, row))
            case Sight.CANCELLED:
                _cancelled(slice, move)
    _look_for(slice, [move for move in untraced if _overdue(slice, move)])
    _adopt(slice)


def fail(slice: Slice, move: ServerMove, why: str) -> None:
    """One try has failed: the next one goes elsewhere, after a while; the last one sets the server aside."""
    record, step = move.record, move.step
    if step.to and not record.adopted:
        record.failed_targets = [*record.failed_targets, step.to]
    move.forget_request()
    move.put(error=why)
    if step.attempts >= slice.policy.max_attempts:
        record.way_out = "resume the drain, which tries it again, or move it by hand"
        move.put(MoveState.FAILED, finished_at=slice.now)
    else:
        wait = BACK_OFF * 2 ** max(0, step.attempts - 1)
        move.put(MoveState.HELD, to=None, not_before=slice.now + timedelta(seconds=wait))
    slice.save(move, acts=[Act("move failed", move.server, after={"error": why, "attempt": step.attempts})])


def _take_over(slice: Slice, move: ServerMove, row: Migration) -> None:
    """Note which migration it is, as soon as it is known."""
    record = move.record
    if record.migration == row.uuid and move.state is not MoveState.SUBMITTING:
        return
    record.migration, record.migration_id = row.uuid, row.id
    state = MoveState.MOVING if move.state is MoveState.SUBMITTING else move.state
    slice.save(move.put(state, to=row.target or move.step.to))


def _confirm(slice: Slice, move: ServerMove) -> None:
    """Accept a cold migration; asked again if nothing has come of it after the grace time."""
    record = move.record
    if record.confirmed_at is not None and slice.now - record.confirmed_at < GRACE:
        return
    record.confirmed_at = slice.now
    slice.save(move.put(MoveState.CONFIRMING), acts=[Act("confirm cold migration", move.server)])
    try:
        slice.nova.confirm_resize(move.server)
    except (Refused, Retry, AnswerLost) as error:
        # Somebody else may have confirmed it, or Nova is busy: the next look at the migration tells.
        slice.save(move.put(error=str(error)))


def _arrived(slice: Slice, move: ServerMove, row: Migration | None) -> None:
    record = move.record
    record.arrived_at = slice.now
    if row is not None:
        record.arrived_by = row.updated
        record.seconds_taken = (row.updated - row.created).total_seconds()
    slice.save(move.put(MoveState.ARRIVED))


def _cancelled(slice: Slice, move: ServerMove) -> None:
    """Aborted: by us because it stalled or was cancelled, or by somebody else."""
    record = move.record
    why = record.aborting
    if not why:
        fail(slice, move, "somebody else aborted the migration")
        return
    move.forget_request()
    if slice.work.cancelled:
        move.put(MoveState.LEFT, error="aborted: the drain was cancelled", finished_at=slice.now)
    elif record.stalls >= MAX_STALLS:
        move.put(MoveState.FAILED, error=why, finished_at=slice.now)
    else:
        if move.step.to:
            record.failed_targets = [*record.failed_targets, move.step.to]
        move.put(MoveState.HELD, to=None, error=why)
    slice.save(move, acts=[Act("move aborted", move.server, after={"why": why})])


def _why(slice: Slice, move: ServerMove, row: Migration | None) -> str:
    """Nova's own reason. It is only an explanation: not to get it must not stop the drain."""
    try:
        return slice.nova.failure_reason(move.server, row.created if row else None)
    except (Refused, Retry, AnswerLost):
        return f"the migration to {move.step.to} ended in status {row.status if row else 'unknown'}"


def _overdue(slice: Slice, move: ServerMove) -> bool:
    submitted = move.record.submitted_at
    return submitted is None or slice.now - submitted > GRACE


def _look_for(slice: Slice, moves: list[ServerMove]) -> None:
    """Requests without a trace: look at the servers themselves (one request), and find out whether Nova has them."""
    if not moves:
        return
    here = {server.id: server for server in read_servers(slice.link.cloud, host=slice.host)}
    for move in moves:
        server = here.get(move.server)
        since = slice.now - (move.record.submitted_at or slice.now)
        if server is None:
            # It has left the host by a migration that we cannot see; its verification tells where it is.
            move.record.arrived_at = slice.now
            slice.save(move.put(MoveState.ARRIVED))
        elif server.task_state is not None and since < LOST:
            continue
        elif move.state is MoveState.SUBMITTING and server.task_state is None:
            # The request was never carried out: the try does not count.
            move.forget_request()
            slice.save(move.put(MoveState.HELD, attempts=max(0, move.step.attempts - 1)))
        elif since >= LOST:
            task = f", its task_state is {server.task_state}" if server.task_state else ""
            fail(slice, move, f"Nova accepted the request and no migration came of it{task}")


def _adopt(slice: Slice) -> None:
    """Migrations of held servers that somebody else has started: follow them instead of starting our own."""
    for move in slice.moves.values():
        if move.state is not MoveState.HELD:
            continue
        row = next((row for row in slice.rows_of.get(move.server, ()) if _foreign(slice, move, row)), None)
        if row is not None:
            adopt(slice, move, row)


def adopt(slice: Slice, move: ServerMove, row: Migration) -> None:
    """Follow a migration that somebody else has started."""
    move.forget_request()
    record = move.record
    record.adopted, record.migration, record.migration_id = True, row.uuid, row.id
    move.put(MoveState.MOVING, to=row.target, error=None, action=_action(row), not_before=None)
    move.put(started_at=move.step.started_at or slice.now)
    slice.save(move, acts=[Act("adopt migration", move.server, after={"migration": row.uuid, "to": row.target})])


def _foreign(slice: Slice, move: ServerMove, row: Migration) -> bool:
    """Whether the row takes the server away from our host, and is none that we know already."""
    if row.source != slice.host or row.uuid in move.record.known:
        return False
    return row.in_flight or row.status == "finished"


def _action(row: Migration) -> Action:
    kinds = {"live-migration": Action.LIVE_MIGRATE, "evacuation": Action.EVACUATE}
    return kinds.get(row.kind, Action.COLD_MIGRATE)
