"""Drains on the double of a cloud: the real engine and kinds, a store in a file, and time that a test lets pass."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlmodel import Session, select

from functions.migrate.drain import Drain, Links
from functions.migrate.model import MoveState
from functions.migrate.undrain import Undrain
from lab.simulator.clock import SteppedClock
from lab.simulator.cloud import SimulatedCloud
from lab.simulator.records import Act
from shared.events import Event
from shared.operations import Engine, Limits
from shared.operations.reads import read_operation
from shared.sink import Nowhere
from shared.store import ENDED, AuditEntry, Database, Operation, OutboxEvent, Step

LEASE = 30.0


class Drains:
    """One cloud and one store; as many workers as a test wants. The host to be drained is `cmp01`, of four."""

    def __init__(self, database: Database, *, hosts: int = 4, **cloud: Any) -> None:
        self.database = database
        self.clock = SteppedClock()
        self.fake = SimulatedCloud(self.clock, **cloud)
        for number in range(1, hosts + 1):
            self.fake.add_host(f"cmp{number:02}")
        self._numbers = itertools.count(1)
        self.engine = self.worker()

    def worker(self, database: Database | None = None) -> Engine:
        """A fresh process: nothing but the store and the cloud is as before."""
        links = Links(lambda name: self.fake.cloud(name))
        return Engine(
            database or self.database,
            [Drain(links, self.clock), Undrain(links)],
            source="/drover/migrate",
            clock=self.clock,
            sink=Nowhere(),
            limits=Limits(slice_seconds=25, lease_seconds=LEASE, hops=6),
            new_id=lambda: f"id-{next(self._numbers):06}",
        )

    # -- setting up -------------------------------------------------------------------------------------------

    def servers(self, number: int, host: str = "cmp01", **details: Any) -> list[str]:
        """Servers named vm-001, vm-002, …; gives their ids."""
        return [self.fake.add_server(host, **details) for _ in range(number)]

    def migrate_by_hand(self, server: str, to: str) -> None:
        """Somebody else starts a live migration."""
        api = self.fake.cloud().compute
        api.post(f"/servers/{server}/action", json={"os-migrateLive": {"host": to, "block_migration": "auto"}})

    def act_by_hand(self, server: str, action: dict[str, Any]) -> None:
        """Somebody else does something to a server."""
        self.fake.cloud().compute.post(f"/servers/{server}/action", json=action)

    # -- asking -----------------------------------------------------------------------------------------------

    def send(self, type: str, *, id: str | None = None, engine: Engine | None = None, **data: Any) -> Event:
        """Send an event; gives the reply."""
        number = id or f"event-{next(self._numbers)}"
        reply = (engine or self.engine).handle(Event(id=number, source="/test", type=f"io.drover.{type}", data=data))
        assert reply is not None
        return reply

    def ask(self, host: str = "cmp01", kind: str = "drain", **options: Any) -> Event:
        """Ask for a drain; gives the reply."""
        options = {"reason": "a fan is broken", "requester": "nina", "cloud": "lab"} | options
        return self.send(f"{kind}.requested", **({"host": host} if host else {}), **options)

    def begin(self, host: str = "cmp01", kind: str = "drain", **options: Any) -> str:
        """Ask for a drain that is accepted; gives the operation's id."""
        reply = self.ask(host, kind, **options)
        assert reply.type == f"io.drover.{kind}.accepted", reply.data
        return str(reply.data["operation"])

    def control(self, verb: str, operation: str, **options: Any) -> Event:
        """Pause, resume or cancel; gives the answer."""
        options = {"reason": "I say so", "requester": "nina"} | options
        return self.send(f"operation.{verb}.requested", operation=operation, **options)

    # -- working ----------------------------------------------------------------------------------------------

    def work(self, seconds: float, operation: str | None = None, engine: Engine | None = None) -> None:
        """Let a worker work for so long: slice after slice, each when it is due."""
        engine = engine or self.engine
        end = self.clock.monotonic() + seconds
        while (left := end - self.clock.monotonic()) >= 0:
            if engine.work(0, operation) is None:
                due = engine._until_due(operation)
                self.clock.advance(left + 1e-6 if due is None else min(left + 1e-6, max(due, 0.05)))

    def run(self, operation: str, seconds: float = 1800, engine: Engine | None = None) -> dict[str, Any]:
        """Work until the operation has ended, halted or is paused; gives its document."""
        engine = engine or self.engine
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            if engine.work(0) is None:
                if self._rests(operation):
                    return self.document(operation)
                due = engine._until_due(None)
                self.clock.advance(10.0 if due is None else max(due, 0.05))
        raise AssertionError(f"not over after {seconds} s: {self.document(operation)}")

    def until(self, condition: Callable[[], object], seconds: float = 600) -> None:
        """Work until something is so."""
        end = self.clock.monotonic() + seconds
        self.work(0)
        while not condition():
            assert self.clock.monotonic() < end, "it did not come about"
            self.work(1)

    def run_all(self) -> None:
        """Work until all operations have ended, halted or are paused."""
        for operation in self.operations():
            self.run(operation)

    def operations(self) -> list[str]:
        """Ids of all operations."""
        with self.database.reading() as session:
            return list(session.exec(select(Operation.id)))

    def drain(self, host: str = "cmp01", **options: Any) -> dict[str, Any]:
        """A whole drain; gives its document."""
        return self.run(self.begin(host, **options))

    def one_slice(self, operation: str, engine: Engine | None = None) -> None:
        """Exactly one slice of an operation that is due."""
        assert (engine or self.engine).work(0, operation) == operation

    def when_asking(self, server: str, then: Callable[[], object]) -> None:
        """Call `then` once, right after the intent to move this server is stored, before Nova is asked."""
        transaction = self.database.transaction

        @contextmanager
        def watched() -> Iterator[Session]:
            with transaction() as session:
                yield session
                session.flush()
                query = select(Step).where(Step.subject == server, Step.state == MoveState.SUBMITTING)
                stored = session.exec(query).first() is not None
            if stored:
                self.database.transaction = transaction  # type: ignore[method-assign]
                then()

        self.database.transaction = watched  # type: ignore[method-assign]

    def when_requested(self, of: str, then: Callable[[], object]) -> None:
        """Call `then` once, before the cloud answers the next request whose "METHOD /path?query" contains `of`."""
        send = self.fake.wire.send

        def watched(request: Any, *args: Any, **kwargs: Any) -> Any:
            if of in f"{request.method} {request.url}":
                self.fake.wire.send = send  # type: ignore[method-assign]
                then()
            return send(request, *args, **kwargs)

        self.fake.wire.send = watched  # type: ignore[method-assign]

    def _rests(self, operation: str) -> bool:
        """Whether nothing happens any more until somebody asks."""
        with self.database.reading() as session:
            found = session.get(Operation, operation)
        assert found is not None
        asleep = found.state in ("halted", "paused") and found.intent == "pause"
        return asleep or found.state in ENDED

    # -- looking ----------------------------------------------------------------------------------------------

    def document(self, operation: str) -> dict[str, Any]:
        """What people read of the operation."""
        document = read_operation(self.database, self.engine.kinds, operation)
        assert document is not None
        return document

    def step(self, operation: str, server: str) -> dict[str, Any]:
        """One server's step."""
        return next(step for step in self.document(operation)["steps"] if step["subject"] == server)

    def error_of(self, operation: str, server: str) -> str | None:
        """What is wrong with one server; None also while the drain does not know it."""
        steps = self.document(operation)["steps"]
        return next((step["error"] for step in steps if step["subject"] == server), None)

    def acts(self, verb: str | None = None, server: str | None = None) -> list[Act]:
        """What the cloud was asked for."""
        return [act for act in self.fake.history if verb in (None, act.verb) and server in (None, act.server)]

    def audit(self, operation: str | None = None) -> list[AuditEntry]:
        """The audit trail."""
        with self.database.reading() as session:
            rows = session.exec(select(AuditEntry).order_by(AuditEntry.__table__.c.serial)).all()  # type: ignore[attr-defined]
        return [row for row in rows if operation in (None, row.operation_id)]

    def facts(self, operation: str) -> list[str]:
        """The facts that were sent about an operation, by their last word."""
        with self.database.reading() as session:
            rows = session.exec(select(OutboxEvent).order_by(OutboxEvent.__table__.c.serial)).all()  # type: ignore[attr-defined]
        return [row.event["type"].rpartition(".")[2] for row in rows if row.operation_id == operation]

    def news(self, operation: str | None = None) -> list[dict[str, Any]]:
        """The events about servers that were sent, in order."""
        with self.database.reading() as session:
            rows = session.exec(select(OutboxEvent).order_by(OutboxEvent.__table__.c.serial)).all()  # type: ignore[attr-defined]
        events = [row.event for row in rows if operation in (None, row.operation_id)]
        return [event for event in events if event["type"].startswith("io.drover.server.")]

    def left(self, document: dict[str, Any]) -> dict[str, str]:
        """What a summary says stayed behind: the reason by name."""
        return {entry["name"]: entry["reason"] for entry in document["summary"]["left"]}

    def most_in_flight(self, key: str) -> int:
        """The most migrations that were in flight at once from one `source`, into one `target`, or in the `cloud`."""
        rows = [(getattr(row, key, "cloud"), row.created, row.updated) for row in self.fake.migrations]
        return max(_most_at_once([row for row in rows if row[0] == place]) for place in {row[0] for row in rows})


def _most_at_once(rows: Sequence[tuple[Any, Any, Any]]) -> int:
    """Of intervals (place, from, to), how many overlap at the most."""
    return max(sum(1 for other in rows if other[1] <= row[1] < other[2]) for row in rows)
