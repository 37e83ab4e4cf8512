"""A cloud, a store and a broker, on which processes come and go: the real engine, kinds and clients."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from functions.keeper.cleanup import Cleanup
from functions.keeper.replay import Replay
from functions.migrate.drain import Drain, Links
from functions.migrate.network.drain import NetworkDrain
from functions.migrate.network.undrain import NetworkUndrain
from functions.migrate.undrain import Undrain
from lab.simulator import records
from lab.simulator.clock import SteppedClock
from lab.simulator.cloud import SimulatedCloud
from shared.clouds import Cloud
from shared.errors import Retry
from shared.events import Event
from shared.operations import Engine, Limits
from shared.store import Database, StoreError
from tests.chaos.observer import Bounds, Observer
from tests.chaos.touches import Broker, Died, TouchedDatabase, TouchedWire, Touches

LEASE = 30.0
SLICE = 12.0
"""Seconds that a tick works at most; less than deployed, so that there are more ticks in a story."""
TICK = 10.0
"""Seconds between two ticks, as deployed."""
REDELIVERY = 5.0
"""Seconds until a broker delivers again what was not taken."""
ASLEEP = ("halted", "paused")
ENDED = ("succeeded", "failed", "cancelled")


class Skewed:
    """A clock that is wrong by so many seconds, and runs as fast as the right one."""

    def __init__(self, right: SteppedClock, seconds: float) -> None:
        self._right, self._wrong = right, timedelta(seconds=seconds)

    def now(self) -> datetime:
        """The time of day, as this machine has it."""
        return self._right.now() + self._wrong

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return self._right.monotonic()

    def sleep(self, seconds: float) -> None:
        """Time passes, for everybody."""
        self._right.advance(seconds)


class Store:
    """One file for all stores of a process of the tests: SQLAlchemy compiles its statements for each engine anew."""

    def __init__(self, template: Path, directory: Path) -> None:
        from sqlalchemy import event

        self._template, self.path = template, directory / "drover.db"
        self.base = Database(f"sqlite:///{self.path}")
        event.listen(self.base.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))

    def empty(self) -> None:
        """Begin anew, with all tables and no rows."""
        self.base.close()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        shutil.copyfile(self._template, self.path)


@dataclass(frozen=True)
class Operation:
    """What the store says about an operation; used to know when a run is over, and what it claims."""

    id: str
    kind: str
    target: str
    state: str
    note: str
    idle: bool

    @property
    def rests(self) -> bool:
        """Whether nothing happens any more until somebody asks."""
        return self.state in ENDED or (self.state in ASLEEP and self.idle)


class Stage:
    """One world. Ticks go to the processes in turn.

    Args:
        skews: for each process that works at the same time, by how many seconds its clock is wrong.
        keeper: the processes are the keeper's instead of the drain's.
    """

    def __init__(
        self, store: Store, touches: Touches, skews: Sequence[float] = (0.0,), bounds: Bounds | None = None,
        keeper: bool = False, **cloud: Any,
    ) -> None:  # fmt: skip
        store.empty()
        self.store, self.touches, self.skews, self.keeper = store, touches, skews, keeper
        records._entropy.seed(1)  # the same ids in each run of a case
        self.clock = SteppedClock()
        self.cloud = SimulatedCloud(self.clock, **cloud)
        self.observer = Observer(self.cloud, store.path, bounds)
        self.broker = Broker(touches)
        self.answers: dict[str, Event] = {}
        """The reply to each request that was taken, by the event's id."""
        self.late: list[tuple[datetime, Callable[[], Any]]] = []
        """Requests of processes that are gone, still on the network."""
        self.deaths = 0
        self._ids, self._ticks, self._names = itertools.count(1), itertools.count(1), itertools.count(1)
        self.processes = [self.start(skew) for skew in skews]

    def start(self, skew: float = 0.0) -> Engine:
        """A fresh process: nothing but the store and the cloud is as before."""
        name, clock = f"process-{next(self._names)}", Skewed(self.clock, skew)
        kinds: list[Any] = [Replay(), Cleanup(30, 90)]
        if not self.keeper:
            wire = TouchedWire(self.cloud.wire, self.touches, self.observer, name)
            links = Links(lambda called: Cloud(called, self.cloud.region(), inner=wire, sleep=self.clock.sleep))
            kinds = [Drain(links, clock), Undrain(links), NetworkDrain(links, clock), NetworkUndrain(links)]
        return Engine(
            TouchedDatabase(self.store.base, self.touches),
            kinds,
            source="/drover/keeper" if self.keeper else "/drover/migrate",
            clock=clock,
            sink=self.broker,
            limits=Limits(slice_seconds=SLICE, lease_seconds=LEASE, hops=6),
            new_id=lambda: f"id-{next(self._ids):06}",
            dead_letters=self.keeper,
        )

    def close(self) -> None:
        """Forget it."""
        self.observer.close()

    # -- events -----------------------------------------------------------------------------------------------

    def deliver(self, event: Event, process: int = 0) -> bool:
        """One delivery; whether it was taken. A process that dies is followed by a fresh one, with the same clock."""
        process %= len(self.processes)
        self.touches.taking_request = event.type.endswith(".requested")
        try:
            reply = self.processes[process].handle(event)
        except Died:
            self.deaths += 1
            self.processes[process] = self.start(self.skews[process])
            return False
        except (StoreError, Retry):
            return False
        if reply is not None:
            self.answers.setdefault(event.id, reply)
        return True

    def tick(self) -> None:
        """Time has passed. A tick that is lost is not sent again."""
        number = next(self._ticks)
        self.deliver(Event(f"tick-{number}", "/ping", "io.drover.tick", {}), number)

    def advance(self, seconds: float) -> None:
        """Time passes; what was late on the network arrives."""
        self.clock.advance(seconds)
        due = [entry for entry in self.late if entry[0] <= self.clock.now()]
        self.late = [entry for entry in self.late if entry not in due]
        for _, send in due:
            with contextlib.suppress(OSError):
                send()

    # -- looking ----------------------------------------------------------------------------------------------

    def operations(self) -> list[Operation]:
        """All operations, oldest first."""
        rows = self.observer.rows(
            "SELECT id, kind, target, state, note, next_at IS NULL FROM operation ORDER BY created_at, id"
        )
        return [Operation(*row[:5], bool(row[5])) for row in rows]

    @property
    def rests(self) -> bool:
        """Whether nothing happens any more until somebody asks."""
        return not self.late and all(operation.rests for operation in self.operations())
