"""Crashes at every point, workers that are late, events that come twice: everything is done exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from shared.events import Event
from shared.store import ENDED, AuditEntry, Database, Operation, OperationState, Step
from tests.support.bench import LEASE, Bench
from tests.support.kinds import control, tick, walk
from tests.support.shaky import AnswerLost, Build, Crash, Fate, ShakyCloud, ShakyDatabase

STEPS = 2


class Rig:
    """An engine in a shaky world."""

    def __init__(self, database: ShakyDatabase) -> None:
        self.fate = database.fate = Fate()
        self.database = database
        self.cloud = ShakyCloud(self.fate)
        self.bench = Bench(self.database)
        self.bench.kind = Build(self.cloud)  # type: ignore[assignment]
        self.engines = [self.bench.new_engine() for _ in range(2)]

    def deliver(self, event: Event, engine: int = 0) -> Event | None:
        """One delivery, in which the process may die; whoever sent it will deliver it again."""
        try:
            return self.engines[engine].handle(event)
        except Crash:
            return None

    def settle(self) -> None:
        """Nothing goes wrong any more: time passes, ticks come."""
        self.fate.on_point = lambda name: None
        for _ in range(10):
            self.bench.clock.advance(LEASE)
            if [engine.work(5) for engine in self.engines] == [None, None]:
                return

    def check(self) -> None:
        """What must be true at any time: nothing was done twice, and each deed is on record beforehand."""
        assert max(self.cloud.built.values(), default=0) <= 1
        acts = Counter((row.act, row.subject) for row in self.bench.rows(AuditEntry))
        steps = self.bench.rows(Step)
        for subject in self.cloud.built:
            assert acts["build", subject] >= 1
        for row in steps:
            assert acts["build", row.subject] == row.attempts
            assert acts["built", row.subject] == (row.state == "done")
            assert row.state != "done" or self.cloud.built[row.subject] == 1

    def check_end(self) -> None:
        """What must be true when all is quiet: each operation has ended or waits for a person, and its record says
        what is in the cloud."""
        self.check()
        done = Counter(row.operation_id for row in self.bench.rows(Step) if row.state == "done")
        for operation in self.bench.rows(Operation):
            waits = operation.state in (OperationState.PAUSED, OperationState.HALTED)
            assert operation.state in ENDED or waits, operation
            assert operation.state in ENDED or operation.lease_token is None
            assert operation.next_at is None
            if operation.state == OperationState.SUCCEEDED:
                assert done[operation.id] == operation.parameters["steps"]
            if operation.state in ENDED:
                word = "completed" if operation.state == OperationState.SUCCEEDED else operation.state
                about = [row.event["type"] for row in self.bench.outbox() if row.operation_id == operation.id]
                assert [each.rpartition(".")[2] for each in about].count(word) == 1
                assert self.bench.acts().count(f"walk {word}") >= 1
        assert sum(self.cloud.built.values()) == sum(done.values())


def small_operation(rig: Rig) -> None:
    """Ask for two things, be paused and resumed on the way, until it has ended."""
    request = walk(steps=STEPS)
    reply = None
    for _ in range(3):
        reply = reply or rig.deliver(request)
    for number in range(5):
        rig.deliver(tick(f"t{number}"), number % 2)
        if reply is not None and number == 0:
            rig.deliver(control("pause", reply.data["operation"], "p"))
            rig.deliver(control("pause", reply.data["operation"], "p"))
        if reply is not None and number == 2:
            rig.deliver(control("resume", reply.data["operation"], "r"))
            rig.deliver(control("resume", reply.data["operation"], "r"))
        rig.bench.clock.advance(LEASE / 2)
    rig.settle()


@pytest.fixture
def fresh(database: Database) -> Iterator[Callable[[], Rig]]:
    """Makes rigs on a store that is emptied for each."""
    shaky = ShakyDatabase(database.engine.url.render_as_string(hide_password=False))

    def new() -> Rig:
        with database.transaction() as session:
            for table in ("step", "operation", "inbox", "outbox", "audit"):
                session.connection().exec_driver_sql(f"DELETE FROM {table}")
        return Rig(shaky)

    yield new
    shaky.close()


OUTSIDE = {"begin", "committed", "before effect", "after effect"}
"""In the other points SQLite's one writer holds the lock, so that no other worker can act."""
POINTS = {"crash": None, "answer lost": {"after effect"}, "late": OUTSIDE, "taken over": OUTSIDE}


@pytest.mark.parametrize("what", POINTS)
def test_an_accident_at_any_point_of_a_small_operation(fresh: Callable[[], Rig], thorough: bool, what: str) -> None:
    """At the n-th point, for each n: the process dies, or the cloud's answer is lost, or the worker is held up for
    longer than its lease, or that and another worker does a slice meanwhile. It always ends well.

    All points are taken in the integration tests, some of them in the unit tests.
    """
    rig = fresh()
    small_operation(rig)
    rig.check_end()
    where = POINTS[what]
    numbers = [number for number, name in enumerate(rig.fate.points, 1) if where is None or name in where]
    assert len(numbers) >= STEPS
    for number in numbers if thorough else numbers[:: len(numbers) // 5 + 1]:
        rig = fresh()
        accident(rig, number, what)
        small_operation(rig)
        rig.check_end()
        (operation,) = rig.bench.rows(Operation)
        assert operation.state == "succeeded", number
        assert sum(rig.cloud.built.values()) == STEPS, number


def accident(rig: Rig, number: int, what: str) -> None:
    """Arrange for one accident at the n-th point."""

    def on_point(name: str) -> None:
        if len(rig.fate.points) != number:
            return
        if what == "crash":
            raise Crash
        if what == "answer lost":
            raise AnswerLost
        rig.bench.clock.advance(LEASE + 1)
        if what == "taken over":
            rig.engines[1].work(0.5)

    rig.fate.on_point = on_point


def test_a_request_whose_answer_never_came_is_not_taken_twice(fresh: Callable[[], Rig]) -> None:
    """A crash at any point while a request is taken; the operation, if there is one, has ended when the event comes
    again: still there is one operation, and the answer names it."""
    rig = fresh()
    rig.deliver(walk(steps=1))
    points = len(rig.fate.points)
    assert points >= 3
    for number in range(1, points + 1):
        rig = fresh()
        accident(rig, number, "crash")
        assert rig.deliver(walk(steps=1)) is None
        rig.settle()
        reply = rig.deliver(walk(steps=1))
        rig.settle()
        (operation,) = rig.bench.rows(Operation)
        assert reply is not None
        assert reply.data["operation"] == operation.id
        assert rig.bench.acts().count("accept walk") == 1


ACCIDENTS = st.sampled_from([None, None, None, None, None, "crash", "answer lost", "late", "taken over"])


class Shaky(RuleBasedStateMachine):
    """Anything in any order: requests, ticks and control events, once or twice, by two workers, with accidents."""

    make: Callable[[], Rig]

    def __init__(self) -> None:
        super().__init__()
        self.rig = type(self).make()
        self.number = 0
        self.sent: list[Event] = []

    @initialize(steps=st.integers(1, 3))
    def begin(self, steps: int) -> None:
        """There is always something to do."""
        self.request(steps, "cmp0", [])

    @rule(steps=st.integers(0, 3), name=st.sampled_from(["cmp0", "cmp1"]), fates=st.lists(ACCIDENTS, max_size=6))
    def request(self, steps: int, name: str, fates: list[str | None]) -> None:
        """Somebody asks for an operation."""
        self._send(walk(self._id(), name, steps=steps), 0, fates)

    @rule(engine=st.integers(0, 1), fates=st.lists(ACCIDENTS, max_size=25))
    def time_passes(self, engine: int, fates: list[str | None]) -> None:
        """A tick."""
        self._send(tick(self._id()), engine, fates)

    @rule(verb=st.sampled_from(["pause", "resume", "cancel"]), data=st.data(), fates=st.lists(ACCIDENTS, max_size=4))
    def control(self, verb: str, data: st.DataObject, fates: list[str | None]) -> None:
        """Somebody pauses, resumes or cancels an operation, which may have ended."""
        operations = sorted(row.id for row in self.rig.bench.rows(Operation))
        if operations:
            self._send(control(verb, data.draw(st.sampled_from(operations)), self._id()), 1, fates)

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), engine=st.integers(0, 1), fates=st.lists(ACCIDENTS, max_size=10))
    def redelivery(self, data: st.DataObject, engine: int, fates: list[str | None]) -> None:
        """An old event comes again, whatever came after it."""
        self._deliver(data.draw(st.sampled_from(self.sent)), engine, fates)

    @rule(seconds=st.sampled_from([1.0, 10.0, LEASE + 1]))
    def wait(self, seconds: float) -> None:
        """Nothing happens for a while."""
        self.rig.bench.clock.advance(seconds)

    @invariant()
    def nothing_twice(self) -> None:
        """Nothing was done twice, and all is on record."""
        self.rig.check()

    def teardown(self) -> None:
        """Once all is quiet, everything has ended well or waits for a person."""
        self.rig.settle()
        self.rig.check_end()
        replies: dict[str, Event | None] = {}
        for event in self.sent:
            if event.type != "io.drover.tick":
                first = replies.setdefault(event.id, self.rig.deliver(event))
                assert self.rig.deliver(event) == first

    def _id(self) -> str:
        self.number += 1
        return f"event-{self.number}"

    def _send(self, event: Event, engine: int, fates: list[str | None]) -> None:
        self.sent.append(event)
        self._deliver(event, engine, fates)

    def _deliver(self, event: Event, engine: int, fates: list[str | None]) -> None:
        left = list(reversed(fates))

        def on_point(name: str) -> None:
            what = left.pop() if left else None
            if what == "crash":
                raise Crash
            if what == "answer lost" and name == "after effect":
                raise AnswerLost
            if what in ("late", "taken over") and name != "commit":
                self.rig.bench.clock.advance(LEASE + 1)
                if what == "taken over":
                    self._nested(engine)

        self.rig.fate.on_point = on_point
        self.rig.deliver(event, engine)
        self.rig.fate.on_point = lambda name: None

    def _nested(self, engine: int) -> None:
        before = self.rig.fate.on_point
        self.rig.fate.on_point = lambda name: None  # the other one has no accident
        self.rig.engines[1 - engine].work(0.5)
        self.rig.fate.on_point = before


def test_anything_in_any_order(fresh: Callable[[], Rig], thorough: bool) -> None:
    """Whatever happens in whatever order, nothing is done twice and everything ends well or waits for a person."""
    machine = type("ShakyHere", (Shaky,), {"make": staticmethod(fresh)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60 if thorough else 4,
            stateful_step_count=15,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.generate),  # shrinking takes minutes, and 15 steps can be read
        ),
    )
