"""Looking at the servers themselves: whether those that have moved are well, and what else is on the host."""

from __future__ import annotations

from datetime import datetime, timedelta

from functions.migrate.model import Action, MoveState
from functions.migrate.moves import ServerMove, arrival_step
from functions.migrate.slice import Slice
from shared.fleet.reader import read_servers
from shared.fleet.snapshot import Server
from shared.operations import Act

EVERY = timedelta(seconds=90)
"""Between two looks while moves are in flight; each look is one request, however many servers there are."""

SETTLE = timedelta(seconds=60)
"""How long a server may take from its migration's end until its own record is in order."""

MARGIN = timedelta(seconds=90)
"""A server's record is written some seconds before its migration's; the list is read from so much earlier."""


def verify(slice: Slice, at_once: bool) -> None:
    """Look at the servers that Nova says have arrived. One request for all of them.

    Args:
        at_once: do not wait until `EVERY` has passed since the last look.
    """
    arrived = [move for move in slice.moves.values() if move.state is MoveState.ARRIVED]
    if not arrived or not (at_once or _due(slice, "verified_at")):
        return
    slice.work.memo["verified_at"] = slice.now.isoformat()
    changed = {server.id: server for server in _changed(slice, arrived)}
    for move in arrived:
        server = changed.get(move.server) or _at_target(slice, move)
        if server is not None:
            _judge(slice, move, server)
        elif _settled(slice, move):
            slice.save(move.put(MoveState.GONE, error="not in this cloud any more", finished_at=slice.now))


def sweep(slice: Slice, at_once: bool) -> list[Server] | None:
    """List the host's servers, and take up those that came since the drain began. One request.

    Returns:
        What is on the host; None when it was not time to look.
    """
    if not (at_once or _due(slice, "swept_at")):
        return None
    slice.work.memo["swept_at"] = slice.now.isoformat()
    here = read_servers(slice.link.cloud, host=slice.host)
    new = [arrival_step(server) for server in here if server.id not in slice.moves]
    if new:
        acts = [Act("server came during the drain", step.subject) for step in new]
        slice.work.add(new, *acts)
        slice.moves |= {step.subject: ServerMove(step) for step in new}
    for server in here:
        move = slice.moves[server.id]
        if move.state in (MoveState.DONE, MoveState.GONE):
            _came_back(slice, move, server)
    return here


def _due(slice: Slice, memo: str) -> bool:
    last = slice.work.memo.get(memo)
    return last is None or slice.now - datetime.fromisoformat(last) >= EVERY


def _changed(slice: Slice, arrived: list[ServerMove]) -> list[Server]:
    times = [move.record.arrived_by or slice.work.operation.created_at for move in arrived]
    return read_servers(slice.link.cloud, changes_since=min(times) - MARGIN)


def _at_target(slice: Slice, move: ServerMove) -> Server | None:
    """A server that the list of changes does not show in time, looked for where it should be."""
    if not _settled(slice, move) or not move.step.to:
        return None
    there = read_servers(slice.link.cloud, host=move.step.to)
    return next((server for server in there if server.id == move.server), None)


def _settled(slice: Slice, move: ServerMove) -> bool:
    return move.record.arrived_at is not None and slice.now - move.record.arrived_at > SETTLE


def _judge(slice: Slice, move: ServerMove, server: Server) -> None:
    """Done is: on another host, in the status that it had, with nothing under way."""
    before = move.record.before
    if server.status == "DELETED":
        _finish(slice, move, MoveState.GONE, "deleted during the drain")
    elif server.host == slice.host:
        if _settled(slice, move):
            why = "Nova calls the migration completed, but the server is still here: see nova-compute's log"
            _finish(slice, move, MoveState.FAILED, why)
    elif server.task_state is not None:
        if _settled(slice, move):
            slice.save(move.put(error=f"on {server.host}, but still busy: task_state {server.task_state}"))
    elif server.status == "ERROR" and before != "ERROR":
        why = f"moved to {server.host}, and is in ERROR since: {server.fault or 'Nova names no fault'}"
        _finish(slice, move, MoveState.FAILED, why)
    elif server.status == before or before == "ERROR":
        _finish(slice, move.put(to=server.host), MoveState.DONE, None)
    elif _settled(slice, move):
        why = f"on {server.host}; its status was {before} and is {server.status}: its owner may have changed it"
        _finish(slice, move.put(to=server.host), MoveState.DONE, why)


def _finish(slice: Slice, move: ServerMove, state: MoveState, why: str | None) -> None:
    move.put(state, error=why, finished_at=slice.now)
    after = {"host": move.step.to, "state": str(state)} | ({"error": why} if why else {})
    slice.save(move, acts=[Act("verify server", move.server, after=after)])


def _came_back(slice: Slice, move: ServerMove, server: Server) -> None:
    """Somebody has brought it back: it is moved again, as one that came during the drain."""
    move.forget_request()
    move.record.before = server.status
    move.put(MoveState.HELD, action=Action.WAIT, to=None, attempts=0, error=None, finished_at=None)
    slice.save(move, acts=[Act("server came back", move.server)])
