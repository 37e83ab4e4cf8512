"""An engine on a store with a fake clock, and the questions that tests ask of its tables."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, TypeVar

from sqlmodel import SQLModel, select

from lab.simulator.clock import SteppedClock
from shared.events import Event
from shared.operations import Engine, Limits, Sink, Work
from shared.store import AuditEntry, Database, InboxEvent, Operation, OutboxEvent, Step
from shared.telemetry.traces import Tracing
from tests.support.kinds import Walk, control, walk

Row = TypeVar("Row", bound=SQLModel)
LEASE = 30.0


class Bench:
    """One store, one clock; as many engines as a test wants."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = SteppedClock()
        self.kind = Walk()
        self._numbers = itertools.count(1)
        self.engine = self.new_engine()

    def new_engine(
        self, sink: Sink | None = None, kinds: Sequence[Any] | None = None, tracing: Tracing | None = None
    ) -> Engine:
        """Another worker on the same store."""
        return Engine(
            self.database,
            [self.kind] if kinds is None else kinds,
            source="/drover/test",
            clock=self.clock,
            sink=sink,
            tracing=tracing,
            limits=Limits(slice_seconds=25, lease_seconds=LEASE, hops=6),
            new_id=lambda: f"id-{next(self._numbers)}",
        )

    def begin(self, id: str = "1", **data: Any) -> str:
        """Ask for a walk; returns the operation's id."""
        reply = self.engine.handle(walk(id, **data))
        assert reply is not None
        assert reply.type == "io.drover.walk.accepted", reply.data
        return str(reply.data["operation"])

    def ask(self, verb: str, operation_id: str, id: str, **data: Any) -> Event:
        """Pause, resume or cancel; returns the answer."""
        reply = self.engine.handle(control(verb, operation_id, id, **data))
        assert reply is not None
        return reply

    def claim(self, operation_id: str, engine: Engine | None = None) -> Work:
        """Take the lease as a worker does, and hold it."""
        engine = engine or self.engine
        operation = engine._claim(operation_id)
        assert operation is not None
        return Work(self.database, self.clock, operation, LEASE, engine._facts[operation.kind])

    def operation(self, operation_id: str) -> Operation:
        """The stored row."""
        with self.database.reading() as session:
            found = session.get(Operation, operation_id)
        assert found is not None
        return found

    def rows(self, table: type[Row]) -> list[Row]:
        """All rows of a table, in the order of their keys."""
        with self.database.reading() as session:
            return list(session.exec(select(table).order_by(*table.__table__.primary_key)))  # type: ignore[attr-defined]

    def inbox(self) -> list[InboxEvent]:
        """What was received."""
        return self.rows(InboxEvent)

    def outbox(self) -> list[OutboxEvent]:
        """What is or was to be sent."""
        return self.rows(OutboxEvent)

    def facts(self) -> list[str]:
        """The last word of each event in the outbox."""
        return [row.event["type"].rpartition(".")[2] for row in self.outbox()]

    def steps(self) -> list[Step]:
        """All steps."""
        return self.rows(Step)

    def acts(self) -> list[str]:
        """The audit trail."""
        return [row.act for row in self.rows(AuditEntry)]

    def rows_by_target(self) -> dict[str, str]:
        """Ids of operations by their targets."""
        return {row.target: row.id for row in self.rows(Operation)}
