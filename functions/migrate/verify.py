"""Looking at the servers themselves: whether those that have moved are well, and what else is on the host."""

from __future__ import annotations

from datetime import datetime, timedelta

from functions.migrate.model import Action, MoveState
from functions.migrate.moves import UNDER_WAY, ServerMove, arrival_step, status_at_rest
from functions.migrate.sight import newest
from functions.migrate.slice import Slice
from shared.fleet.reader import read_servers
from shared.fleet.snapshot import Server
from shared.operations import Act

EVERY = timedelta(seconds=120)
"""Between two looks while moves are in flight; each look is one request, however many servers there are."""

SETTLE = timedelta(seconds=60)
"""How long a server may take from its migration's end until its own record is in order."""

BUSY_LIMIT = timedelta(minutes=10)
"""How long a server on its new host may have a task under way until a person is told."""

MARGIN = timedelta(seconds=90)
"""A server's record is written some seconds before its migration's; the list is read from so much earlier."""

LOOKED = "looked_at"
"""Where the memo keeps the time of the last look."""


def verify(slice: Slice, at_once: bool) -> None:
    """Look at the servers that Nova says have arrived, and at what has come to the host. One request for all of them.

    Args:
        at_once: do not wait until `EVERY` has passed since the last look, if any has arrived.
    """
    arrived = [move for move in slice.moves.values() if move.state is MoveState.ARRIVED]
    wanted = arrived or slice.work.may_start  # what comes now is of no interest to a drain that starts nothing
    if not wanted or not (slice.due(LOOKED, EVERY) or (arrived and at_once)):
        return
    found = _changed(slice, arrived) if arrived else read_servers(slice.link.cloud, host=slice.host)
    slice.mark(LOOKED)
    servers = {server.id: server for server in found}
    for move in arrived:
        server = servers.get(move.server) or _at_target(slice, move)
        if server is not None:
            _judge(slice, move, server)
        elif _waited(slice, move, SETTLE):
            _finish(slice, move, MoveState.GONE, "not in this cloud any more")
    # The list of changes still names deleted servers, with the host that they were on.
    _take_up(slice, [server for server in found if server.host == slice.host and server.status != "DELETED"])


def sweep(slice: Slice) -> list[Server]:
    """List what is on the host, and take up what came since the drain began. One request."""
    here = read_servers(slice.link.cloud, host=slice.host)
    slice.mark(LOOKED)
    _take_up(slice, here)
    return here


def _take_up(slice: Slice, here: list[Server]) -> None:
    """Servers on the host that the drain does not know, or that it has seen leave."""
    new = [arrival_step(server) for server in here if server.id not in slice.moves]
    if new:
        slice.add(new, *(Act("server came during the drain", step.subject) for step in new))
    for server in here:
        move = slice.moves[server.id]
        if move.state in (MoveState.DONE, MoveState.GONE):
            _came_back(slice, move, server)


def _changed(slice: Slice, arrived: list[ServerMove]) -> list[Server]:
    """All servers of the cloud that have changed since the first of these arrived, and since the last look."""
    times = [move.record.arrived_by or slice.work.operation.created_at for move in arrived]
    if last := slice.work.memo.get(LOOKED):
        times.append(datetime.fromisoformat(last))
    return read_servers(slice.link.cloud, changes_since=min(times) - MARGIN)


def _at_target(slice: Slice, move: ServerMove) -> Server | None:
    """A server that the list of changes does not show in time, looked for where it should be."""
    if not _waited(slice, move, SETTLE) or not move.step.to:
        return None
    there = read_servers(slice.link.cloud, host=move.step.to)
    return next((server for server in there if server.id == move.server), None)


def _waited(slice: Slice, move: ServerMove, limit: timedelta) -> bool:
    return move.record.arrived_at is not None and slice.now - move.record.arrived_at > limit


def _judge(slice: Slice, move: ServerMove, server: Server) -> None:
    """Done is: on another host, in the status that it had, with nothing under way."""
    before = move.record.before
    if server.status == "DELETED":
        _finish(slice, move, MoveState.GONE, "deleted during the drain")
    elif server.host is None:
        _finish(slice, move, MoveState.GONE, f"on no host any more: {server.status}")
    elif server.host == slice.host:
        _judge_still_here(slice, move, server)
    elif server.task_state is not None or server.status in UNDER_WAY:
        if _waited(slice, move, BUSY_LIMIT):
            why = f"moved to {server.host}, and still busy there: {server.status}, task_state {server.task_state}"
            _finish(slice, move.put(to=server.host), MoveState.FAILED, why)
    elif server.status == "ERROR" and before != "ERROR":
        why = f"moved to {server.host}, and is in ERROR since: {server.fault or 'Nova names no fault'}"
        _finish(slice, move.put(to=server.host), MoveState.FAILED, why)
    elif before in ("", "ERROR", server.status):
        _finish(slice, move.put(to=server.host), MoveState.DONE, None)
    elif _waited(slice, move, SETTLE):
        why = f"on {server.host}; its status was {before} and is {server.status}: its owner may have changed it"
        _finish(slice, move.put(to=server.host), MoveState.DONE, why)


def _judge_still_here(slice: Slice, move: ServerMove, server: Server) -> None:
    """Nova says that it has left, and lists it here: its record lags, or it has been brought back, or Nova is wrong."""
    row = newest(move.record, slice.rows_of.get(move.server, ()))
    if row is not None and row.target == slice.host:
        _came_back(slice, move, server)
    elif _waited(slice, move, SETTLE):
        why = "Nova calls the migration completed, but the server is still here: see nova-compute's log"
        _finish(slice, move, MoveState.FAILED, why)


def _finish(slice: Slice, move: ServerMove, state: MoveState, why: str | None) -> None:
    move.record.way_out = "look at the server and mend it, then resume the drain" if state is MoveState.FAILED else ""
    move.put(state, error=why, finished_at=slice.now)
    after = {"host": move.step.to, "state": str(state)} | ({"error": why} if why else {})
    slice.later(move, acts=[Act("verify server", move.server, after=after)])


def _came_back(slice: Slice, move: ServerMove, server: Server) -> None:
    """Somebody has brought it back: it is moved again, as one that came during the drain."""
    move.forget_request()
    move.record.before = status_at_rest(server)
    move.record.failed_targets, move.record.conflicts = [], 0
    move.put(MoveState.HELD, action=Action.WAIT, to=None, attempts=0, error=None, finished_at=None, not_before=None)
    slice.later(move, acts=[Act("server came back", move.server)])
