"""Taking requests: each event once, its row in the inbox written in the transaction of its effect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy.exc import IntegrityError
from sqlmodel import select

from shared.clock import Clock
from shared.errors import Rejected
from shared.events import Catalogue, Event, EventData, RequestRejected, Tick
from shared.operations import audit, control, inbox, outbox
from shared.operations.audit import Act
from shared.operations.facts import FactMaker
from shared.operations.kind import Kind, Prepared
from shared.store import Database, InboxEvent, Operation

MAX_ID = 500
"""Characters of an event's id and source that the inbox can hold."""


class Receiver:
    """Answers the events that ask for something."""

    def __init__(
        self,
        database: Database,
        kinds: Sequence[Kind],
        facts: Mapping[str, FactMaker],
        source: str,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._database = database
        self._kinds = {request: kind for kind in kinds for request in kind.requests}
        self._facts = facts
        self._source = source
        self._clock = clock
        self._new_id = new_id
        self.catalogue = Catalogue([Tick, *control.CONTROL_REQUESTS, *self._kinds])

    def earlier(self, event: Event) -> InboxEvent | None:
        """The row of this event if it was taken before."""
        with self._database.reading() as session:
            return inbox.find(session, event)

    def receive(self, event: Event, as_reply: bool) -> Event | None:
        """Take a request and answer it.

        Args:
            as_reply: whether facts travel as replies; otherwise they wait in the outbox for the sink.

        Returns:
            The answer; None to what must not be answered.

        Raises:
            Retry: a cloud or the store does not answer now.
        """
        try:
            return self._receive(event, as_reply)
        except Rejected as rejection:
            return self.reject(event, str(rejection))
        except IntegrityError:
            # A twin of this event, or of its operation, was written between our look and our write.
            row = self.earlier(event)
            if row is not None:
                return Event.from_document(row.reply) if row.reply else None
            return self._receive(event, as_reply)

    def _receive(self, event: Event, as_reply: bool) -> Event | None:
        if max(len(event.id), len(event.source)) > MAX_ID:
            raise Rejected(f"the event's id or source is longer than {MAX_ID} characters")
        request = self.catalogue.parse(event)
        if isinstance(request, control.CONTROL_REQUESTS):
            return self._control(event, request)
        kind = self._kinds[type(request)]
        prepared = kind.prepare(request)
        if prepared.answer is not None:
            return self._answer(event, prepared.answer, prepared.target)
        return self._open(event, kind, prepared, as_reply)

    def _control(self, event: Event, request: control.ControlRequest) -> Event:
        with self._database.transaction() as session:
            answer = control.apply(session, request, event, self._clock.now())
            reply = self._event(answer, request.operation)
            inbox.record(session, event, self._clock.now(), reply, operation_id=request.operation)
            return reply

    def _answer(self, event: Event, answer: EventData, subject: str) -> Event:
        reply = self._event(answer, subject)
        with self._database.transaction() as session:
            inbox.record(session, event, self._clock.now(), reply)
        return reply

    def _open(self, event: Event, kind: Kind, prepared: Prepared, as_reply: bool) -> Event:
        """Store a new operation; a second request for the same target is answered with the one that lives."""
        now = self._clock.now()
        key = f"{kind.name} {prepared.cloud} {prepared.target}"
        with self._database.transaction() as session:
            operation = session.exec(select(Operation).where(Operation.active_key == key)).first()
            if operation is None:
                operation = self._new_operation(kind, prepared, key)
                session.add(operation)
                session.flush()
                act = Act(f"accept {kind.name}", prepared.target, after=dict(prepared.parameters))
                audit.note(session, operation, act, now, event=f"{event.source} {event.id}")
            reply = self._facts[kind.name]("accepted", operation, [])
            if not as_reply:
                outbox.put(session, reply, now, operation.id)
            inbox.record(session, event, now, reply, operation_id=operation.id)
            return reply

    def _new_operation(self, kind: Kind, prepared: Prepared, key: str) -> Operation:
        now = self._clock.now()
        return Operation(
            id=self._new_id(),
            kind=kind.name,
            cloud=prepared.cloud,
            target=prepared.target,
            active_key=key,
            parameters=dict(prepared.parameters),
            reason=prepared.reason,
            requester=prepared.requester,
            created_at=now,
            next_at=now,
        )

    def reject(self, event: Event, reason: str) -> Event | None:
        """Keep the event as rejected, with the reason, and say so; but never answer a rejection with another."""
        known = event.type in self.catalogue.models
        stem = event.type.rsplit(".", 1)[0] if known else "io.drover.event"
        data = RequestRejected(event=event.id[:MAX_ID], source=event.source[:MAX_ID], type=event.type, reason=reason)
        reply = None
        if not event.type.endswith(".rejected"):
            reply = self._event(data, event.subject, f"{stem}.rejected")
        if max(len(event.id), len(event.source)) <= MAX_ID:
            with self._database.transaction() as session:
                inbox.record(session, event, self._clock.now(), reply, rejected=reason)
        return reply

    def reply_from_outbox(self, event: Event) -> Event | None:
        """Take the event that waits longest as the reply to this one; a second delivery gets it again."""
        now = self._clock.now()
        with self._database.transaction() as session:
            row = outbox.oldest(session)
            if row is None:
                return None
            outbox.mark(session, row, now, "reply")
            reply = Event.from_document(row.event)
            inbox.record(session, event, now, reply)
            return reply

    def _event(self, data: EventData, subject: str | None, type: str | None = None) -> Event:
        return Event(
            id=self._new_id(),
            source=self._source,
            type=type or data.event_type,
            subject=subject,
            time=self._clock.now(),
            data=data.model_dump(mode="json"),
        )
