"""New decisions about servers whose first plan does not hold any more, on a fresh snapshot of the fleet."""

from __future__ import annotations

from datetime import timedelta

from functions.migrate.affinity import verdict_of
from functions.migrate.follow import arrived, set_aside
from functions.migrate.forecast import DEFAULT_PACE
from functions.migrate.model import MOVES, Action, MoveState, Verdict
from functions.migrate.moves import ServerMove, status_at_rest
from functions.migrate.slice import Slice
from functions.migrate.targets import Choice, choose
from shared.fleet.snapshot import Fleet, Server
from shared.operations import Act

FRESH_SECONDS = 5.0
"""How old a snapshot may be to decide anew on: at most the shortest back-off, so that it shows what has failed."""

AGAIN_SECONDS = 20.0
"""How long until another look at a server that somebody else works on, or that fits nowhere right now."""

MOST_DOUBLINGS = 4
"""Of that time, while somebody works on a server for long: 20 s, 40 s, … 320 s."""

WAIT_LIMIT = timedelta(minutes=30)
"""How long a drain waits for somebody else's work on a server to end; a large snapshot takes that long."""


def retarget(slice: Slice) -> None:
    """Decide anew about every held move that is due and has no target, or one that is being emptied itself."""
    due = [move for move in slice.moves.values() if _undecided(slice, move)]
    if not due:
        return
    fleet = slice.fleet(FRESH_SECONDS)
    if not all(_is_here(slice, fleet, move) for move in due):
        slice.link.forget_fleet()  # it may have come since the snapshot was taken
        fleet = slice.fleet()
    for move in [*due, *_closed(slice, fleet)]:
        _decide(slice, fleet, move)


def _undecided(slice: Slice, move: ServerMove) -> bool:
    step = move.step
    if move.state is not MoveState.HELD or (step.not_before is not None and step.not_before > slice.now):
        return False
    if move.action is Action.FAIL_OVER:  # it has no target, and is looked at once more when its turn comes
        return False
    return step.to is None or move.action not in MOVES or step.to in slice.avoided


def _closed(slice: Slice, fleet: Fleet) -> list[ServerMove]:
    """Held moves whose target, as the snapshot shows by the way, takes no servers any more."""
    held = [move for move in slice.moves.values() if move.state is MoveState.HELD and not _undecided(slice, move)]
    return [move for move in held if move.step.to and not _accepts(fleet, move.step.to)]


def _accepts(fleet: Fleet, host: str) -> bool:
    return host in fleet.hosts and fleet.hosts[host].accepts


def _is_here(slice: Slice, fleet: Fleet, move: ServerMove) -> bool:
    server = fleet.servers.get(move.server)
    return server is not None and server.host == slice.host


def _decide(slice: Slice, fleet: Fleet, move: ServerMove) -> None:
    server = fleet.servers.get(move.server)
    if server is None or server.host != slice.host:
        arrived(slice, move)  # gone or moved away by others: its verification tells
        return
    verdict = verdict_of(fleet, server, slice.policy)
    move.carries(fleet.amphorae.get(server.id))
    if verdict.action in MOVES:
        _choose(slice, fleet, move, server, verdict)
    elif verdict.action is Action.FAIL_OVER:
        move.record.waits, move.record.waiting_since = 0, None
        move.record.seconds = DEFAULT_PACE.seconds(server, verdict.action)
        slice.later(move.put(action=verdict.action, to=None, not_before=None))
    elif verdict.action is Action.WAIT:
        _wait_for_others(slice, move, verdict)
    else:
        _leave(slice, move, verdict)


def _choose(slice: Slice, fleet: Fleet, move: ServerMove, server: Server, verdict: Verdict) -> None:
    record = move.record
    record.waits, record.waiting_since = 0, None
    own = {other.server: other.step.to for other in slice.unfinished() if other.step.to and other is not move}
    planned = {**slice.promised, **own}
    failed = frozenset(record.failed_targets)
    choice = Choice(None)
    if verdict.action is Action.EVACUATE and (only := _only_target(slice, move)):
        choice = choose(fleet, server, avoid=slice.avoided, failed=failed | only, planned=planned)
    if choice.host is None:
        choice = choose(fleet, server, avoid=slice.avoided, failed=failed, planned=planned)
    if choice.host is None and failed:
        # Better the same target again than none: what failed there may have passed.
        choice = choose(fleet, server, avoid=slice.avoided, planned=planned)
    if choice.host is None:
        _no_target(slice, move.put(action=verdict.action, to=None), choice.reason, choice.way_out)
        return
    if server.status != "ERROR":  # an evacuation that was refused leaves it so
        record.before = status_at_rest(server)
    record.seconds = DEFAULT_PACE.seconds(server, verdict.action)
    record.force = verdict.force
    record.groups = [group.id for group in fleet.groups_of.get(server.id, ())]
    slice.remember_groups(fleet.groups_of.get(server.id, ()))
    slice.later(move.put(action=verdict.action, to=choice.host, not_before=None))


def _only_target(slice: Slice, move: ServerMove) -> frozenset[str]:
    """The host that all the other servers were or will be evacuated to, if they share one: not this one too."""
    targets = {other.step.to for other in slice.moves.values() if other is not move and other.step.to}
    return frozenset(filter(None, targets)) if len(targets) == 1 else frozenset()


def _no_target(slice: Slice, move: ServerMove, reason: str, way_out: str) -> None:
    """Looked at again some times, since room may become free; each time counts as a try."""
    why = f"no host can take it: {reason}"
    move.put(attempts=move.step.attempts + 1)
    if move.step.attempts >= slice.policy.max_attempts:
        set_aside(slice, move, why, way_out)
    else:
        slice.later(move.put(error=why, not_before=slice.now + timedelta(seconds=AGAIN_SECONDS)))


def _wait_for_others(slice: Slice, move: ServerMove, verdict: Verdict) -> None:
    """More and more seldom, since each look reads the fleet; and not for ever, so that the drain comes to an end."""
    record = move.record
    record.waiting_since = record.waiting_since or slice.now
    if slice.now - record.waiting_since >= WAIT_LIMIT:
        minutes = round((slice.now - record.waiting_since).total_seconds() / 60)
        why = f"{verdict.reason}, for {minutes} minutes now"
        _leave(slice, move, Verdict(Action.CANNOT, why, "wait until that is over or end it, then resume the drain"))
        return
    after = AGAIN_SECONDS * 2 ** min(record.waits, MOST_DOUBLINGS)
    record.waits += 1
    move.put(action=Action.WAIT, to=None, error=verdict.reason)
    slice.later(move.put(not_before=slice.now + timedelta(seconds=after)))


def _leave(slice: Slice, move: ServerMove, verdict: Verdict) -> None:
    move.record.way_out = verdict.way_out
    move.record.waits, move.record.waiting_since = 0, None
    move.put(MoveState.LEFT, action=verdict.action, to=None, error=verdict.reason, finished_at=slice.now)
    slice.later(move, acts=[Act("leave server", move.server, after={"reason": verdict.reason})])
