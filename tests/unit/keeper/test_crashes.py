"""A replay with accidents: nothing is lost, and nothing is sent more than once more than it must be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from functions.keeper import replay as module
from shared.errors import Retry
from shared.events import Event
from shared.store import Database
from tests.support.bench import LEASE
from tests.support.letters import Broker, Keeper, dead
from tests.support.shaky import Crash, Fate, ShakyDatabase

LETTERS = 5


class ShakyBroker(Broker):
    """A broker with points before it takes an event, and behind it."""

    def __init__(self, fate: Fate) -> None:
        super().__init__()
        self._fate = fate

    def send(self, event: Event) -> None:
        """As in `Broker`."""
        self._fate.at("before effect")
        super().send(event)
        self._fate.at("after effect")


class Rig:
    """Two keepers in a shaky world, and the letters that they have."""

    def __init__(self, database: ShakyDatabase) -> None:
        self.fate = database.fate = Fate()
        self.keeper = Keeper(database)
        self.keeper.broker = ShakyBroker(self.fate)
        self.engines = [self.keeper.new_keeper(self.keeper.broker) for _ in range(2)]
        for number in range(LETTERS):
            self.engines[0].handle(dead(str(number)))
        self.fate.points.clear()

    def deliver(self, event: Event, engine: int = 0) -> Event | None:
        """One delivery, in which the process may die or the broker may be away."""
        try:
            return self.engines[engine].handle(event)
        except (Crash, Retry):
            return None

    def run(self) -> None:
        """Ask for all letters, until it is done and all is sent."""
        request = Event("ask", "/people", "io.drover.replay.requested", {"all": True, "reason": "x"})
        for _ in range(3):
            self.deliver(request)
        for number in range(6):
            self.deliver(Event(f"t{number}", "/ping", "io.drover.tick", {}), number % 2)
            self.keeper.clock.advance(LEASE / 2)
        self.fate.on_point = lambda name: None
        self.keeper.clock.advance(LEASE)
        for number in range(3):
            self.deliver(Event(f"last{number}", "/ping", "io.drover.tick", {}))

    def sent(self) -> Counter[str]:
        """How often each letter's event reached the broker."""
        return Counter(event.id for event in self.keeper.broker.requests)


@pytest.fixture
def fresh(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Rig]]:
    """Makes rigs on a store that is emptied for each; a replay takes two letters in one transaction, and has two
    transactions in one slice."""
    monkeypatch.setattr(module, "BATCH", 2)
    monkeypatch.setattr(module, "BATCHES", 2)
    shaky = ShakyDatabase(database.engine.url.render_as_string(hide_password=False))

    def new() -> Rig:
        with database.transaction() as session:
            for table in ("step", "operation", "inbox", "outbox", "audit", "dead_letter"):
                session.connection().exec_driver_sql(f"DELETE FROM {table}")
        return Rig(shaky)

    yield new
    shaky.close()


def check(rig: Rig, most: int, number: int) -> None:
    """All letters were sent and are marked, by one operation that knows how many they were."""
    sent = rig.sent()
    assert set(sent) == {str(each) for each in range(LETTERS)}, number
    assert max(sent.values()) <= most, number
    assert sum(sent.values()) <= LETTERS + most - 1, number
    (operation,) = rig.keeper.rows_by_target().values()
    assert rig.keeper.operation(operation).state == "succeeded", number
    assert rig.keeper.operation(operation).memo["replayed"] == LETTERS, number
    assert {letter.replayed_by for letter in rig.keeper.letters()} == {operation}, number
    assert [row for row in rig.keeper.outbox() if row.sent_at is None] == [], number


OUTSIDE = {"begin", "committed", "before effect", "after effect"}
POINTS = {"crash": None, "late": OUTSIDE, "taken over": OUTSIDE, "broker away": {"before effect"}}


@pytest.mark.parametrize("what", POINTS)
def test_an_accident_at_any_point_of_a_replay(fresh: Callable[[], Rig], thorough: bool, what: str) -> None:
    """At the n-th point, for each n: the process dies, is held up for longer than its lease, or is overtaken while it
    is, or the broker is away: each letter is sent, with its id, at most twice, and is marked once."""
    rig = fresh()
    rig.run()
    check(rig, 1, 0)
    where = POINTS[what]
    numbers = [number for number, name in enumerate(rig.fate.points, 1) if where is None or name in where]
    assert len(numbers) >= LETTERS
    for number in numbers if thorough else numbers[:: len(numbers) // 8 + 1]:
        rig = fresh()
        accident(rig, number, what)
        rig.run()
        check(rig, 1 if what == "broker away" else 2, number)


def accident(rig: Rig, number: int, what: str) -> None:
    """Arrange for one accident at the n-th point."""

    def on_point(name: str) -> None:
        if len(rig.fate.points) != number:
            return
        if what == "crash":
            raise Crash
        if what == "broker away":
            raise Retry("the broker is away")
        rig.keeper.clock.advance(LEASE + 1)
        if what == "taken over":
            rig.engines[1].work(0.5)

    rig.fate.on_point = on_point
