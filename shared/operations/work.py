"""What a slice holds in its hands: an operation under lease, its steps, and the one way to write both."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case
from sqlmodel import Session, col, select

from shared.clock import Clock
from shared.events import Event
from shared.operations import audit, lease, outbox
from shared.operations.audit import Act
from shared.operations.facts import FactMaker, News
from shared.operations.lease import LeaseLost
from shared.store import ENDED, Database, Intent, Operation, OperationState, Step


class Work:
    """One claimed operation.

    `operation` and `steps` are this worker's copies; `save` writes them under the lease. Whatever is to be done to a
    cloud is saved as an intent first, so that a successor knows of it.
    """

    def __init__(
        self, database: Database, clock: Clock, operation: Operation, lease_seconds: float, facts: FactMaker
    ) -> None:
        self._database = database
        self._lease_seconds = lease_seconds
        self._facts = facts
        self.clock = clock
        self.operation = operation
        self.steps = self._stored_steps()

    @property
    def resumed(self) -> bool:
        """True from when somebody resumed the operation until the first slice after it has ended without an error."""
        return self.operation.resuming

    @property
    def has_ended(self) -> bool:
        """Whether nothing can change any more."""
        return self.operation.state in ENDED

    @property
    def may_start(self) -> bool:
        """Whether new things may be started: nobody paused or cancelled it, and it has not halted."""
        return self.operation.state == OperationState.RUNNING and self.operation.intent == Intent.RUN

    @property
    def cancelled(self) -> bool:
        """Whether somebody wants it to end."""
        return self.operation.intent == Intent.CANCEL

    @property
    def memo(self) -> dict[str, Any]:
        """What the kind remembers from slice to slice; written with the next `save`, or at the slice's good end."""
        return self.operation.memo

    def others(self) -> list[Operation]:
        """The other living operations of this kind on this cloud."""
        with self._database.reading() as session:
            return list(session.exec(self._others(select(Operation))))

    def other_targets(self, kind: str | None = None) -> list[str]:
        """Targets of the other living operations on this cloud, of this kind or of a named one."""
        with self._database.reading() as session:
            return list(session.exec(self._others(select(Operation.target), kind)))

    def other_steps(self, states: Iterable[str]) -> list[Step]:
        """Steps in one of these states that belong to other living operations of this kind on this cloud."""
        with self._database.reading() as session:
            query = select(Step).join(Operation).where(col(Step.state).in_(list(states)))
            return list(session.exec(self._others(query)))

    def living(self, kind: str) -> Operation | None:
        """The living operation of another kind on this operation's target."""
        operation = self.operation
        with self._database.reading() as session:
            query = select(Operation).where(
                Operation.kind == kind,
                Operation.cloud == operation.cloud,
                Operation.target == operation.target,
                col(Operation.active_key).is_not(None),
            )
            return session.exec(query).first()

    def _others(self, query: Any, kind: str | None = None) -> Any:
        operation = self.operation
        return query.where(
            Operation.kind == (kind or operation.kind),
            Operation.cloud == operation.cloud,
            Operation.id != operation.id,
            col(Operation.active_key).is_not(None),
        )

    def add(self, steps: Iterable[Step], *acts: Act) -> None:
        """Append steps; they get their positions here. A subject that is there already is left as it is."""
        new = [step for step in steps if step.subject not in self.steps]
        first = max((step.position for step in self.steps.values()), default=-1) + 1
        for position, step in enumerate(new, first):
            step.operation_id, step.position = self.operation.id, position
        self.save(*new, acts=acts)

    def save(
        self,
        *steps: Step,
        acts: Iterable[Act] = (),
        facts: Iterable[str] = (),
        news: Iterable[News] = (),
        also: Callable[[Session], None] | None = None,
    ) -> None:
        """Write the memo, the note, the state and these steps, with acts for the audit trail and facts to be sent.

        All in one transaction that also renews the lease and brings in what people have asked for meanwhile.

        Args:
            news: what else is to be told; sent before the facts, if anybody can be told.
            also: reads and writes what else belongs into this transaction. It comes first, so that the memo can tell
                what it did; if the lease is lost, its writes are taken back with all others.

        Raises:
            LeaseLost: another worker has taken over; nothing was written.
        """
        now = self.clock.now()
        with self._database.transaction() as session:
            if also is not None:
                also(session)
            lease.write(session, self.operation, now, self._lease_seconds, self._changes())
            stored = [session.merge(step) for step in steps]
            session.flush()
            for step, row in zip(steps, stored, strict=True):
                step.id = row.id
            for act in acts:
                audit.note(session, self.operation, act, now)
            for step in steps:
                self.steps[step.subject] = step
            for each in news if self._facts.tells else ():
                outbox.put(session, self._facts.news(each), now, self.operation.id)
            for word in facts:
                self._put_fact(session, word, now)
            self._take_requests(session)

    def end(self, state: OperationState, note: str, *acts: Act) -> None:
        """End the operation, or halt it, and send the fact about it.

        Halting keeps what people asked for since the claim, and a cancel always: a request is never lost.
        """
        operation = self.operation
        operation.state, operation.note = state, note
        if state == OperationState.HALTED and operation.intent == Intent.RUN:
            operation.intent = Intent.PAUSE  # only a person's resume starts it again
        if state in ENDED:
            operation.finished_at, operation.active_key = self.clock.now(), None
        word = "completed" if state == OperationState.SUCCEEDED else str(state)
        self.save(
            acts=[Act(f"{operation.kind} {word}", operation.target, after={"note": note}), *acts],
            facts=[word],
        )

    def discard(self) -> None:
        """Forget what was changed since the last `save`: after an error half of it may be missing.

        Raises:
            LeaseLost: the operation is not there any more.
        """
        mine = self.operation
        with self._database.reading() as session:
            stored = session.get(Operation, mine.id)
        if stored is None:
            raise LeaseLost(f"operation {mine.id} is not there any more")
        # The lease and the serial stay those of the claim, whatever the row says now: they are what fencing goes by.
        stored.lease_token, stored.intent_serial = mine.lease_token, mine.intent_serial
        self.operation = stored
        self.steps = self._stored_steps()

    def release(self, after: float | None) -> None:
        """Save, and give the lease back: the next slice is due in `after` seconds.

        Raises:
            LeaseLost: another worker has taken over; nothing was written.
        """
        now = self.clock.now()
        next_at = None if after is None else now + timedelta(seconds=after)
        with self._database.transaction() as session:
            lease.release(session, self.operation, now, next_at, self._changes())

    def _stored_steps(self) -> dict[str, Step]:
        query = select(Step).where(Step.operation_id == self.operation.id)
        with self._database.reading() as session:
            rows = session.exec(query.order_by(col(Step.position), col(Step.id)))
            return {step.subject: step for step in rows}

    def _changes(self) -> dict[str, Any]:
        operation = self.operation
        names = ("state", "note", "memo", "resuming", "failures", "started_at", "finished_at", "active_key")
        changes = {name: getattr(operation, name) for name in names}
        if operation.state == OperationState.HALTED:
            # What a person asked for since the claim counts for more than the halt.
            unseen = col(Operation.intent_serial) != operation.intent_serial
            changes["intent"] = case((unseen, col(Operation.intent)), else_=operation.intent)
        if self.has_ended:
            changes["next_at"] = None
        return changes

    def _put_fact(self, session: Session, word: str, now: datetime) -> None:
        event: Event = self._facts(word, self.operation, list(self.steps.values()))
        outbox.put(session, event, now, self.operation.id)

    def _take_requests(self, session: Session) -> None:
        """See what people asked for since the claim. The serial stays as it was, so that `release` sees it too."""
        row = session.exec(
            select(Operation.intent, Operation.intent_options).where(Operation.id == self.operation.id)
        ).one()
        self.operation.intent, self.operation.intent_options = Intent(row[0]), dict(row[1])
