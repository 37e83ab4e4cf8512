"""The engine: takes events, and advances operations in short slices.

Nothing runs between two requests. A slice ends in seconds; the next one comes with a tick, with the reply event of this
one, or from a loop in `drover`'s own process. All that is known is in the store, so any worker can do the next slice.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from shared.clock import Clock, SystemClock
from shared.errors import Permanent, Retry
from shared.events import Catalogue, Event, Tick
from shared.operations import lease, outbox
from shared.operations.facts import HOP, FactMaker, fact_maker, fact_type
from shared.operations.kind import Kind
from shared.operations.lease import LeaseLost
from shared.operations.outbox import Sink
from shared.operations.receive import Receiver
from shared.operations.work import Work
from shared.store import Database, Intent, Operation, OperationState
from shared.telemetry.metrics import Metrics
from shared.telemetry.redaction import clean_text

CONTINUATIONS = ("accepted", "started", "progressed")
"""Facts that ask for the operation's next slice when they come back through the broker."""

BUG_LIMIT = 5
"""Unexpected errors in a row before the operation halts."""

BUG_DELAY = 5.0
"""Seconds until the slice after an unexpected error; doubled with each further one."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things may take; every value in seconds but `hops`."""

    slice_seconds: float = 25.0
    """How long one request works, at most; far below any broker's or gateway's time-out."""
    lease_seconds: float = 30.0
    """How long a worker that fell silent keeps its operation; longer than any single call to a cloud takes."""
    hops: int = 6
    """Slices that follow each other by reply events before the next tick is awaited: with an in-memory channel every
    one of them keeps the first POST open."""


class Engine:
    """Runs the operations of some kinds on one store.

    Args:
        source: the CloudEvents source of what this engine sends, `/drover/<function>`.
        sink: where facts go, besides the replies; None where replies are the only way out.
    """

    def __init__(
        self,
        database: Database,
        kinds: Sequence[Kind],
        *,
        source: str = "/drover",
        clock: Clock | None = None,
        sink: Sink | None = None,
        limits: Limits | None = None,
        metrics: Metrics | None = None,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self.database = database
        self.kinds = {kind.name: kind for kind in kinds}
        self.clock = clock or SystemClock()
        self.limits = limits or Limits()
        self.metrics = metrics or Metrics()
        self._sink = sink
        self._new_id = new_id
        self._facts: dict[str, FactMaker] = {kind.name: fact_maker(kind, source, self.clock, new_id) for kind in kinds}
        self._continuations = {fact_type(kind, word) for kind in self.kinds for word in CONTINUATIONS}
        self._receiver = Receiver(database, kinds, self._facts, source, self.clock, new_id)

    @property
    def catalogue(self) -> Catalogue:
        """The event types that this engine takes as requests."""
        return self._receiver.catalogue

    def handle(self, event: Event) -> Event | None:
        """Take one event and do what it asks for, for at most `slice_seconds`.

        Returns:
            The reply, to be sent back as the HTTP answer; None when there is nothing to say.

        Raises:
            Retry: not now; the event must be delivered again.
        """
        earlier = self._receiver.earlier(event)
        if earlier is not None:
            return Event.from_document(earlier.reply) if earlier.reply else None
        if event.type == Tick.event_type:
            return self._continue(event, None)
        if event.type in self._continuations:
            return self._go_on(event)
        reply = self._receiver.receive(event, as_reply=self._sink is None)
        self._flush()
        return reply

    def reject(self, event: Event, reason: str) -> Event | None:
        """Keep an event that cannot even be parsed, and answer it as any other that is not taken."""
        earlier = self._receiver.earlier(event)
        if earlier is not None:
            return Event.from_document(earlier.reply) if earlier.reply else None
        return self._receiver.reject(event, reason)

    def work(self, seconds: float, operation_id: str | None = None) -> str | None:
        """Advance what is due, one slice after the other, and wait for what becomes due, for at most `seconds`.

        Args:
            operation_id: work on this operation alone.

        Returns:
            Id of the operation that was advanced last; None when nothing was due.
        """
        end = self.clock.monotonic() + seconds
        worked = None
        while True:
            operation = self._claim(operation_id)
            if operation is not None:
                worked = operation.id
                self._slice(operation)
            left = end - self.clock.monotonic()
            if left <= 0:
                return worked
            if operation is None:
                wait = self._until_due(operation_id)
                if wait is None or wait >= left:
                    return worked
                self.clock.sleep(max(wait, 0.01))

    def _go_on(self, event: Event) -> Event | None:
        operation_id = event.data.get("operation") if isinstance(event.data, dict) else None
        return self._continue(event, operation_id) if isinstance(operation_id, str) else None

    def _continue(self, event: Event, operation_id: str | None) -> Event | None:
        """One request's worth of work; the reply carries the chain of slices on while there is more to do soon."""
        worked = self.work(self.limits.slice_seconds, operation_id)
        self._flush()
        reply = None if self._sink else self._receiver.reply_from_outbox(event)
        hop = int(event.extensions.get(HOP, "0")) if event.extensions.get(HOP, "0").isdigit() else 0
        if reply is None and worked is not None and hop < self.limits.hops:
            reply = self._progress(worked)
        if reply is None:
            return None
        return replace(reply, extensions={**reply.extensions, HOP: str(hop + 1)})

    def _progress(self, operation_id: str) -> Event | None:
        """The fact that asks for the next slice, if one is due soon. It is a hint and not kept: a tick does as well."""
        with self.database.reading() as session:
            operation = session.get(Operation, operation_id)
        if operation is None or operation.next_at is None:
            return None
        if operation.next_at > self.clock.now() + timedelta(seconds=self.limits.slice_seconds):
            return None
        work = Work(self.database, self.clock, operation, 0, self._facts[operation.kind])
        return self._facts[operation.kind]("progressed", operation, list(work.steps.values()))

    def _claim(self, operation_id: str | None) -> Operation | None:
        now = self.clock.now()
        with self.database.transaction() as session:
            return lease.claim(session, self.kinds, self._new_id(), now, self.limits.lease_seconds, operation_id)

    def _until_due(self, operation_id: str | None) -> float | None:
        with self.database.reading() as session:
            due = lease.next_due(session, self.kinds, operation_id)
        return None if due is None else (due - self.clock.now()).total_seconds()

    def _slice(self, operation: Operation) -> None:
        """One slice of one operation, whatever happens in it."""
        started = self.clock.monotonic()
        try:
            work = Work(self.database, self.clock, operation, self.limits.lease_seconds, self._facts[operation.kind])
            after = self._advance(work)
            now = self.clock.now()
            with self.database.transaction() as session:
                next_at = None if after is None else now + timedelta(seconds=after)
                lease.release(session, operation, now, next_at)
        except LeaseLost as error:
            log.warning("lease lost", operation=operation.id, error=str(error))
        self.metrics.slice_ended(operation.kind, self.clock.monotonic() - started)

    def _advance(self, work: Work) -> float | None:
        """Let the kind do its part, and turn its errors into what the operation does next."""
        operation = work.operation
        try:
            self._follow_intent(work)
            if work.may_start:
                operation.note = ""
            after = self.kinds[operation.kind].advance(work)
            if operation.failures:
                operation.failures = 0
                work.save()
            return after
        except Retry as error:
            log.info("slice put off", operation=operation.id, error=str(error), after=error.after)
            operation.note = str(error)
            work.save()
            return error.after
        except Permanent as error:
            work.end(OperationState.FAILED, str(error))
            return None
        except LeaseLost:
            raise
        except Exception as error:
            return self._survive(work, error)

    def _survive(self, work: Work, error: Exception) -> float | None:
        """An unexpected error is a bug: it is logged whole, tried again with back-off, and halts the operation."""
        operation = work.operation
        log.exception("unexpected error in a slice", operation=operation.id, kind=operation.kind)
        operation.failures += 1
        if operation.failures < BUG_LIMIT:
            work.save()
            return BUG_DELAY * float(2 ** (operation.failures - 1))
        operation.failures = 0
        text = f"unexpected {type(error).__name__} {BUG_LIMIT} times in a row: {error}; see the log"
        work.end(OperationState.HALTED, clean_text(text))
        return None

    def _follow_intent(self, work: Work) -> None:
        """Bring the state in line with what people asked for."""
        operation = work.operation
        before = operation.state
        if operation.intent == Intent.PAUSE and before in (OperationState.PLANNED, OperationState.RUNNING):
            operation.state = OperationState.PAUSED
            work.save(facts=["paused"])
        elif operation.intent == Intent.RUN and before in (OperationState.PAUSED, OperationState.HALTED):
            operation.state, operation.note = OperationState.RUNNING, ""
            work.resumed = True
            work.save(facts=["resumed"])
        if operation.state == OperationState.PLANNED:
            operation.state, operation.started_at = OperationState.RUNNING, self.clock.now()
            work.save()

    def _flush(self) -> None:
        if self._sink is None:
            return
        try:
            outbox.flush(self.database, self._sink, self.clock)
        except Retry as error:
            log.warning("the sink does not take events; they wait in the outbox", error=str(error))
