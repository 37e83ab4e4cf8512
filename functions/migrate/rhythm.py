"""When to look at the cloud again: often enough that Nova never runs out of work, seldom enough to be no burden."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from statistics import median

from functions.migrate.model import MoveState
from functions.migrate.moves import ServerMove

SHORTEST = 2.0
LONGEST = 15.0
"""Seconds between two polls."""

PATIENCE = 0.2
"""The share of the time without any news that is waited for more of it."""

STRETCH = 1.25
"""Polls per finished move are 1 / STRETCH. One move always waits in Nova's queue, so that up to two may end between two
polls before Nova stands still."""


def next_poll(moves: Sequence[ServerMove], lanes: int, now: datetime) -> float:
    """Seconds until the next poll while moves are in flight.

    Args:
        lanes: how many moves Nova runs at a time.
    """
    pace = _seconds_per_move(moves) / max(1, lanes)
    return min(LONGEST, max(SHORTEST, STRETCH * pace, _quiet(moves, now) * PATIENCE))


def _quiet(moves: Iterable[ServerMove], now: datetime) -> float:
    """Seconds since anything began or ended: who is slower than the others need not be asked as often as they."""
    times = [time for move in moves for time in (move.record.submitted_at, move.record.arrived_at) if time]
    return (now - max(times)).total_seconds() if times else 0.0


def _seconds_per_move(moves: Iterable[ServerMove]) -> float:
    """How long one move takes: the median of what was seen, the forecast until anything was.

    A row of os-migrations is written first when Nova takes the request, so a move that waited in Nova's queue shows
    the wait as well; the shorter half of what was seen has waited least.
    """
    moves = list(moves)
    seen = sorted(move.record.seconds_taken for move in moves if move.record.seconds_taken)
    if seen:
        return median(seen[: len(seen) // 2 + 1])
    forecast = [move.record.seconds for move in moves if move.active]
    return median(forecast) if forecast else SHORTEST


def next_due(moves: Iterable[ServerMove], now: datetime) -> float:
    """Seconds until a held move may start, when nothing is in flight."""
    times = [move.step.not_before for move in moves if move.state is MoveState.HELD]
    waits = [(time - now).total_seconds() if time else SHORTEST for time in times]
    return min(LONGEST, max(0.5, min(waits, default=SHORTEST)))
