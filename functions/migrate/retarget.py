"""New decisions about servers whose first plan does not hold any more, on a fresh snapshot of the fleet."""

from __future__ import annotations

from datetime import timedelta

from functions.migrate.model import MOVES, Action, MoveState, Verdict
from functions.migrate.moves import ServerMove
from functions.migrate.obstacles import judge
from functions.migrate.slice import Slice
from functions.migrate.targets import choose
from shared.fleet.snapshot import Fleet, Server
from shared.operations import Act

AGAIN_SECONDS = 20.0
"""How long until another look at a server that somebody else works on, or that fits nowhere right now."""


def retarget(slice: Slice) -> None:
    """Decide anew about every held move that is due and has no target."""
    due = [
        move
        for move in slice.moves.values()
        if move.state is MoveState.HELD
        and (move.step.to is None or move.action not in MOVES)
        and (move.step.not_before is None or move.step.not_before <= slice.now)
    ]
    if not due:
        return
    fleet = slice.fleet()
    for move in due:
        _decide(slice, fleet, move)


def _decide(slice: Slice, fleet: Fleet, move: ServerMove) -> None:
    server = fleet.servers.get(move.server)
    if server is None or server.host != slice.host:
        move.record.arrived_at = slice.now  # gone or moved away by others: its verification tells
        slice.save(move.put(MoveState.ARRIVED))
        return
    verdict = judge(server, fleet.hosts[slice.host], slice.policy)
    if verdict.action in MOVES:
        _choose(slice, fleet, move, server, verdict)
    elif verdict.action is Action.WAIT:
        _wait(slice, move, verdict.reason)
    else:
        move.record.way_out = verdict.way_out
        move.put(MoveState.LEFT, action=verdict.action, error=verdict.reason, finished_at=slice.now)
        slice.save(move, acts=[Act("leave server", move.server, after={"reason": verdict.reason})])


def _choose(slice: Slice, fleet: Fleet, move: ServerMove, server: Server, verdict: Verdict) -> None:
    planned = {other.server: other.step.to for other in slice.unfinished() if other.step.to and other is not move}
    failed = frozenset(move.record.failed_targets)
    choice = choose(fleet, server, avoid=slice.avoided(), failed=failed, planned=planned)
    if choice.host is None and failed:
        # Better the same target again than none: what failed there may have passed.
        choice = choose(fleet, server, avoid=slice.avoided(), planned=planned)
    if choice.host is not None:
        slice.save(move.put(action=verdict.action, to=choice.host, not_before=None))
        return
    move.record.way_out = choice.way_out
    move.put(attempts=move.step.attempts + 1)
    if move.step.attempts >= slice.policy.max_attempts:
        move.put(MoveState.FAILED, error=f"no host can take it: {choice.reason}", finished_at=slice.now)
        slice.save(move, acts=[Act("set server aside", move.server, after={"reason": choice.reason})])
    else:
        _wait(slice, move.put(action=verdict.action), f"no host can take it: {choice.reason}")


def _wait(slice: Slice, move: ServerMove, reason: str) -> None:
    if move.action not in MOVES:
        move.put(action=Action.WAIT)
    slice.save(move.put(error=reason, not_before=slice.now + timedelta(seconds=AGAIN_SECONDS)))
