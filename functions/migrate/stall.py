"""The stall watch: a live migration whose memory does not become less would go on for hours.

Nova's own time-out allows 800 s for each GiB (`live_migration_completion_timeout`): 14 hours for a server of 64 GiB.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum

from functions.migrate.follow import MAX_STALLS
from functions.migrate.model import Action, MoveState, OnStall
from functions.migrate.moves import ServerMove
from functions.migrate.nova import Progress
from functions.migrate.slice import Slice
from shared.clouds import AnswerLost, Refused
from shared.errors import Retry
from shared.operations import Act

LOOK_SECONDS = 30.0
"""Between two looks at one migration."""

STALE_LOOKS = 3
"""So many looks in a row without a fall of the memory that is left mean: it does not converge."""

FALL = 0.9
"""Once all memory was copied, only a fall below this share of the least counts: what a busy guest leaves wavers, and
each look may by chance find a little less than the ones before."""

AGAIN = timedelta(seconds=30)
"""After so long an abort that nothing has come of is asked for again: its answer, or we, may have been lost."""

TOO_EARLY = frozenset({None, "accepted"})
"""Statuses of a live migration that Nova does not abort yet (2.65 takes queued, preparing and running)."""


class Abort(StrEnum):
    """What became of the wish to abort a migration."""

    ASKED = "asked"
    """Nova has been asked, or whether it has will show: the row will say `cancelled`."""
    LATER = "later"
    """Not now: Nova does not show the migration yet, or is busy."""
    REFUSED = "refused"
    """It cannot be aborted (any more): it is followed to its end."""


def watch(slice: Slice) -> None:
    """Look at the live migrations that take longer than forecast; one request for each, every 30 s."""
    for move in slice.active():
        if slice.late:
            return
        if move.state is not MoveState.MOVING or move.action is not Action.LIVE_MIGRATE:
            continue
        if move.record.aborting:
            ask_abort(slice, move, move.record.aborting)  # again, when nothing has come of it
        elif _due(slice, move):
            _look(slice, move)


def ask_abort(slice: Slice, move: ServerMove, why: str) -> Abort:
    """Ask Nova to abort a live migration, once in `AGAIN` at most."""
    record = move.record
    if move.action is not Action.LIVE_MIGRATE:
        return Abort.REFUSED
    if record.migration_id is None or status_of(slice, move) in TOO_EARLY:
        return Abort.LATER
    if record.abort_asked_at is not None and slice.now - record.abort_asked_at < AGAIN:
        return Abort.ASKED
    record.aborting, record.abort_asked_at = why, slice.now
    slice.save(move, acts=[Act("abort migration", move.server, after={"why": why})])
    try:
        slice.nova.abort(move.server, record.migration_id)
    except AnswerLost:
        return Abort.ASKED
    except (Refused, Retry) as error:
        record.aborting, record.abort_asked_at = "", None
        slice.later(move)
        return Abort.REFUSED if isinstance(error, Refused) else Abort.LATER
    return Abort.ASKED


def status_of(slice: Slice, move: ServerMove) -> str | None:
    """The status of a move's own migration; None as long as Nova shows none."""
    rows = slice.rows_of.get(move.server, ())
    return next((row.status for row in rows if row.uuid == move.record.migration), None)


def _due(slice: Slice, move: ServerMove) -> bool:
    record = move.record
    patience = timedelta(seconds=max(LOOK_SECONDS, record.seconds))
    first = (record.submitted_at or move.step.started_at or slice.now) + patience
    due = first if record.looked_at is None else record.looked_at + timedelta(seconds=LOOK_SECONDS)
    return slice.now >= due


def _look(slice: Slice, move: ServerMove) -> None:
    record = move.record
    try:
        found = slice.nova.progress(move.server)
    except (Refused, Retry):
        return  # it has just ended, or Nova is busy
    record.looked_at = slice.now
    progress = _own(move, found)
    if progress is None or progress.status != "running":
        slice.later(move)
        return
    if _converges(record.least_memory, progress):
        record.least_memory, record.stale_polls = progress.memory_remaining, 0
    else:
        record.stale_polls += 1
    slice.later(move)
    if record.stale_polls >= STALE_LOOKS:
        _act(slice, move, progress)


def _converges(least: int | None, progress: Progress) -> bool:
    """Whether there is less to copy than ever before; in the first pass over the memory any bit less counts."""
    if least is None:
        return True
    copied_once = progress.memory_processed >= progress.memory_total
    return progress.memory_remaining < least * (FALL if copied_once else 1.0)


def _own(move: ServerMove, found: Sequence[Progress]) -> Progress | None:
    return next((each for each in found if each.migration_id == move.record.migration_id), None)


def _act(slice: Slice, move: ServerMove, progress: Progress) -> None:
    """By policy: let the guest stand still until the rest is copied, or abort and put the server last."""
    record = move.record
    record.stalls += 1
    record.stale_polls = 0
    left = progress.memory_remaining // 1024**2
    why = f"stalled: {left} MiB of memory left, and no less for {STALE_LOOKS * LOOK_SECONDS:.0f} s"
    if slice.policy.on_stall is OnStall.FORCE and record.stalls < MAX_STALLS:
        _force(slice, move, progress, why)
        return
    record.put_last = True
    ask_abort(slice, move, why)


def _force(slice: Slice, move: ServerMove, progress: Progress, why: str) -> None:
    slice.save(move, acts=[Act("force completion", move.server, after={"why": why})])
    try:
        slice.nova.force_complete(move.server, progress.migration_id)
    except (Refused, Retry, AnswerLost) as error:
        slice.later(move.put(error=f"{why}; force-complete: {error}"))
