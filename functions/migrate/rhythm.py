"""When to look at the cloud again: often enough that Nova never runs out of work, seldom enough to be no burden."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from statistics import mean, median

from functions.migrate.model import MoveState
from functions.migrate.moves import ServerMove

SHORTEST = 2.0
LONGEST = 15.0
"""Seconds between two polls; the shortest as long as nothing has been learned."""

SHARE = 0.95
"""The share of Nova's own pace that is waited. One move always waits in Nova's queue; asked a little oftener than a
move ends, Nova always has one there. Asked a little more seldom, the queue runs dry, and then stays so: each new move
comes just too late."""

PATIENCE = 0.2
"""The share of the time without any news that is waited for more of it."""

RECENT = 12
"""Moves that the pace is learned from: a cloud's load changes in the course of a drain."""


def next_poll(moves: Sequence[ServerMove], now: datetime) -> float:
    """Seconds until the next poll while moves are in flight."""
    pace = seconds_between_arrivals(moves)
    wanted = SHORTEST if pace is None else SHARE * pace
    if pace is not None and not any(move.state is MoveState.HELD for move in moves):
        wanted = pace * sum(move.active for move in moves)  # nothing is left to start: the next news is the end
    return min(LONGEST, max(SHORTEST, wanted, _quiet(moves, now) * PATIENCE))


def next_due(moves: Iterable[ServerMove], now: datetime) -> float:
    """Seconds until a held move may start, when nothing is in flight."""
    times = [move.step.not_before for move in moves if move.state is MoveState.HELD]
    waits = [(time - now).total_seconds() if time else SHORTEST for time in times]
    return min(LONGEST, max(0.5, min(waits, default=SHORTEST)))


def seconds_between_arrivals(moves: Iterable[ServerMove]) -> float | None:
    """Nova's own pace: seconds from one finished move to the next, by its clock; None until three have finished.

    Gaps of more than twice the median are left out: there Nova had to wait for us, or for a slow server.
    """
    times = sorted(move.record.arrived_by for move in moves if move.record.arrived_by)[-RECENT:]
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    if len(gaps) < 2:
        return None
    usual = median(gaps)
    return mean(gap for gap in gaps if gap <= 2 * usual)


def _quiet(moves: Iterable[ServerMove], now: datetime) -> float:
    """Seconds since anything began or ended: who is slower than the others need not be asked as often as they."""
    times = [time for move in moves for time in (move.record.submitted_at, move.record.arrived_at) if time]
    return (now - max(times)).total_seconds() if times else 0.0
