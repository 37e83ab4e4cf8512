"""Operations in this process, on the store of this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cli.engine import Parts, build, log_to_file, nowhere, sink_of
from shared.errors import DroverError, Rejected, Retry

if TYPE_CHECKING:
    from shared.events import Event
    from shared.settings import Settings

TURN = 0.5
"""Seconds of work between two looks at the terminal."""


class Local:
    """Works on the operation that it is asked about, and on no other.

    Args:
        sending: whether events go to DROVER_SINK, if that is set; otherwise they are only kept.

    Raises:
        StoreError: the store does not answer.
    """

    is_local = True

    def __init__(self, settings: Settings, parts: Parts, *, sending: bool = False) -> None:
        self.log = log_to_file(settings.log_level)
        self.hindrance = ""
        self._clock = parts.clock
        kinds = parts.kinds(None)
        self._sending = sending
        self._sink = sink_of(settings) if sending else nowhere()
        self._engine = build(settings, kinds, self._sink, source="/drover/local", clock=parts.clock)
        self.place = self._engine.database.address

    def send(self, event: Event) -> Event:
        """See `Backend.send`."""
        answer = self._engine.handle(event)
        if answer is None:
            raise DroverError(f"a {event.type} got no answer; expected one to every request")
        return answer

    def read(self, operation_id: str) -> dict[str, Any]:
        """See `Backend.read`."""
        from shared.operations.reads import read_operation

        document = read_operation(self._engine.database, self._engine.kinds, operation_id)
        if document is None:
            raise Rejected(f"there is no operation {operation_id!r} in {self.place}; `drover ops list` shows them all")
        return document

    def list(self, filters: Mapping[str, str], limit: int, before: str | None) -> dict[str, Any]:
        """See `Backend.list`."""
        from shared.operations.reads import list_operations

        return list_operations(self._engine.database, self._engine.kinds, filters, limit, before)

    def letters(self, query: Mapping[str, str]) -> dict[str, Any]:
        """See `Backend.letters`."""
        from shared.reading import answer, missing

        document = answer(self._engine, query)
        if document is None:
            raise Rejected(missing(query))
        return document

    def advance(self, operation_ids: Sequence[str]) -> None:
        """Do what is due, of several a slice each, and send what came of it. Nothing due, or another process at it:
        wait, and look again."""
        end = self._clock.monotonic() + TURN
        self.hindrance = ""
        seconds = TURN if len(operation_ids) == 1 else 0.0
        worked = [self._engine.work(seconds, one) for one in operation_ids]
        if not any(worked):
            self.hindrance = next(filter(None, map(self._lease, operation_ids)), "")
            self._clock.sleep(max(end - self._clock.monotonic(), 0.01))
        if self._sending:
            self._flush()

    def _flush(self) -> None:
        from shared.operations import outbox

        try:
            while outbox.flush(self._engine.database, self._sink, self._clock) == outbox.BATCH:
                pass
        except Retry as error:
            self.hindrance = f"{error}; what is to be sent waits in the outbox for whoever works on this store next"

    def _lease(self, operation_id: str) -> str:
        """Whose turn it is, when it is not ours: somebody else's who is at it, or who was killed."""
        from shared.store import Operation

        with self._engine.database.reading() as session:
            operation = session.get(Operation, operation_id)
        until = operation.lease_until if operation else None
        if until is None or until <= self._clock.now():
            return ""
        return (
            "Another process works on it, or was killed in the middle of a step: this one takes over when the other's "
            f"lease has ended ({until.astimezone():%H:%M:%S}), and shows how far it is until then."
        )

    def close(self) -> None:
        """Close the store."""
        self._engine.database.close()
