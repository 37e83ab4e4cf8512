"""When the cloud is looked at again."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from functions.migrate.model import Action, MoveState
from functions.migrate.moves import ServerMove
from functions.migrate.rhythm import (
    FIRST,
    LAST_MOVES,
    LONGEST,
    MARGIN,
    PATIENCE,
    SELDOM,
    SHORTEST,
    next_due,
    next_poll,
    seconds_per_move,
    wind_down,
)
from shared.store import Step
from tests.unit.migrate.builders import NOW


def _move(state: MoveState, *, arrived: float | None = None, taken: float = 0.0, **columns: datetime) -> ServerMove:
    step = Step(operation_id="o", subject="s", action=Action.LIVE_MIGRATE, state=state)
    move = ServerMove(step)
    if arrived is not None:
        move.record.arrived_by = move.record.arrived_at = NOW + timedelta(seconds=arrived)
        move.record.seconds_taken = taken
    for name, value in columns.items():
        setattr(move.record if hasattr(move.record, name) else step, name, value)
    return move


def _after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def _done(number: int, every: float) -> list[ServerMove]:
    return [_move(MoveState.DONE, arrived=every * n, taken=every * 2) for n in range(1, number + 1)]


def test_the_pace_is_what_one_move_takes_novas_queue() -> None:
    """With one lane, a move's own time begins when the one before it has ended; fewer than three tell nothing."""
    assert seconds_per_move(_done(2, 10.0), 1) is None
    assert seconds_per_move(_done(6, 10.0), 1) is not None
    assert abs((seconds_per_move(_done(8, 10.0), 1) or 0) - 10.0) < 2


def test_one_slow_server_does_not_set_the_pace() -> None:
    """A move of more than twice the usual time is left out."""
    moves = [*_done(6, 10.0), _move(MoveState.DONE, arrived=400.0, taken=340.0)]
    assert (seconds_per_move(moves, 1) or 0) < 13


def test_a_poll_comes_shortly_after_the_next_end() -> None:
    """The move that runs began at the last end; half a pace later than its own end is soon enough."""
    held = [_move(MoveState.HELD), _move(MoveState.MOVING, submitted_at=_after(60))]
    moves = [*_done(8, 10.0), *held]
    pace = seconds_per_move(moves, 1) or 0
    assert next_poll(moves, _after(82), 1) == pytest.approx(80 + pace * (1 + MARGIN) - 82)


def test_a_clock_that_differs_is_allowed_for() -> None:
    """Nova's ends are carried over to our clock by the shortest time that one took to be seen."""
    moves = [*_done(8, 10.0), _move(MoveState.HELD), _move(MoveState.MOVING, submitted_at=_after(60))]
    wanted = next_poll(moves, _after(82), 1)
    for move in moves:
        if move.record.arrived_by:
            move.record.arrived_by -= timedelta(hours=3)
    assert next_poll(moves, _after(82), 1) == pytest.approx(wanted)


def test_a_move_that_should_have_ended_is_looked_at_more_and_more_seldom() -> None:
    """After the expected end the time until the next look grows with the time without news."""
    moves = [*_done(8, 10.0), _move(MoveState.HELD), _move(MoveState.MOVING, submitted_at=_after(60))]
    assert next_poll(moves, _after(100), 1) == pytest.approx(PATIENCE * 20)
    assert next_poll(moves, _after(120), 1) == pytest.approx(PATIENCE * 40)


def test_nothing_learned_means_half_the_forecast() -> None:
    """Until three moves have ended, the forecast says when the first look is worth it."""
    first = _move(MoveState.MOVING, submitted_at=NOW)
    first.record.seconds = 20.0
    assert next_poll([first, _move(MoveState.HELD)], NOW, 1) == FIRST * 20
    first.record.seconds = 0.0
    assert next_poll([first, _move(MoveState.HELD)], NOW, 1) == SHORTEST


def test_the_last_ones_are_waited_for() -> None:
    """When nothing is left to start, the next news of interest is the end of all that are in flight."""
    last = [_move(MoveState.MOVING, submitted_at=_after(60)) for _ in range(2)]
    moves = [*_done(8, 10.0), *last]
    pace = seconds_per_move(moves, 1) or 0
    assert next_poll(moves, _after(80), 1) == pytest.approx(pace * (2 + MARGIN))


def test_no_poll_is_further_than_the_longest() -> None:
    """However long there was no news."""
    slow = [_move(MoveState.MOVING, submitted_at=NOW), _move(MoveState.HELD)]
    assert next_poll(slow, _after(36_000), 1) == LONGEST


def test_a_back_off_is_waited_for_to_the_point() -> None:
    """With nothing in flight, the next look is when the first move may start."""
    moves = [_move(MoveState.HELD, not_before=_after(7)), _move(MoveState.HELD, not_before=_after(20))]
    assert next_due(moves, NOW, NOW) == 7.0


def test_what_waits_for_others_is_looked_at_more_and_more_seldom() -> None:
    """A move that may start and does not (a limit is used up by others) costs fewer and fewer requests."""
    moves = [_move(MoveState.HELD)]
    waits = [next_due(moves, _after(seconds), NOW) for seconds in (0, 10, 30, 600)]
    assert waits[0] == SHORTEST
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST


def test_the_wind_down_slows() -> None:
    """What hangs while nothing is started is asked about once a minute in the end."""
    moves = [_move(MoveState.MOVING, submitted_at=NOW)]
    assert wind_down(moves, NOW) == LAST_MOVES
    assert wind_down(moves, _after(3600)) == SELDOM
    assert wind_down([], NOW) == LAST_MOVES
