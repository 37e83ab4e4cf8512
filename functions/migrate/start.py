"""Starting moves: the intent is stored, then Nova is asked, then its answer is stored."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from functions.migrate.dispatch import dispatch
from functions.migrate.features import refused
from functions.migrate.follow import fail
from functions.migrate.model import Action, MoveState
from functions.migrate.moves import ServerMove
from functions.migrate.slice import Slice
from shared.clouds import AnswerLost, Refused
from shared.errors import Retry
from shared.operations import Act

BUSY_SECONDS = 15.0
"""How long a server is left alone that Nova refuses to move because a task is under way (409)."""

YIELD_SECONDS = 3.0
"""How long a move waits that another drain was a little quicker than."""

PATIENCE = 8.0
"""Seconds between the intent and the request. A worker that was held up longer gives the request up: by then a
successor may have decided about this server."""


def start_moves(slice: Slice) -> None:
    """Start what the limits allow."""
    moves = [move.for_dispatch() for move in slice.moves.values()]
    wanted = dispatch(moves, slice.flying(), slice.policy, slice.host, slice.now, slice.groups_of)
    for chosen in wanted.start:
        if slice.late or not slice.work.may_start:
            return
        _start(slice, slice.moves[chosen.server])


def _start(slice: Slice, move: ServerMove) -> None:
    record, step = move.record, move.step
    move.forget_request()
    record.known = [row.uuid for row in slice.rows_of.get(move.server, ())]
    record.submitted_at = slice.work.clock.now()
    move.put(MoveState.SUBMITTING, attempts=step.attempts + 1, not_before=None)
    move.put(started_at=step.started_at or slice.now)
    before = {"host": slice.host, "status": record.before}
    after = {"to": step.to, "attempt": step.attempts} | ({"force": True} if record.force else {})
    slice.save(move, acts=[Act(step.action, move.server, before, after)])
    held_up = (slice.work.clock.now() - record.submitted_at).total_seconds()
    if not slice.work.may_start or held_up > PATIENCE:
        take_back(slice, move)
    elif not _others_allow(slice, move):
        take_back(slice, move, YIELD_SECONDS)
    else:
        _ask(slice, move)


def _others_allow(slice: Slice, move: ServerMove) -> bool:
    """Whether the limits still hold with what the drains of other workers have stored since this one looked.

    Each stores its intent before it looks for the others', so that of two at least one sees the other.
    """
    avoided = slice.work.other_targets()
    if not avoided:
        return True
    others = [other.for_dispatch() for other in slice.active() if other is not move]
    mine = replace(move.for_dispatch(), state=MoveState.HELD, put_last=False)
    again = dispatch([*others, mine], slice.flying(), slice.policy, slice.host, slice.now, slice.groups_of)
    return mine.to not in avoided and bool(again.start)


def _ask(slice: Slice, move: ServerMove) -> None:
    to = move.step.to or ""
    try:
        match move.action:
            case Action.LIVE_MIGRATE:
                slice.nova.live_migrate(move.server, to, force=move.record.force)
            case Action.COLD_MIGRATE:
                slice.nova.cold_migrate(move.server, to)
            case Action.EVACUATE:
                slice.nova.evacuate(move.server, to, force=move.record.force)
    except AnswerLost:
        return  # it stays `submitting`: the next look at the cloud tells
    except Retry as error:
        take_back(slice, move, error.after)
    except Refused as refusal:
        _refused(slice, move, refusal)
    else:
        slice.later(move.put(MoveState.MOVING, error=None))


def take_back(slice: Slice, move: ServerMove, after: float = 0.0) -> None:
    """Nova was not asked, or did not listen: nothing has happened, and the try does not count."""
    move.forget_request()
    move.put(MoveState.HELD, attempts=move.step.attempts - 1)
    slice.later(move.put(not_before=slice.now + timedelta(seconds=after)))


def _refused(slice: Slice, move: ServerMove, refusal: Refused) -> None:
    if refusal.status == 404:
        move.forget_request()
        move.put(MoveState.GONE, error="deleted during the drain", finished_at=slice.now)
        slice.later(move, acts=[Act("server is gone", move.server)])
    elif hopeless := refused(refusal.message):
        move.forget_request()
        move.record.way_out = hopeless.way_out
        move.put(MoveState.LEFT, action=hopeless.action, to=None, error=hopeless.reason, finished_at=slice.now)
        slice.later(move, acts=[Act("leave server", move.server, after={"reason": hopeless.reason})])
    elif refusal.status == 409 and move.record.conflicts == 0:
        # Its state has changed since we looked: a new look decides what is to be done with it.
        move.forget_request()
        move.record.conflicts += 1
        move.put(MoveState.HELD, action=Action.WAIT, to=None, error=refusal.message)
        move.put(attempts=move.step.attempts - 1, not_before=slice.now + timedelta(seconds=BUSY_SECONDS))
        slice.later(move)
    else:
        # Also a second 409, for a server that looked fit: what Nova objects to does not show, and may never pass.
        fail(slice, move, refusal.message)
