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

SOONEST = 0.5
"""Seconds until a move whose time has nearly come."""

LAST_MOVES = 5.0
SELDOM = 60.0
"""Seconds between two looks at the last moves of a drain that starts no more; seldom when they hang."""

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


def next_due(moves: Sequence[ServerMove], now: datetime, since: datetime) -> float:
    """Seconds until a held move may start, or an arrived one is worth a look, when nothing is in flight.

    A move that may start by its own time, and has not, waits for others: it is looked at more and more seldom.

    Args:
        since: the drain's begin, when nothing has happened yet.
    """
    for_others = max(SHORTEST, _quiet(moves, now, since) * PATIENCE)
    times = [move.step.not_before for move in moves if move.state is MoveState.HELD]
    waits = [(time - now).total_seconds() for time in times if time is not None and time > now]
    if len(waits) < len(moves):
        waits.append(for_others)
    return min(LONGEST, max(SOONEST, min(waits, default=SHORTEST)))


def wind_down(moves: Iterable[ServerMove], now: datetime) -> float:
    """Seconds until the next look while the last moves of a drain that starts no more come to their end."""
    return min(SELDOM, max(LAST_MOVES, _quiet(moves, now) * PATIENCE))


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


def _quiet(moves: Iterable[ServerMove], now: datetime, since: datetime | None = None) -> float:
    """Seconds since anything began or ended: who is slower than the others need not be asked as often as they."""
    news = ((move.step.started_at, move.record.submitted_at, move.record.arrived_at, since) for move in moves)
    times = [time for each in news for time in each if time]
    return (now - max(times)).total_seconds() if times else 0.0
