"""What can happen at a touch, and to a delivery."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from shared.events import Event
from shared.store import StoreError
from tests.chaos.stage import LEASE, REDELIVERY, Stage
from tests.chaos.touches import Died, Phase, Touch, answer_lost

AWAY = 75.0
"""Seconds for which a store, a cloud or a broker is away."""
ON_THE_WIRE = 4.0
"""Seconds that a request of a dead process is still on its way."""

Strike = Callable[[Stage, Touch, Callable[[], Any] | None], None]
Applies = Callable[[Touch], bool]


def _nothing(stage: Stage, touch: Touch, request: Callable[[], Any] | None) -> None:
    """No accident."""


def _crash(stage: Stage, touch: Touch, request: Callable[[], Any] | None) -> None:
    raise Died


def _late(stage: Stage, touch: Touch, request: Callable[[], Any] | None) -> None:
    assert request is not None
    stage.late.append((stage.clock.now() + timedelta(seconds=ON_THE_WIRE), request))
    raise Died


def _answer_lost(stage: Stage, touch: Touch, request: Callable[[], Any] | None) -> None:
    if touch.what == "store":
        raise StoreError("the connection broke after the commit")
    raise answer_lost()


def _stolen(stage: Stage, touch: Touch, request: Callable[[], Any] | None) -> None:
    _thief(stage, lambda: stage.rests, beats=1)


def _overtaken(stage: Stage, touch: Touch, request: Callable[[], Any] | None) -> None:
    _thief(stage, lambda: stage.rests, beats=30)


def _thief(stage: Stage, over: Callable[[], bool], beats: int) -> None:
    """The process freezes for longer than its lease; another one works meanwhile, and then it goes on where it was."""
    stage.touches.quiet = True
    stage.advance(LEASE + 1)
    other = stage.start()
    for number in range(beats):
        other.handle(Event(f"theft-{number}", "/ping", "io.drover.tick", {}))
        stage.advance(1)
        if over():
            break
    stage.touches.quiet = False


def _away(stage: Stage, touch: Touch, request: Callable[[], Any] | None) -> None:
    back = stage.clock.now() + timedelta(seconds=AWAY)

    def away() -> bool:
        return stage.clock.now() < back

    setattr(stage.touches, f"{touch.what}_away", away)


def _outside(touch: Touch) -> bool:
    """Where a process can freeze without holding the store's lock. Not just before a change: a request that left in
    time and arrives after its lease is what `late` is about, and no process looks at its watch after it has left."""
    return touch.phase not in (Phase.COMMIT, Phase.ASK)


@dataclass(frozen=True)
class Accident:
    """One kind of accident."""

    strike: Strike = _nothing
    applies: Applies = lambda touch: True
    surplus: int = 0
    """How many rows of the audit trail it may leave that stand for nothing done."""
    patient: bool = False
    """Whether the broker delivers what was not taken again only when all the rest is over."""
    delivery: str = ""
    """Set for one that happens to a delivery instead of at a touch."""

    def arrange(self, stage: Stage, at: int) -> None:
        """Let it happen at the n-th touch."""
        stage.touches.at = at
        stage.touches.strike = lambda touch, request: self.strike(stage, touch, request)


ACCIDENTS: dict[str, Accident] = {
    "none": Accident(),
    "crash": Accident(_crash, surplus=1),
    "forgotten": Accident(_crash, lambda touch: touch.request and touch.what != "cloud", surplus=1, patient=True),
    "late": Accident(_late, lambda touch: touch.phase is Phase.ASK, surplus=1),
    "answer-lost": Accident(
        _answer_lost, lambda touch: touch.phase is Phase.DONE or touch.phase is Phase.COMMITTED, surplus=1
    ),
    "stolen": Accident(_stolen, _outside, surplus=1),
    "overtaken": Accident(_overtaken, _outside, surplus=1),
    # two moves at a time may be asked for before the next look at the cloud finds it gone
    "away": Accident(_away, lambda touch: touch.phase not in (Phase.DONE, Phase.COMMITTED, Phase.SENT), surplus=2),
    "dropped": Accident(delivery="dropped"),
    "doubled": Accident(delivery="doubled"),
    "reordered": Accident(delivery="reordered"),
}


class Deliveries:
    """The broker's side: each event reaches Drover, but for the one that an accident happens to."""

    def __init__(self, stage: Stage, at: int, kind: str) -> None:
        self._stage, self._at, self._kind = stage, at, kind
        self.number = 0
        self.struck = False
        self._kept: list[tuple[int, Event]] = []

    @property
    def through(self) -> bool:
        """Whether nothing is left that comes late."""
        return not self._kept

    def deliver(self, event: Event) -> bool:
        """Deliver a request; whether it was taken."""
        strikes = self._strikes()
        if strikes and self._kind == "dropped":
            return False  # the broker tries again
        taken = self._stage.deliver(event)
        if strikes:
            self._again(event)
        return taken

    def tick(self) -> None:
        """Deliver a tick, and what comes late."""
        strikes = self._strikes()
        if not (strikes and self._kind == "dropped"):
            self._stage.tick()
        if strikes and self._kind != "dropped":
            self._stage.tick()
        for entry in [entry for entry in self._kept if entry[0] <= self.number]:
            self._kept.remove(entry)
            self._stage.deliver(entry[1])

    def _strikes(self) -> bool:
        self.number += 1
        strikes = self.number == self._at and bool(self._kind)
        self.struck = self.struck or strikes
        return strikes

    def _again(self, event: Event) -> None:
        if self._kind == "doubled":
            self._stage.deliver(event, 1)
        else:
            self._stage.advance(REDELIVERY)
            self._kept.append((self.number + 4, event))
