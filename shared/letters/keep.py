"""Taking dead letters: the same event is one row, however often it comes."""

from __future__ import annotations

from collections.abc import Container

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from shared.clock import Clock
from shared.events import Event, Tick
from shared.letters.letter import has_failed, letter_of
from shared.store import Database, DeadLetter


class Letterbox:
    """Where a broker puts what it could not deliver.

    Args:
        known: the event types that the engine behind it takes itself.
    """

    def __init__(self, database: Database, clock: Clock, known: Container[str]) -> None:
        self._database, self._clock, self._known = database, clock, known

    def takes(self, event: Event) -> bool:
        """Whether this is a dead letter: its type is nobody's here, or the broker says that a delivery failed."""
        return event.type not in self._known or has_failed(event)

    def keep(self, event: Event, hindrance: str = "") -> None:
        """Store it, or count that it has come again, which makes it wait again if it had been sent since.

        A tick, or the word that something is due, is not kept: the next one does the same.

        Args:
            hindrance: why it can't be sent again, if that is known already.

        Raises:
            StoreError: the store does not answer; the letter must be delivered again.
        """
        if event.type == Tick.event_type or event.type.endswith(".due"):
            return
        try:
            self._put(event, hindrance)
        except IntegrityError:  # the same letter came twice at once, and the other one was faster
            self._put(event, hindrance)

    def _put(self, event: Event, hindrance: str) -> None:
        arrived = letter_of(event, self._clock.now(), hindrance)
        with self._database.transaction() as session:
            letter = session.get(DeadLetter, arrived.id, with_for_update=True)
            if letter is None:
                session.add(arrived)
            else:
                _count(session, letter, arrived)


def _count(session: Session, letter: DeadLetter, arrived: DeadLetter) -> None:
    """It came again. What it says stays as it came first; what went wrong is told as of now."""
    letter.times += 1
    letter.last_at, letter.replayed_at = arrived.last_at, None
    letter.code, letter.destination, letter.answer = arrived.code, arrived.destination, arrived.answer
    session.add(letter)
