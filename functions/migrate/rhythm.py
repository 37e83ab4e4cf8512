"""When to look at the cloud again: often enough that Nova never runs out of work, seldom enough to be no burden."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from statistics import mean, median

from functions.migrate.model import MoveState
from functions.migrate.moves import ServerMove

SHORTEST = 2.0
LONGEST = 30.0
"""Seconds between two polls; the shortest as long as nothing has been learned."""

SOONEST = 0.5
"""Seconds until a move whose time has nearly come."""

LAST_MOVES = 5.0
SELDOM = 60.0
"""Seconds between two looks when nothing more is to be started: oftener at first, seldom when it takes long."""

SHARE = 0.95
"""The share of Nova's own pace that is waited. One move always waits in Nova's queue; asked a little oftener than a
move ends, Nova always has one there. Asked a little more seldom, the queue runs dry, and then stays so: each new move
comes just too late."""

PATIENCE = 0.4
"""The share of the time without any news that is waited for more of it."""

RECENT = 8
"""Moves that the pace is learned from: a cloud's load changes in the course of a drain."""

CREDIT = 6
"""Polls more than moves that have ended; beyond it a poll waits until about two moves will have ended."""

THRIFTY = 1.7
"""The share of the pace that is waited then: Nova's queue runs dry for a moment now and then."""


def next_poll(moves: Sequence[ServerMove], now: datetime, lanes: int, polls: int) -> float:
    """Seconds until the next poll while moves are in flight.

    Args:
        lanes: how many moves Nova runs at a time.
        polls: how often the drain has polled so far.
    """
    pace = seconds_per_move(moves, lanes)
    if pace is None:
        wanted = SHORTEST
    elif not any(move.state is MoveState.HELD for move in moves):
        wanted = pace * sum(move.active for move in moves)  # nothing is left to start: the next news is the end
    else:
        ended = sum(move.record.arrived_at is not None or move.state is MoveState.FAILED for move in moves)
        wanted = pace * (THRIFTY if polls > ended + CREDIT else SHARE)
    return min(LONGEST, max(SHORTEST, wanted, _quiet(moves, now) * PATIENCE))


def next_due(moves: Sequence[ServerMove], now: datetime, since: datetime) -> float:
    """Seconds until a held move may start, or an arrived one is worth a look, when nothing is in flight.

    A move that may start by its own time, and has not, waits for others: it is looked at more and more seldom.

    Args:
        since: the drain's begin, when nothing has happened yet.
    """
    for_others = min(LONGEST, max(SHORTEST, _quiet(moves, now, since) * PATIENCE))
    times = [move.step.not_before for move in moves if move.state is MoveState.HELD]
    waits = [(time - now).total_seconds() for time in times if time is not None and time > now]
    if len(waits) < len(moves):
        waits.append(for_others)
    return min(SELDOM, max(SOONEST, min(waits, default=SHORTEST)))


def wind_down(moves: Iterable[ServerMove], now: datetime) -> float:
    """Seconds until the next look while the last moves of a drain that starts no more come to their end."""
    return min(SELDOM, max(LAST_MOVES, _quiet(moves, now) * PATIENCE))


def seconds_per_move(moves: Iterable[ServerMove], lanes: int) -> float | None:
    """Nova's own pace: seconds from one finished move to the next while its queue is full; None until three finished.

    A move's own time runs from its request, or from the end of the move that it had to wait for, to its end, all by
    Nova's clock: so it does not matter how long Nova had to wait for us. Moves of more than twice the median are left
    out: a slow server says nothing of the others.
    """
    ends = sorted(
        (move.record.arrived_by, move.record.seconds_taken or 0.0) for move in moves if move.record.arrived_by
    )
    waits = [None] * lanes + [end for end, _ in ends]
    own = [
        min(taken, (end - before).total_seconds()) if before else taken
        for (end, taken), before in zip(ends, waits, strict=False)
    ]
    if len(own) < 3:
        return None
    usual = median(own[-RECENT:])
    return mean(seconds for seconds in own[-RECENT:] if seconds <= 2 * usual) / lanes


def _quiet(moves: Iterable[ServerMove], now: datetime, since: datetime | None = None) -> float:
    """Seconds since anything began or ended: who is slower than the others need not be asked as often as they."""
    news = ((move.step.started_at, move.record.submitted_at, move.record.arrived_at, since) for move in moves)
    times = [time for each in news for time in each if time]
    return (now - max(times)).total_seconds() if times else 0.0
