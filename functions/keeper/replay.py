"""Sending dead letters again: unchanged, each on its way in the transaction that marks it as sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlmodel import Session, col, select

from functions.keeper.choice import Choice, number, oldest, sendable
from functions.keeper.events import Letter, ReplayPlanned, ReplayRequested
from shared.clock import Clock
from shared.errors import Rejected
from shared.events import Event, EventData
from shared.letters.reads import hindrance, letter_document
from shared.operations import Prepared, Work, outbox
from shared.store import Database, DeadLetter, Operation, OperationState, Step

BATCH = 100
"""Letters that are put on their way in one transaction."""
BATCHES = 10
"""Transactions in one slice, at most."""
LISTED = 200
"""Letters that a dry run's answer lists."""


class Replay:
    """The kind of operation behind `io.drover.replay.requested`.

    That an event was sent again is marked with it, so that a slice that comes after a crash goes on behind it; the
    outbox sends an event at least once, and whoever has done it already knows its source and id.
    """

    name = "replay"
    requests: Sequence[type[EventData]] = (ReplayRequested,)

    _database: Database
    _clock: Clock
    _sends: bool

    def attach(self, database: Database, clock: Clock, *, sends: bool) -> None:
        """See `Housekeeping.attach`."""
        self._database, self._clock, self._sends = database, clock, sends

    def prepare(self, request: EventData) -> Prepared:
        """Look whether the letters that are named are there and can be sent."""
        assert isinstance(request, ReplayRequested)
        choice = Choice(tuple(dict.fromkeys(request.letters)), request.type)
        named = self._named(choice.letters)
        if not request.dry_run:
            self._check(named)
        return Prepared(
            cloud="",
            target=choice.target,
            reason=request.reason,
            requester=request.requester,
            parameters={"letters": list(choice.letters), "type": choice.type},
            answer=self._plan(choice) if request.dry_run else None,
        )

    def _named(self, ids: Sequence[str]) -> list[DeadLetter]:
        if not ids:
            return []
        with self._database.reading() as session:
            found = {row.id: row for row in session.exec(select(DeadLetter).where(col(DeadLetter.id).in_(ids)))}
        missing = [id for id in ids if id not in found]
        if missing:
            raise Rejected(f"there is no dead letter {_some(missing)}; `drover events dead` lists them all")
        return [found[id] for id in ids]

    def _check(self, named: Sequence[DeadLetter]) -> None:
        if not self._sends:
            raise Rejected(
                "this Drover has nowhere to send events to: set DROVER_SINK to the broker's address, or ask the "
                "deployed keeper (--url)"
            )
        now = self._clock.now()
        stuck = [f"{letter.id} can't be sent again: {why}" for letter in named if (why := hindrance(letter, now))]
        if stuck:
            raise Rejected(_some(stuck, "; "))

    def _plan(self, choice: Choice) -> ReplayPlanned:
        now = self._clock.now()
        meant = choice.conditions(now)
        with self._database.reading() as session:
            listed = session.execute(oldest(meant, LISTED)).scalars().all()
            total, can = number(session, meant), number(session, [*meant, *sendable(now)])
        names = set(Letter.model_fields)
        letters = [Letter.model_validate(_only(letter_document(letter, now), names)) for letter in listed]
        return ReplayPlanned(total=total, sendable=can, letters=letters)

    def advance(self, work: Work) -> float | None:
        """Put the next letters on their way."""
        for _ in range(BATCHES):
            if work.cancelled:
                work.end(OperationState.CANCELLED, f"{_events(work.memo.get('replayed', 0))} on the way already")
                return None
            if not work.may_start:
                return None
            work.save(also=lambda session: self._send(work, session))
            if work.memo["done"]:
                work.end(OperationState.SUCCEEDED, self._result(work))
                return None
        return 0.0

    def _send(self, work: Work, session: Session) -> None:
        operation, now = work.operation, self._clock.now()
        meant = Choice.of(operation.parameters).conditions(operation.created_at, operation.id)
        query = oldest([*meant, *sendable(now)], BATCH).with_for_update()
        letters = session.execute(query).scalars().all()
        for letter in letters:
            assert letter.event is not None  # whatever can't be sent has a hindrance
            outbox.put(session, Event.from_document(letter.event), now, operation.id)
            letter.replayed_at, letter.replayed_by = now, operation.id
        work.memo["replayed"] = work.memo.get("replayed", 0) + len(letters)
        work.memo["done"] = len(letters) < BATCH

    def _result(self, work: Work) -> str:
        operation = work.operation
        meant = Choice.of(operation.parameters).conditions(operation.created_at, operation.id)
        with self._database.reading() as session:
            left = number(session, meant)
        work.memo["left"] = left
        stay = f"; {left} can't be sent again: `drover events dead` says why" if left else ""
        return f"{_events(work.memo['replayed'])} on the way{stay}"

    def summary(self, operation: Operation, steps: Sequence[Step]) -> dict[str, Any]:
        """How many events were put on their way, and how many of the letters that were meant can't be."""
        return {"replayed": operation.memo.get("replayed", 0), "left": operation.memo.get("left", 0)}


def _only(document: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name in names}


def _some(texts: Sequence[str], separator: str = ", ") -> str:
    shown = separator.join(texts[:5])
    return shown if len(texts) <= 5 else f"{shown}{separator}and {len(texts) - 5} more"


def _events(count: int) -> str:
    return "1 event is" if count == 1 else f"{count} events are"
