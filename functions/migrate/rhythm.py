"""When to look at the cloud again: often enough that Nova never runs out of work, seldom enough to be no burden."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from statistics import mean, median

from functions.migrate.model import MoveState
from functions.migrate.moves import ServerMove

SHORTEST = 1.0
LONGEST = 30.0
"""Seconds between two polls."""

SOONEST = 0.5
"""Seconds until a move whose time has nearly come."""

LAST_MOVES = 5.0
SELDOM = 60.0
"""Seconds between two looks when nothing more is to be started: oftener at first, seldom when it takes long."""

FIRST = 0.5
"""The share of a move's forecast that is waited as long as nothing has been learned."""

MARGIN = 0.5
"""The share of the pace by which a poll comes later than the end that it expects, since not all moves are alike. One
move always waits in Nova's queue and has begun by then; what this poll starts takes its place there."""

PATIENCE = 0.6
"""The share of the pace, or of the time without any news if that is longer, until the next look at a move that should
have ended."""

RECENT = 8
"""Moves that the pace is learned from: a cloud's load changes in the course of a drain."""


def next_poll(moves: Sequence[ServerMove], now: datetime, lanes: int) -> float:
    """Seconds until the next poll while moves are in flight: one for each end of a move, shortly after it.

    Args:
        lanes: how many moves Nova runs at a time.
    """
    active = [move for move in moves if move.active]
    pace = seconds_per_move(moves, lanes)
    patient = PATIENCE * _quiet(moves, now)
    if pace is None:
        wanted = max(FIRST * median([move.record.seconds for move in active] or [0.0]), patient)
    else:
        starts_more = any(move.state is MoveState.HELD for move in moves)
        ends = 1 if starts_more else len(active)  # nothing is left to start: the next news of interest is the last end
        expected = _began(moves, now) + timedelta(seconds=pace * (ends + MARGIN))
        wanted = (expected - now).total_seconds()
        if wanted <= 0:
            wanted = max(PATIENCE * pace, patient)
    return min(LONGEST, max(SHORTEST, wanted))


def _began(moves: Iterable[ServerMove], now: datetime) -> datetime:
    """When the move that Nova works on now has begun, by our clock: at the last one's end, or at its request.

    Nova's clock may differ from ours: the difference is at most the shortest time that an end took to be seen.
    """
    moves = list(moves)
    seen = [(move.record.arrived_by, move.record.arrived_at) for move in moves]
    ends = [(by, at - by) for by, at in seen if by is not None and at is not None]
    last_end = max(by for by, _ in ends) + min(lag for _, lag in ends) if ends else None
    asked = min((move.record.submitted_at for move in moves if move.active and move.record.submitted_at), default=now)
    return asked if last_end is None else max(asked, last_end)


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


def wind_down(moves: Iterable[ServerMove], now: datetime, since: datetime | None = None) -> float:
    """Seconds until the next look while the last moves of a drain that starts no more come to their end.

    Args:
        since: when their end was asked for, however long they had been under way.
    """
    return min(SELDOM, max(LAST_MOVES, _quiet(moves, now, since) * PATIENCE))


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
    news = ((move.step.started_at, move.record.submitted_at, move.record.arrived_at) for move in moves)
    times = [time for each in [*news, (since,)] for time in each if time]
    return (now - max(times)).total_seconds() if times else 0.0
