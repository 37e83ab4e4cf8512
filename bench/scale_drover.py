"""One measurement of bench/scale.py: Drover in a process of its own, beside a simulated cloud in another one.

    python bench/scale_drover.py WAY CONTROL HOST     # the simulated cloud's control path; OS_CLIENT_CONFIG_FILE is set

`drover` reads the fleet around the host, plans, and drains it; `whole` reads the whole cloud and plans, and ends there.
Prints one JSON object. The time is stepped: whoever waits here pushes the cloud's clock on.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from functions.migrate.drain import Drain, Links
from functions.migrate.model import DrainPolicy
from functions.migrate.plan import plan_drain
from shared import store
from shared.clouds import Cloud, connect
from shared.events import Event
from shared.fleet.reader import read_fleet
from shared.fleet.snapshot import Fleet
from shared.operations import Engine, Limits, Work
from shared.operations.reads import read_operation
from shared.sink import Nowhere

CLOUD = "simulated"
PER_SOURCE = 5
"""Moves at once."""
LONGEST = 4 * 3600.0
"""Seconds of the cloud's time after which a drain is given up."""
WALL = 600.0
"""Seconds of the wall's."""
ENDED = frozenset({"succeeded", "failed", "halted", "cancelled"})


class CloudClock:
    """Drover's clock and the cloud's, which go on together and only while Drover waits."""

    def __init__(self, control: str) -> None:
        self._control = control
        self._http = requests.Session()
        self._http.trust_env = False
        self._start = self._now = datetime.fromisoformat(self.state()["time"]).astimezone(UTC)

    def now(self) -> datetime:
        """The time of day."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since the start."""
        return (self._now - self._start).total_seconds()

    def sleep(self, seconds: float) -> None:
        """Let time pass for both."""
        self._now += timedelta(seconds=seconds)
        answer = self._http.post(f"{self._control}/clock", json={"advance": seconds}, timeout=60)
        answer.raise_for_status()

    def state(self) -> dict[str, Any]:
        """What the simulated cloud says of itself."""
        document: dict[str, Any] = self._http.get(self._control, timeout=60).json()
        return document


class CountedDrain(Drain):
    """The drain, with its slices counted."""

    slices = 0

    def advance(self, work: Work) -> float | None:
        """One more."""
        self.slices += 1
        return super().advance(work)


@contextmanager
def measured(figures: dict[str, Any], name: str) -> Iterator[None]:
    """Note the seconds of the wall and of this process that the block takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    figures[f"{name}_seconds"] = round(time.perf_counter() - wall, 3)
    figures[f"{name}_cpu_seconds"] = round(time.process_time() - cpu, 3)


def peak_mb() -> float:
    """This process's largest resident set, in MiB: not what its parent had before it (which ru_maxrss may tell)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 1024, 1)
    raise SystemExit("there is no VmHWM in /proc/self/status; this needs Linux")


def read_and_plan(cloud: Cloud, host: str, around: str | None) -> dict[str, Any]:
    """What a drain does before it changes anything."""
    figures: dict[str, Any] = {}
    with measured(figures, "reads"):
        fleet: Fleet = read_fleet(cloud, around=around)
    figures["reads"] = dict(cloud.requests)
    figures["servers_read"] = len(fleet.servers)
    with measured(figures, "planning"):
        plan = plan_drain(fleet, host, DrainPolicy(per_source=PER_SOURCE))
    figures["planned"] = sum(1 for line in plan.servers if line.to)
    figures["peak_mb_planning"] = peak_mb()
    return figures


def drain(host: str, clock: CloudClock, make: Callable[[str], Cloud]) -> dict[str, Any]:
    """A whole drain, from the event to the proof that the host is empty."""
    figures: dict[str, Any] = {}
    kind = CountedDrain(Links(make), clock)
    deadline = time.monotonic() + WALL
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "drover.db"
        engine = Engine(
            store.create(f"sqlite:///{path}"), [kind], clock=clock, sink=Nowhere(), limits=Limits(25, 30, 6)
        )
        empty = stored_bytes(path)
        with measured(figures, "drain"):
            operation = ask(engine, host)
            while (found := document(engine, operation))["state"] not in ENDED:
                if clock.monotonic() > LONGEST or time.monotonic() > deadline:
                    break
                engine.work(60, operation)
        engine.database.close()
        figures["store_bytes"] = stored_bytes(path) - empty
    summary = found["summary"]
    figures |= {"state": found["state"], "note": found["note"], "moved": summary["moved"], "slices": kind.slices}
    figures["slice_cpu_seconds"] = round(figures["drain_cpu_seconds"] / max(1, kind.slices), 4)
    figures["cloud_seconds"] = round(clock.monotonic())
    return figures


def ask(engine: Engine, host: str) -> str:
    """Ask for the drain; gives the operation's id."""
    data = {"cloud": CLOUD, "host": host, "reason": "benchmark", "concurrency": PER_SOURCE}
    reply = engine.handle(Event("1", "/bench", "io.drover.drain.requested", data))
    if reply is None or not reply.type.endswith(".accepted"):
        raise SystemExit(f"the drain was not accepted: {reply and reply.data}")
    return str(reply.data["operation"])


def document(engine: Engine, operation: str) -> Mapping[str, Any]:
    """How far the drain is."""
    found = read_operation(engine.database, engine.kinds, operation)
    if found is None:
        raise SystemExit(f"operation {operation} is not in the store")
    return found


def stored_bytes(path: Path) -> int:
    """What the database's files hold."""
    return sum(each.stat().st_size for each in path.parent.glob(f"{path.name}*"))


def main(way: str, control: str, host: str) -> dict[str, Any]:
    """All figures of one way."""
    cloud = connect(CLOUD)
    figures = read_and_plan(cloud, host, host if way == "drover" else None)
    if way == "drover":
        before = cloud.requests.copy()
        figures |= drain(host, CloudClock(control), lambda _: cloud)
        figures["drain_requests"] = dict(cloud.requests - before)
    return {**figures, "peak_mb": peak_mb()}


if __name__ == "__main__":
    os.environ.pop("DROVER_SINK", None)
    print(json.dumps(main(*sys.argv[1:])))
