"""What has become of the moves that were requested, and what follows from it for each of them."""

from __future__ import annotations

from datetime import timedelta

from functions.migrate.model import Action, MoveState
from functions.migrate.moves import ServerMove
from functions.migrate.plan import ACTION_OF
from functions.migrate.sight import ENDINGS, Sight, newest, sight
from functions.migrate.slice import Slice
from shared.clouds import AnswerLost, Refused
from shared.errors import Retry
from shared.fleet.reader import read_servers
from shared.fleet.snapshot import Migration, Server
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
        if move.action is Action.FAIL_OVER:  # no row of Nova's tells of it: `functions.migrate.failover` follows it
            continue
        seen, row = sight(move.record, slice.rows_of.get(move.server, ()))
        if row is None:
            untraced.append(move)
        else:
            _take_over(slice, move, row)
            _follow_up(slice, move, seen, row)
    _look_for(slice, [move for move in untraced if _overdue(slice, move)])
    for move in slice.unfinished():
        if move.state is MoveState.HELD:
            _see_others(slice, move)


def fail(slice: Slice, move: ServerMove, why: str) -> None:
    """One try has failed: the next one goes elsewhere, after a while; the last one sets the server aside."""
    record, step = move.record, move.step
    if step.to and not record.adopted:
        record.failed_targets = [*record.failed_targets, step.to]
    if step.attempts >= slice.policy.max_attempts:
        set_aside(slice, move, why)
        return
    move.forget_request()
    wait = BACK_OFF * 2 ** max(0, step.attempts - 1)
    move.put(MoveState.HELD, to=None, error=why, not_before=slice.now + timedelta(seconds=wait))
    slice.later(move, acts=[Act("move failed", move.server, after={"error": why, "attempt": step.attempts})])


def set_aside(slice: Slice, move: ServerMove, why: str, way_out: str = "") -> None:
    """Give a server up, for this drain and until a person resumes it; the others go on."""
    move.forget_request()
    move.record.way_out = way_out or "resume the drain, which tries it again, or move it by hand"
    move.put(MoveState.FAILED, error=why, finished_at=slice.now)
    slice.later(move, acts=[Act("set server aside", move.server, after={"error": why, "attempt": move.step.attempts})])


def _take_over(slice: Slice, move: ServerMove, row: Migration) -> None:
    """Note which migration it is, as soon as it is known, and where it goes."""
    record, step = move.record, move.step
    if record.migration == row.uuid and move.state is not MoveState.SUBMITTING and row.target in (None, step.to):
        return
    record.migration, record.migration_id = row.uuid, row.id
    state = MoveState.MOVING if move.state is MoveState.SUBMITTING else move.state
    slice.later(move.put(state, to=row.target or step.to))


def _follow_up(slice: Slice, move: ServerMove, seen: Sight, row: Migration) -> None:
    match seen:
        case Sight.CONFIRMABLE if row.kind == "resize":
            _leave_to_owner(slice, move, row)
        case Sight.CONFIRMABLE:
            _confirm(slice, move)
        case Sight.ARRIVED:
            arrived(slice, move, row)
        case Sight.FAILED:
            fail(slice, move, _why(slice, move, row))
        case Sight.CANCELLED:
            _cancelled(slice, move)


def _leave_to_owner(slice: Slice, move: ServerMove, row: Migration) -> None:
    """A resize that its owner started: only the owner may say whether it stays."""
    move.record.way_out = "its owner confirms or reverts the resize; then resume the drain"
    why = f"its owner has resized it, to {row.target}, and has neither confirmed nor reverted it"
    move.put(MoveState.LEFT, error=why, finished_at=slice.now)
    slice.later(move, acts=[Act("leave server", move.server, after={"reason": why})])


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
        slice.later(move.put(error=str(error)))


def arrived(slice: Slice, move: ServerMove, row: Migration | None = None) -> None:
    """It is not on the host any more, as far as can be seen: the server itself is looked at next."""
    record = move.record
    record.arrived_at = slice.now
    if row is not None:
        record.arrived_by = row.updated
        record.seconds_taken = (row.updated - row.created).total_seconds()
    slice.later(move.put(MoveState.ARRIVED))


def _cancelled(slice: Slice, move: ServerMove) -> None:
    """Aborted: by us because it stalled or was cancelled, or by somebody else."""
    record = move.record
    why = record.aborting
    if slice.work.cancelled:
        move.forget_request()
        move.put(MoveState.LEFT, error="aborted: the drain was cancelled", finished_at=slice.now)
        slice.later(move, acts=[Act("move aborted", move.server, after={"why": why})])
    elif record.stalls >= MAX_STALLS:
        set_aside(slice, move, why, "drain it with --on-stall force-complete, or move it when it is less busy")
    elif record.put_last and why and move.step.attempts <= slice.policy.max_attempts:
        if move.step.to:
            record.failed_targets = [*record.failed_targets, move.step.to]
        move.forget_request()
        slice.later(
            move.put(MoveState.HELD, to=None, error=why), acts=[Act("move aborted", move.server, after={"why": why})]
        )
    else:
        fail(slice, move, why or "somebody else aborted the migration")


def _why(slice: Slice, move: ServerMove, row: Migration) -> str:
    """Nova's own reason. It is only an explanation: not to get it must not stop the drain."""
    try:
        return slice.nova.failure_reason(move.server, row.created)
    except (Refused, Retry):
        return f"the migration to {move.step.to} ended in status {row.status}"


def _overdue(slice: Slice, move: ServerMove) -> bool:
    return _since(slice, move) > GRACE


def _since(slice: Slice, move: ServerMove) -> timedelta:
    """How long ago the move was asked for, by us or (as far as we know) by somebody else."""
    return slice.now - (move.record.submitted_at or move.step.started_at or slice.now)


def _look_for(slice: Slice, moves: list[ServerMove]) -> None:
    """Requests without a trace: look at the servers themselves (one request), and find out whether Nova has them."""
    if not moves:
        return
    here = {server.id: server for server in read_servers(slice.link.cloud, host=slice.host)}
    for move in moves:
        _judge_untraced(slice, move, here.get(move.server))


def _judge_untraced(slice: Slice, move: ServerMove, server: Server | None) -> None:
    if server is None:
        arrived(slice, move)  # by a migration that we cannot see; its verification tells where it is
    elif move.state is MoveState.SUBMITTING and server.task_state is None:
        # The request was never carried out: the try does not count.
        move.forget_request()
        slice.later(move.put(MoveState.HELD, attempts=max(0, move.step.attempts - 1)))
    elif _since(slice, move) >= LOST:
        task = f", its task_state is {server.task_state}" if server.task_state else ""
        fail(slice, move, f"Nova accepted the request and no migration came of it{task}")


def _see_others(slice: Slice, move: ServerMove) -> None:
    """What somebody else does with a server that waits for its turn: that is followed instead of starting our own."""
    row = newest(move.record, slice.rows_of.get(move.server, ()))
    if row is None or row.source != slice.host:
        return
    if row.in_flight or row.status in ("finished", "confirming"):
        _adopt(slice, move, row)
    elif ENDINGS.get(row.status) is Sight.ARRIVED:
        # Moved away by hand, it seems. A fresh look decides; this migration is not looked at again.
        move.record.known.append(row.uuid)
        slice.link.forget_fleet()
        slice.later(move.put(action=Action.WAIT, to=None, not_before=None))


def _adopt(slice: Slice, move: ServerMove, row: Migration) -> None:
    """Follow a migration that somebody else has started."""
    move.forget_request()
    record = move.record
    record.adopted, record.migration, record.migration_id = True, row.uuid, row.id
    move.put(MoveState.MOVING, to=row.target, error=None, not_before=None)
    move.put(action=ACTION_OF.get(row.kind, Action.COLD_MIGRATE), started_at=move.step.started_at or slice.now)
    slice.later(move, acts=[Act("adopt migration", move.server, after={"migration": row.uuid, "to": row.target})])
