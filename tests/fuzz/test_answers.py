"""What a cloud answers, with something wrong in it: an error that says so, never one that looks like a bug."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from structlog.testing import capture_logs

from functions.migrate.drain import Drain, Links
from functions.migrate.model import DrainPolicy
from functions.migrate.plan import plan_drain
from lab.simulator.clock import SteppedClock
from lab.simulator.cloud import SimulatedCloud
from shared.clouds import Cloud
from shared.errors import DroverError
from shared.events import Event
from shared.fleet.reader import read_fleet, read_migrations, read_servers
from shared.operations import Engine, Limits
from shared.sink import Nowhere
from shared.store import Database
from tests.fuzz.answers import Spoiling, cloud_with_everything, spoilt_answers, wrong
from tests.fuzz.judge import counted
from tests.support.stores import copied, migrated_file

READINGS, SLICES = 400, 30
"""Spoilt answers to the readers, and to a drain at work."""
TURNS = 12
"""Slices of a drain that gets them."""


def connected(simulated: SimulatedCloud) -> tuple[Cloud, Spoiling]:
    """A new connection, through what spoils answers."""
    spoiling = Spoiling(simulated.wire)
    return Cloud("paris", simulated.region(), inner=spoiling, sleep=lambda _: None), spoiling


def read_everything(cloud: Cloud) -> None:
    """What a drain reads before it begins, and what it decides on."""
    read_servers(cloud, "cmp01")
    read_migrations(cloud)
    for around in ("cmp01", None):
        plan_drain(read_fleet(cloud, around), "cmp01", DrainPolicy())


@pytest.fixture(scope="module")
def simulated() -> SimulatedCloud:
    """A small cloud in which nothing happens."""
    found = SimulatedCloud(SteppedClock())
    cloud_with_everything(found)
    return found


def test_readers_say_what_they_cannot_read(simulated: SimulatedCloud, times: int) -> None:
    """Whatever is answered, the readers give a fleet that can be planned on, or raise an error for people."""
    cloud, spoiling = connected(simulated)
    read_everything(cloud)

    @settings(settings.get_profile("fuzz"), max_examples=READINGS * times)
    @given(spoilt_answers(spoiling.seen))
    def run(answer: tuple[str, bytes]) -> None:
        cloud, spoiling = connected(simulated)
        spoiling.spoilt = dict([answer])
        with capture_logs():
            _clear(lambda: read_everything(cloud), wrong(*answer))

    run()


def _clear(act: Callable[[], None], told: str) -> None:
    try:
        act()
    except DroverError:
        counted["cloud's answer: told"] += 1
    except Exception as error:
        raise AssertionError(f"{told}: {type(error).__name__}: {error}") from error
    else:
        counted["cloud's answer: taken"] += 1


class Bench:
    """A drain on a new cloud and a new store."""

    def __init__(self, database: Database) -> None:
        self.clock = SteppedClock()
        self.simulated = SimulatedCloud(self.clock)
        cloud_with_everything(self.simulated)
        self.cloud, self.spoiling = connected(self.simulated)
        numbers = itertools.count(1)
        links = Links(lambda _: self.cloud)
        self.engine = Engine(
            database, [Drain(links, self.clock)], clock=self.clock, sink=Nowhere(), limits=Limits(25, 30, 6),
            new_id=lambda: f"id-{next(numbers):06}",
        )  # fmt: skip
        data = {"cloud": "paris", "host": "cmp01", "reason": "a fan is broken"}
        self.engine.handle(Event("1", "/test", "io.drover.drain.requested", data))

    def work(self, turns: int) -> None:
        """Slice after slice."""
        for _ in range(turns):
            self.engine.work(0)
            self.clock.advance(5)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with all tables."""
    return migrated_file(tmp_path_factory.mktemp("template"))


def test_a_drain_at_work_says_what_it_cannot_read(template: Path, tmp_path: Path, times: int) -> None:
    """A slice that gets it is put off, or the drain halts with a reason; no error is unexpected."""
    database = copied(template, tmp_path)
    bench = Bench(database)
    bench.work(TURNS)
    seen: dict[str, Any] = {key: value for key, value in bench.spoiling.seen.items() if "/compute" in key}
    database.close()

    @settings(settings.get_profile("fuzz"), max_examples=SLICES * times)
    @given(spoilt_answers(seen))
    def run(answer: tuple[str, bytes]) -> None:
        database = copied(template, tmp_path)
        with capture_logs() as logs:
            bench = Bench(database)
            bench.spoiling.spoilt = dict([answer])
            bench.work(TURNS)
        database.close()
        bugs = [entry for entry in logs if entry["log_level"] == "error"]
        assert not bugs, f"{wrong(*answer)}: {bugs[0]}"
        counted["cloud's answer in a slice"] += 1

    run()
