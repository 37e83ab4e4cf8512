"""Failovers of amphorae: one load balancer at a time, the intent stored first, and each followed to its end.

Octavia makes a load balancer PENDING_UPDATE before it answers a request for a failover, and ACTIVE or ERROR at its end.
So whether a request whose answer was lost has been carried out can be read: it has if the amphora is gone in the end.
The same amphora is never replaced twice: meanwhile Octavia answers 409, and afterwards 404.
"""

from __future__ import annotations

from datetime import timedelta

from functions.migrate.amphora import failover_key
from functions.migrate.follow import GRACE, fail, set_aside
from functions.migrate.model import ACTIVE_MOVES, UNFINISHED, Action, MoveState
from functions.migrate.moves import MoveRecord, ServerMove
from functions.migrate.octavia import DELETED
from functions.migrate.slice import Slice
from functions.migrate.start import BUSY_SECONDS, PATIENCE, YIELD_SECONDS, take_back
from shared.clouds import AnswerLost, Refused
from shared.errors import Retry
from shared.operations import Act
from shared.store import Intent, Operation, OperationState

LOOK = timedelta(seconds=5)
"""Between two looks at a load balancer whose amphora is failed over: one request."""

LIMIT = timedelta(minutes=30)
"""How long a failover may take until a person is told: twice what Octavia itself waits for a new amphora, 5 minutes for
its server (amp_active_retries, amp_active_wait_sec) and 10 for its answer (connection_max_retries, …_interval)."""

SETTLE = timedelta(minutes=2)
"""How long a server may be listed by Nova after its amphora was replaced."""

CONFLICTS = 5
"""So many times in a row a load balancer that had been read as ACTIVE may refuse to change."""


def is_failover(move: ServerMove) -> bool:
    """Whether the move is a failover."""
    return move.action is Action.FAIL_OVER


# -- following ------------------------------------------------------------------------------------------------


def follow_failovers(slice: Slice) -> None:
    """Bring the failovers that were asked for in line with what Octavia shows."""
    for move in filter(is_failover, slice.active()):
        looked = move.record.looked_at
        if looked is not None and slice.now - looked < LOOK:
            continue
        try:
            _follow(slice, move)
        except Retry as error:  # the others must not wait for Octavia
            slice.later(move.put(error=str(error)))


def _follow(slice: Slice, move: ServerMove) -> None:
    record = move.record
    record.looked_at = slice.now
    status = slice.octavia.balancer_status(record.balancer)
    if status.startswith("PENDING"):
        _under_way(slice, move, status)
    elif status not in (DELETED, "ERROR") and (left := slice.octavia.amphora_status(record.amphora)) != DELETED:
        _not_done(slice, move, left)
    elif slice.nova.exists(move.server):
        _still_there(slice, move, status)
    else:
        _gone(slice, move, status)


def _under_way(slice: Slice, move: ServerMove, status: str) -> None:
    if _since(slice, move) > LIMIT:
        minutes = round(LIMIT.total_seconds() / 60)
        why = f"its load balancer {move.record.balancer} has been {status} for {minutes} minutes"
        set_aside(slice, move, why, "see octavia-worker's log; resume the drain when the load balancer is ACTIVE again")
    else:
        slice.later(move)


def _not_done(slice: Slice, move: ServerMove, left: str) -> None:
    """The load balancer is ACTIVE, with the same amphora: the request is on its way, or was never carried out."""
    if left == "PENDING_DELETE" or _since(slice, move) <= GRACE:
        slice.later(move)
    elif move.state is MoveState.SUBMITTING:
        take_back(slice, move)
    else:
        fail(slice, move, f"Octavia accepted the failover, and its amphora {move.record.amphora} is still {left}")


def _still_there(slice: Slice, move: ServerMove, status: str) -> None:
    record = move.record
    if status == "ERROR":
        set_aside(slice, move, f"the failover failed: load balancer {record.balancer} is in ERROR", _repair(record))
    elif _settled(slice, move):
        record.waiting_since = None
        why = f"its amphora was replaced, or its load balancer deleted ({status}), but Nova still has the server"
        set_aside(slice, move, why, f"openstack server delete {move.server}, then resume the drain")
    else:
        slice.later(move)


def _settled(slice: Slice, move: ServerMove) -> bool:
    """Whether Nova has had its time to delete the server since the amphora was first seen to be gone."""
    if move.record.waiting_since is None:
        move.record.waiting_since = slice.now
    return slice.now - move.record.waiting_since > SETTLE


def _gone(slice: Slice, move: ServerMove, status: str) -> None:
    """The server is deleted: its load balancer has another amphora now, or is deleted itself, or broke at the end."""
    record = move.record
    record.waiting_since = None
    if status == "ERROR":
        set_aside(slice, move, f"replaced, but load balancer {record.balancer} is in ERROR since", _repair(record))
        record.arrived_at = slice.now  # so that it is not taken for one that somebody else has taken away
        return
    state = MoveState.GONE if status == DELETED else MoveState.DONE
    move.put(state, error="deleted during the drain" if status == DELETED else None, finished_at=slice.now)
    after = {"amphora": record.amphora, "balancer": record.balancer, "status": status, "state": str(state)}
    slice.later(move, acts=[Act("verify failover", move.server, after=after)])


def _repair(record: MoveRecord) -> str:
    return f"openstack loadbalancer failover {record.balancer}, which replaces all its amphorae; then resume the drain"


def _since(slice: Slice, move: ServerMove) -> timedelta:
    return slice.now - (move.record.submitted_at or slice.now)


# -- starting -------------------------------------------------------------------------------------------------


def start_failover(slice: Slice) -> None:
    """Start the next failover, unless one is under way in this drain or in another one of this cloud."""
    held = [move for move in slice.unfinished() if is_failover(move) and move.state is MoveState.HELD]
    if not held or slice.late or not slice.work.may_start or any(map(is_failover, slice.active())):
        return
    if _others_work(slice):
        return
    if _companions_come(slice):
        return
    standbys = _standbys_elsewhere(slice)
    for move in sorted(held, key=_key):
        if not _must_wait(slice, move, standbys):
            _begin(slice, move)
            return


def _key(move: ServerMove) -> tuple[str, int, str]:
    return failover_key(move.record.balancer, move.record.role, move.step.name)


def _others_work(slice: Slice) -> bool:
    """Whether another drain fails an amphora over right now."""
    return any(step.action == Action.FAIL_OVER for step in slice.work.other_steps(ACTIVE_MOVES))


def _standbys_elsewhere(slice: Slice) -> set[str]:
    """Load balancers whose standby amphora another drain is to fail over first, and is at work."""
    running = {other.id for other in slice.work.others() if _runs(other)}
    steps = [step for step in slice.work.other_steps(UNFINISHED) if step.operation_id in running]
    records = [MoveRecord.model_validate(step.details) for step in steps if step.action == Action.FAIL_OVER]
    return {record.balancer for record in records if record.role == "BACKUP"}


def _companions_come(slice: Slice) -> bool:
    """Whether a host of the same request has no plan yet, so that it is not known which standbys are on it."""
    others = [other for other in slice.work.others() if other.target in slice.hosts]
    return any("planned" not in other.memo and other.intent == Intent.RUN for other in others)


def _runs(other: Operation) -> bool:
    return other.state == OperationState.RUNNING and other.intent == Intent.RUN


def _must_wait(slice: Slice, move: ServerMove, standbys: set[str]) -> bool:
    """For its back-off, or for the standby amphora of its load balancer, which has to be replaced first."""
    if move.step.not_before is not None and move.step.not_before > slice.now:
        return True
    if move.record.role != "MASTER":
        return False
    balancer = move.record.balancer
    here = any(
        other.record.balancer == balancer and other.record.role == "BACKUP"
        for other in slice.unfinished()
        if other is not move
    )
    return here or balancer in standbys


def _begin(slice: Slice, move: ServerMove) -> None:
    """Look whether its load balancer can be changed now, and only then store the intent and ask."""
    record = move.record
    try:
        status = slice.octavia.balancer_status(record.balancer)
    except Retry as error:
        slice.later(move.put(error=str(error), not_before=slice.now + timedelta(seconds=error.after)))
        return
    if status != "ACTIVE":
        _decide_again(slice, move, f"its load balancer {record.balancer} is {status}", 0.0)
        return
    move.forget_request()
    record.submitted_at = slice.work.clock.now()
    move.put(MoveState.SUBMITTING, attempts=move.step.attempts + 1, not_before=None)
    move.put(started_at=move.step.started_at or slice.now)
    before = {"host": slice.host, "amphora": record.amphora, "role": record.role}
    after = {"balancer": record.balancer, "attempt": move.step.attempts}
    slice.save(move, acts=[Act(move.step.action, move.server, before, after)])
    held_up = (slice.work.clock.now() - record.submitted_at).total_seconds()
    if not slice.work.may_start or held_up > PATIENCE:
        take_back(slice, move)
    elif _others_work(slice):  # each stores its intent before it looks: of two at least one sees the other
        take_back(slice, move, YIELD_SECONDS)
    else:
        _ask(slice, move)


def _ask(slice: Slice, move: ServerMove) -> None:
    try:
        slice.octavia.fail_over(move.record.amphora)
    except AnswerLost:
        return  # it stays `submitting`: the next look at Octavia tells
    except Retry as error:
        take_back(slice, move, error.after)
    except Refused as refusal:
        _refused(slice, move, refusal)
    else:
        move.record.conflicts = 0
        slice.later(move.put(MoveState.MOVING, error=None))


def _refused(slice: Slice, move: ServerMove, refusal: Refused) -> None:
    move.record.conflicts += 1
    if refusal.status in (404, 409) and move.record.conflicts < CONFLICTS:
        # Somebody else was quicker: a new look tells what became of it.
        move.put(attempts=move.step.attempts - 1)
        _decide_again(slice, move, refusal.message, BUSY_SECONDS)
    else:
        fail(slice, move, str(refusal))


def _decide_again(slice: Slice, move: ServerMove, why: str, after: float) -> None:
    move.forget_request()
    slice.link.forget_fleet()
    move.put(MoveState.HELD, action=Action.WAIT, to=None, error=why)
    slice.later(move.put(not_before=slice.now + timedelta(seconds=after)))
