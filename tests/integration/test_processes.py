"""Several real processes on one PostgreSQL: no step runs twice, and the death of one is no harm."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text
from sqlmodel import select

from shared.operations import Engine
from shared.store import Database, Operation, Step
from tests.support.kinds import walk
from tests.support.together import ROOT
from tests.support.worker import EFFECTS, make_engine

OPERATIONS, STEPS = 6, 40
LEASE = 1.5
SECONDS = 90

Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def engine(database: Database, migrated: str) -> Iterator[Engine]:
    """Asks for operations and looks at them; the work is the processes'."""
    with database.transaction() as session:
        session.connection().execute(text(EFFECTS))
        session.connection().execute(text("TRUNCATE effects"))
    engine = make_engine(migrated, LEASE)
    for number in range(OPERATIONS):
        engine.handle(walk(str(number), target=f"cmp{number}", steps=STEPS))
    yield engine
    engine.database.close()
    with database.transaction() as session:
        session.connection().execute(text("DROP TABLE effects"))


@pytest.fixture
def start(migrated: str) -> Iterator[Start]:
    """Starts workers, and ends them with the test."""
    running: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.support.worker", migrated, str(SECONDS), str(LEASE)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    yield start
    for process in running:
        process.kill()
        process.wait(10)
        if process.stdout:
            process.stdout.close()


def effects(engine: Engine) -> Counter[tuple[str, int]]:
    """How often each subject was done, and by which process."""
    with engine.database.reading() as session:
        rows = session.connection().execute(text("SELECT subject, pid FROM effects"))
        return Counter((row[0], row[1]) for row in rows)


def wait_for(engine: Engine, number: int, seconds: float = SECONDS) -> None:
    """Until so many effects were recorded; for all of them, until every operation has ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if sum(effects(engine).values()) >= number:
            with engine.database.reading() as session:
                states = set(session.exec(select(Operation.state)))
            if number < OPERATIONS * STEPS or states == {"succeeded"}:
                return
        time.sleep(0.02)
    pytest.fail(f"after {seconds} s only {sum(effects(engine).values())} of {number} effects")


def check(engine: Engine) -> None:
    """Every step of every operation was done exactly once."""
    subjects = Counter(subject for subject, _ in effects(engine).elements())
    assert subjects == {f"cmp{number}/{index}": 1 for number in range(OPERATIONS) for index in range(STEPS)}
    with engine.database.reading() as session:
        assert set(session.exec(select(Step.state))) == {"done"}


def test_two_processes_share_the_work(engine: Engine, start: Start) -> None:
    """Both take part, every operation succeeds, and no step runs twice."""
    workers = [start(), start()]
    wait_for(engine, OPERATIONS * STEPS)
    check(engine)
    assert {pid for _, pid in effects(engine)} == {worker.pid for worker in workers}


def test_a_killed_process_is_replaced(engine: Engine, start: Start) -> None:
    """kill -9 in the middle: the other one goes on with everything, and nothing is done twice."""
    first, second = start(), start()
    wait_for(engine, OPERATIONS * STEPS // 3)
    first.kill()
    first.wait(10)
    wait_for(engine, OPERATIONS * STEPS)
    check(engine)
    with engine.database.reading() as session:
        assert max(session.exec(select(Step.attempts))) <= 2
    assert second.poll() is None


def test_a_frozen_process_comes_back_too_late(engine: Engine, start: Start) -> None:
    """Stopped for longer than its lease and then let go on: its late writes change nothing."""
    first, _ = start(), start()
    wait_for(engine, OPERATIONS * STEPS // 4)
    first.send_signal(signal.SIGSTOP)
    time.sleep(LEASE * 1.5)
    first.send_signal(signal.SIGCONT)
    wait_for(engine, OPERATIONS * STEPS)
    check(engine)


def test_many_kills(engine: Engine, start: Start) -> None:
    """Workers that die at random moments and are started again: it still ends well."""
    dice = random.Random(4)
    keeper = start()
    for _ in range(5):
        other = start()
        time.sleep(dice.uniform(0.05, 0.5))
        other.kill()
        other.wait(10)
    wait_for(engine, OPERATIONS * STEPS)
    check(engine)
    assert keeper.poll() is None
