"""Taking requests: each event once, its row in the inbox written in the transaction of its effect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.exc import DataError, IntegrityError
from sqlmodel import Session, select

from shared.clock import Clock
from shared.errors import Permanent, Rejected
from shared.events import Catalogue, Event, EventData, RequestRejected, Tick
from shared.operations import audit, control, inbox, outbox
from shared.operations.audit import Act
from shared.operations.facts import FactMaker
from shared.operations.kind import Kind, Prepared
from shared.store import Database, InboxEvent, Operation, is_storable, storable

UNSTORABLE = (
    "the event holds a character that can't be stored (NUL or half of a surrogate pair); send text that is valid UTF-8"
)
TWIN = (IntegrityError, inbox.AlreadyTaken)
TWINS = 3
"""How often an event is looked at again when a twin of it, or of its operation, was written in between."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of an event: the reply, and `accepted`, `duplicate` or `rejected`."""

    reply: Event | None
    result: str


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

    def earlier(self, event: Event) -> Answered | None:
        """How this event was answered, if it was taken before.

        Functions may share a store: what another one put aside only because it does not know the type was not taken.
        """
        with self._database.reading() as session:
            row = inbox.find(session, event)
        if row is None or (row.outcome == "unknown" and event.type in self.catalogue.models):
            return None
        return _again(row)

    def receive(self, event: Event, as_reply: bool) -> Answered:
        """Take a request and answer it; one that was taken before is answered as it was then, and does nothing.

        Args:
            as_reply: whether facts travel as replies; otherwise they wait in the outbox for the sink.

        Raises:
            Retry: a cloud does not answer now.
            StoreError: nor does the store.
        """
        for _ in range(TWINS):
            earlier = self.earlier(event)
            if earlier is not None:
                return earlier
            try:
                return Answered(self._receive(event, as_reply), "accepted")
            except (Rejected, Permanent) as refusal:
                return self.reject(event, str(refusal))
            except DataError:
                return self.reject(
                    event, "the event holds a text that is too long, or another value that the store can't keep"
                )
            except TWIN:
                continue  # a twin of this event, or of its operation, was written between our look and our write
        return Answered(self._receive(event, as_reply), "accepted")

    def _receive(self, event: Event, as_reply: bool) -> Event | None:
        if not (event.id and event.source):
            raise Rejected("the event's id and source must not be empty: together they are what tells it from others")
        if not is_storable([event.id, event.source, event.type, event.subject, event.data]):
            raise Rejected(UNSTORABLE)
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
        """Store a new operation; a second request for the same target is answered with the one that lives.

        Several are stored in the order of their targets, so that two requests never wait for each other. The answer
        is the first one's fact and names all of them; the facts of the others wait in the outbox.
        """
        now = self._clock.now()
        with self._database.transaction() as session:
            several = sorted((prepared, *prepared.together), key=lambda each: each.target)
            opened = {each.target: self._living(session, event, kind, each) for each in several}
            facts = {target: self._facts[kind.name]("accepted", each, []) for target, each in opened.items()}
            reply = facts.pop(prepared.target)
            if facts:
                reply = replace(reply, data={**reply.data, "together": {name: one.id for name, one in opened.items()}})
            for fact in facts.values() if as_reply else (reply, *facts.values()):
                outbox.put(session, fact, now, fact.data["operation"])
            inbox.record(session, event, now, reply, operation_id=opened[prepared.target].id)
            return reply

    def _living(self, session: Session, event: Event, kind: Kind, prepared: Prepared) -> Operation:
        """The operation that lives on this target, or a new one."""
        key = f"{kind.name} {prepared.cloud} {prepared.target}"
        operation = session.exec(select(Operation).where(Operation.active_key == key)).first()
        if operation is None:
            operation = self._new_operation(kind, prepared, key)
            session.add(operation)
            session.flush()
            act = Act(f"accept {kind.name}", prepared.target, after=dict(prepared.parameters))
            audit.note(session, operation, act, self._clock.now(), event=" ".join(inbox.key(event)))
        return operation

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

    def reject(self, event: Event, reason: str) -> Answered:
        """Keep the event as rejected, with the reason, and say so; but never answer a rejection with another."""
        known = event.type in self.catalogue.models
        source, id = inbox.key(event)
        data = RequestRejected(
            event=id, source=source, type=storable(event.type, inbox.MAX_TYPE), reason=storable(reason)
        )
        reply = None
        if not event.type.endswith(".rejected"):
            stem = event.type.rsplit(".", 1)[0] if known else "io.drover.event"
            subject = None if event.subject is None else storable(event.subject, inbox.MAX_ID)
            reply = self._event(data, subject, f"{stem}.rejected")
        outcome = "rejected" if known else "unknown"
        try:
            with self._database.transaction() as session:
                inbox.record(session, event, self._clock.now(), reply, outcome=outcome, reason=reason)
        except TWIN:
            earlier = self.earlier(event)
            if earlier is None:
                raise
            return earlier
        return Answered(reply, "rejected")

    def reply_from_outbox(self, event: Event, extensions: Mapping[str, str]) -> Event | None:
        """Take the event that waits longest as the reply to this one; a second delivery gets it again.

        Args:
            extensions: what the reply shall carry besides.
        """
        try:
            with self._database.transaction() as session:
                earlier = inbox.find(session, event)
                if earlier is not None:
                    return _again(earlier).reply
                row = outbox.oldest(session, lock=True)
                if row is None:
                    return None
                now = self._clock.now()
                outbox.mark(session, row, now, "reply")
                stored = Event.from_document(row.event)
                reply = replace(stored, extensions={**stored.extensions, **extensions})
                inbox.record(session, event, now, reply)
                return reply
        except TWIN:  # the same event, delivered twice at once
            earlier_answer = self.earlier(event)
            return earlier_answer.reply if earlier_answer else None

    def _event(self, data: EventData, subject: str | None, type: str | None = None) -> Event:
        return Event(
            id=self._new_id(),
            source=self._source,
            type=type or data.event_type,
            subject=subject,
            time=self._clock.now(),
            data=data.model_dump(mode="json"),
        )


def _again(row: InboxEvent) -> Answered:
    return Answered(Event.from_document(row.reply) if row.reply else None, "duplicate")
