"""The engine: takes events, and advances operations in short slices.

Nothing runs between two requests. A slice ends in seconds; the next one comes with a tick, with the reply event of this
one, or from a loop in `drover`'s own process. All that is known is in the store, so any worker can do the next slice.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import structlog

from shared.clock import Clock, SystemClock
from shared.errors import Permanent, Retry
from shared.events import Catalogue, Event, Tick
from shared.letters import Letterbox
from shared.operations import lease, outbox, wake
from shared.operations.facts import HOP, TRACE, FactMaker, fact_type, hop_of
from shared.operations.kind import Housekeeping, Kind
from shared.operations.lease import LeaseLost
from shared.operations.limits import Limits
from shared.operations.measure import measure
from shared.operations.outbox import Sink
from shared.operations.receive import Receiver
from shared.operations.work import Work
from shared.store import Database, Intent, Operation, OperationState, StoreError, is_storable
from shared.telemetry.metrics import Metrics
from shared.telemetry.redaction import clean_text
from shared.telemetry.traces import PassingTracing, Tracing

CONTINUATIONS = ("accepted", "started", "progressed")
"""Facts that ask for the operation's next slice when they come back through the broker."""

BUG_LIMIT = 5
"""Unexpected errors in a row before the operation halts."""

BUG_DELAY = 5.0
"""Seconds until the slice after an unexpected error; doubled with each further one."""

MIN_WAIT, MAX_WAIT = 0.05, 1.0
"""Seconds between two looks for something due."""

log = structlog.get_logger(__name__)


class Engine:
    """Runs the operations of some kinds on one store.

    Args:
        source: the CloudEvents source of what this engine sends, `/drover/<function>`.
        sink: where facts go, besides the replies; None where replies are the only way out.
        dead_letters: whether brokers deliver here what they could not deliver elsewhere.
        chores: what else is looked after at each tick; each takes some seconds at most.
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
        tracing: Tracing | None = None,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
        dead_letters: bool = False,
        chores: Sequence[Callable[[], None]] = (),
    ) -> None:
        self._chores = chores
        self.database = database
        self.kinds = {kind.name: kind for kind in kinds}
        self.clock = clock or SystemClock()
        self.limits = limits or Limits()
        self.metrics = metrics or Metrics()
        self._tracing = tracing or PassingTracing()
        self._sink = sink
        self._source = source
        self._new_id = new_id
        self._facts: dict[str, FactMaker] = {
            kind.name: FactMaker(kind, source, self.clock, new_id, self._tracing, tells=sink is not None)
            for kind in kinds
        }
        self._continuations = {fact_type(kind, word) for kind in self.kinds for word in CONTINUATIONS}
        self._receiver = Receiver(database, kinds, self._facts, source, self.clock, new_id)
        self._wakes = {Tick.event_type, *(fact_type(kind, wake.DUE) for kind in self.kinds)}
        known = self._continuations.union(self.catalogue.models)
        self._letterbox = Letterbox(database, self.clock, known) if dead_letters else None
        for kind in kinds:
            if isinstance(kind, Housekeeping):
                kind.attach(database, self.clock, sends=sink is None or sink.name != outbox.NOBODY)

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
            StoreError: the same, because the store does not answer.
        """
        with self._tracing.span("event", event.extensions.get(TRACE), type=event.type) as span:
            reply = self._handle(event)
            if reply is not None and span.traceparent:
                reply = replace(reply, extensions={TRACE: span.traceparent, **reply.extensions})
            return reply

    def _handle(self, event: Event) -> Event | None:
        if self._letterbox is not None and self._letterbox.takes(event):
            self._keep(self._letterbox, event)
            return None
        if event.type in self._wakes:
            if self._letterbox is not None and self._sink is not None:
                wake.tell_who_is_due(self.database, self._sink, self.kinds, self.clock.now(), self._new_event)
            if event.type == Tick.event_type:
                self._do_chores()
            reply = self._continue(event, None)
            measure(self.database, self.metrics)
            return reply
        if event.type in self._continuations:
            return self._go_on(event)
        try:
            answered = self._receiver.receive(event, as_reply=self._sink is None)
        except (Retry, StoreError):
            self.metrics.event_received(event.type, "later")
            raise
        self.metrics.event_received(event.type, answered.result)
        self._flush()
        return answered.reply

    def reject(self, event: Event, reason: str) -> Event | None:
        """Keep an event that cannot even be parsed, and answer it as any other that is not taken."""
        if self._letterbox is not None:
            self._keep(self._letterbox, event, reason)
            return None
        answered = self._receiver.earlier(event) or self._receiver.reject(event, reason)
        self.metrics.event_received(event.type, answered.result)
        return answered.reply

    def _keep(self, letterbox: Letterbox, event: Event, hindrance: str = "") -> None:
        """Nothing is ever answered to a dead letter: what could not be delivered would only cause more of its kind."""
        letterbox.keep(event, hindrance)
        self.metrics.event_received(event.type, "dead")

    def work(self, seconds: float, operation_id: str | None = None) -> str | None:
        """Advance what is due, one slice after the other, and wait for what becomes due, for at most `seconds`.

        Args:
            operation_id: work on this operation alone.

        Returns:
            Id of the operation that was advanced last; None when nothing was due.

        Raises:
            StoreError: the store does not answer. The operation is taken up again when its lease has run out.
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
                # Not below: what is due and can't be claimed is locked by another's transaction. Not above: a request
                # may make something due before the time that is known now.
                self.clock.sleep(min(max(wait, MIN_WAIT), MAX_WAIT))

    def _go_on(self, event: Event) -> Event | None:
        operation_id = event.data.get("operation") if isinstance(event.data, dict) else None
        if not isinstance(operation_id, str) or not is_storable(operation_id):
            return None
        return self._continue(event, operation_id)

    def _do_chores(self) -> None:
        """None of them may hold up what a tick is for."""
        for chore in self._chores:
            try:
                chore()
            except Exception:
                log.exception("unexpected error in a chore")

    def _new_event(self, type: str, data: dict[str, str]) -> Event:
        return Event(self._new_id(), self._source, type, data, None, self.clock.now())

    def _continue(self, event: Event, operation_id: str | None) -> Event | None:
        """One request's worth of work; the reply carries the chain of slices on while there is more to do soon.

        Also for an event that was seen before: functions may share a store, and each gets the same tick.
        """
        hop = hop_of(event)
        worked = self.work(self.limits.slice_seconds, operation_id) if hop <= self.limits.hops else None
        self.metrics.event_received(event.type, "accepted")
        self._flush()
        extensions = {HOP: str(hop + 1)}
        reply = None if self._sink else self._receiver.reply_from_outbox(event, extensions)
        if reply is None and worked is not None and hop < self.limits.hops:
            hint = self._progress(worked)
            reply = replace(hint, extensions=extensions) if hint else None
        return reply

    def _progress(self, operation_id: str) -> Event | None:
        """The fact that asks for the next slice, if one is due soon. It is a hint and not kept: a tick does as well."""
        with self.database.reading() as session:
            operation = session.get(Operation, operation_id)
        if operation is None or operation.next_at is None:
            return None
        if operation.next_at > self.clock.now() + timedelta(seconds=self.limits.slice_seconds):
            return None
        facts = self._facts[operation.kind]
        work = Work(self.database, self.clock, operation, self.limits.lease_seconds, facts)
        return facts("progressed", operation, list(work.steps.values()))

    def _claim(self, operation_id: str | None) -> Operation | None:
        now = self.clock.now()
        with self.database.transaction() as session:
            return lease.claim(session, self.kinds, self._new_id(), now, self.limits.lease_seconds, operation_id)

    def _until_due(self, operation_id: str | None) -> float | None:
        with self.database.reading() as session:
            due = lease.next_due(session, self.kinds, operation_id)
        return None if due is None else (due - self.clock.now()).total_seconds()

    def _slice(self, operation: Operation) -> None:
        """One slice of one operation, whatever happens in it.

        Raises:
            StoreError: the store does not answer; the lease stays until it runs out.
        """
        started = self.clock.monotonic()
        try:
            with self._tracing.span("slice", kind=operation.kind, operation=operation.id):
                facts = self._facts[operation.kind]
                self._advance(Work(self.database, self.clock, operation, self.limits.lease_seconds, facts))
        except LeaseLost as error:
            log.warning("lease lost", operation=operation.id, error=str(error))
        except StoreError:
            raise
        except Exception:
            # Not even the error could be stored. The others' slices must go on; this one's lease runs out.
            log.exception("unexpected error after a slice", operation=operation.id, kind=operation.kind)
        finally:
            self.metrics.slice_ended(operation.kind, self.clock.monotonic() - started)

    def _advance(self, work: Work) -> None:
        """Let the kind do its part and save it, or turn its error into what the operation does next."""
        try:
            self._follow_intent(work)
            after = self.kinds[work.operation.kind].advance(work)
            work.operation.failures, work.operation.resuming = 0, False
            work.release(after)
        except (LeaseLost, StoreError):
            raise
        except Exception as error:
            work.discard()
            work.release(self._survive(work, error))

    def _survive(self, work: Work, error: Exception) -> float | None:
        """Decide what an error means, and when the next slice is due."""
        operation = work.operation
        if work.has_ended:
            log.error("error after the operation's end", operation=operation.id, error=repr(error))
            return None
        if isinstance(error, Permanent):
            work.end(OperationState.FAILED, str(error))
            return None
        if isinstance(error, Retry):
            log.info("slice put off", operation=operation.id, error=str(error), after=error.after)
            self.metrics.slice_erred(operation.kind, "put off")
            if operation.state != OperationState.HALTED:  # why it has halted is still what people must know
                operation.note = str(error)
            return max(error.after, 0.0)
        return self._count_bug(work, error)

    def _count_bug(self, work: Work, error: Exception) -> float | None:
        """An unexpected error is a bug: it is logged whole, tried again with back-off, and halts the operation."""
        operation = work.operation
        log.error("unexpected error in a slice", operation=operation.id, kind=operation.kind, exc_info=error)
        self.metrics.slice_erred(operation.kind, "unexpected")
        operation.failures += 1
        if operation.failures < BUG_LIMIT:
            after = BUG_DELAY * float(2 ** (operation.failures - 1))
            if operation.state != OperationState.HALTED:
                again = f"tried again in {after:.0f} s ({operation.failures} of {BUG_LIMIT})"
                operation.note = clean_text(f"unexpected {type(error).__name__}: {error}; {again}")
            return after
        operation.failures = 0
        text = clean_text(f"unexpected {type(error).__name__} {BUG_LIMIT} times in a row: {error}; see the log")
        earlier = f"{operation.note}; then " if operation.state == OperationState.HALTED and operation.note else ""
        work.end(OperationState.HALTED, earlier + text)
        return None

    def _follow_intent(self, work: Work) -> None:
        """Bring the state in line with what people asked for, and drop the note of an earlier slice."""
        operation = work.operation
        now = self.clock.now()
        if operation.state != OperationState.HALTED:
            operation.note = ""
        if operation.intent == Intent.PAUSE and operation.state in (OperationState.PLANNED, OperationState.RUNNING):
            operation.state = OperationState.PAUSED
            work.save(facts=["paused"])
        elif operation.intent == Intent.RUN and operation.state in (OperationState.PAUSED, OperationState.HALTED):
            operation.state, operation.note, operation.resuming = OperationState.RUNNING, "", True
            operation.started_at = operation.started_at or now
            work.save(facts=["resumed"])
        if operation.state == OperationState.PLANNED:
            operation.state, operation.started_at = OperationState.RUNNING, now
            work.save()

    def _flush(self) -> None:
        if self._sink is None:
            return
        try:
            outbox.flush(self.database, self._sink, self.clock)
        except Retry as error:
            log.warning("the sink does not take events; they wait in the outbox", error=str(error))
