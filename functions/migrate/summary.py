"""The summary of a drain: what an operator wants to know of it at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from functions.migrate.forecast import makespan
from functions.migrate.model import ACTIVE_MOVES, MOVES, Action, MoveState
from functions.migrate.moves import ServerMove
from shared.store import ENDED, Operation, OperationState, Step

NOVA = "compute"
"""Nova's name among the services whose requests are counted."""


def summarise(operation: Operation, steps: Sequence[Step], now: datetime) -> dict[str, Any]:
    """The JSON summary.

    `moved` and `total` count servers, `arrived` those that Nova says have moved and that were not looked at yet;
    `left` lists those that stay, with the reason and the way out; `seconds` and `eta_seconds` are times;
    `api_requests` counts Nova's, `api_requests_by_service` all. `memory_mb_moved` includes the arrived.
    """
    moves = [ServerMove(step) for step in steps]
    done = [move for move in moves if move.state is MoveState.DONE]
    arrived = [move for move in moves if move.state is MoveState.ARRIVED]
    wanted = [move for move in moves if move.state is MoveState.DONE or move.unfinished or _stays(move)]
    requests: dict[str, int] = operation.memo.get("requests", {})
    ended = operation.finished_at or now
    over = operation.state in ENDED or operation.state == OperationState.HALTED
    return {
        "moved": len(done),
        "arrived": len(arrived),
        "total": len(wanted),
        "left": [_left(move, operation) for move in moves if _stays(move) or (over and move.unfinished)],
        "seconds": round((ended - (operation.started_at or ended)).total_seconds(), 1),
        "api_requests": requests.get(NOVA, 0),
        "api_requests_by_service": dict(requests),
        "memory_mb_moved": sum(move.record.memory_mb for move in done + arrived),
        "memory_mb_total": sum(move.record.memory_mb for move in wanted),
        "in_flight": sum(move.state in ACTIVE_MOVES for move in moves),
        "eta_seconds": _eta(operation, moves),
    }


def _stays(move: ServerMove) -> bool:
    return move.state in (MoveState.LEFT, MoveState.FAILED)


def _left(move: ServerMove, operation: Operation) -> dict[str, str]:
    stopped = f"{operation.state}: {operation.note}" if operation.note else str(operation.state)
    where = f"under way to {move.step.to}" if move.active or move.state is MoveState.ARRIVED else "not moved yet"
    return {
        "server": move.server,
        "name": move.step.name,
        "reason": move.step.error or f"{where} when the drain {stopped}",
        "way_out": move.record.way_out,
    }


def _eta(operation: Operation, moves: Sequence[ServerMove]) -> float | None:
    """Seconds that the moves which are left will take, at the pace of those that are through."""
    if operation.finished_at is not None:
        return 0.0
    ended = (MoveState.DONE, MoveState.ARRIVED)
    unended = [move for move in moves if move.unfinished and move.state not in ended]
    failovers = sum(move.record.seconds for move in unended if move.action is Action.FAIL_OVER)  # one at a time
    left = [move for move in unended if move.action in MOVES]
    seconds = [move.record.seconds for move in left]
    through = [move for move in moves if move.state in ended and move.record.seconds_taken]
    if through:
        forecast = sum(move.record.seconds for move in through)
        taken = sum(move.record.seconds_taken or 0.0 for move in through)
        seconds = [each * taken / forecast for each in seconds] if forecast else seconds
    at_a_time = max(1, int(operation.parameters.get("concurrency", 2)) - 1)
    return round(max(makespan(seconds, at_a_time), failovers), 1)
