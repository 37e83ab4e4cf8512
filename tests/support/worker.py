"""A worker process: `python -m tests.support.worker URL SECONDS LEASE`. It works on whatever is due, and records each
effect in a table that allows the same effect twice, so that a test can see it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

from shared.events import EventData
from shared.operations import Engine, Limits, Prepared, Work
from shared.store import Database, Operation, OperationState, Step
from tests.support.kinds import WalkRequested, step

EFFECTS = "CREATE TABLE IF NOT EXISTS effects (serial serial PRIMARY KEY, subject text, pid integer)"
SLOWNESS = 0.004
"""Seconds that an effect takes, before it and behind it: time to be killed in."""


class Effects:
    """A kind whose effects are rows."""

    name = "walk"
    requests: Sequence[type[EventData]] = (WalkRequested,)

    def __init__(self, database: Database, patience: float) -> None:
        self._database = database
        self._patience = patience

    def prepare(self, request: EventData) -> Prepared:
        """Take it as it is."""
        assert isinstance(request, WalkRequested)
        return Prepared("lab", request.target, request.reason, "tester", {"steps": request.steps})

    def advance(self, work: Work) -> float | None:
        """Up to five steps; then another worker may have its turn."""
        if not work.steps:
            names = [f"{work.operation.target}/{index}" for index in range(work.operation.parameters["steps"])]
            work.add([step(name) for name in names])
        there = self._there()
        waiting = [each for each in work.steps.values() if each.state != "done"]
        for each in waiting[:5]:
            if each.subject not in there and not self._do(work, each):
                return 0.0
            each.state = "done"
            work.save(each)
        if len(waiting) > 5:
            return 0.0
        work.end(OperationState.SUCCEEDED, "")
        return None

    def _do(self, work: Work, each: Step) -> bool:
        deadline = time.time() + self._patience
        each.state, each.attempts = "submitting", each.attempts + 1
        work.save(each)
        time.sleep(SLOWNESS)
        # One statement, which the server refuses when it comes too late: a process can be frozen at any moment.
        statement = text(
            "INSERT INTO effects (subject, pid) SELECT :subject, :pid WHERE clock_timestamp() < to_timestamp(:deadline)"
        )
        values = {"subject": each.subject, "pid": os.getpid(), "deadline": deadline}
        with self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            done = connection.execute(statement, values).rowcount == 1
        time.sleep(SLOWNESS)
        return done

    def _there(self) -> set[str]:
        with self._database.reading() as session:
            return set(session.connection().execute(text("SELECT subject FROM effects")).scalars())

    def summary(self, operation: Operation, steps: Sequence[Step]) -> dict[str, Any]:
        """How many are done."""
        return {"done": sum(each.state == "done" for each in steps)}


def make_engine(url: str, lease: float) -> Engine:
    """The engine of one process."""
    database = Database(url)
    kinds = [Effects(database, patience=lease / 3)]
    return Engine(database, kinds, limits=Limits(slice_seconds=5, lease_seconds=lease))


if __name__ == "__main__":
    engine = make_engine(sys.argv[1], float(sys.argv[3]))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    end = time.monotonic() + float(sys.argv[2])
    while time.monotonic() < end:
        engine.work(0.5)
        time.sleep(0.01)
