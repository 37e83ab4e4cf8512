"""Captures of a test's own traffic: in a thread beside it, or by the command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from functions.rpc_trace.analysis import Analysis
from functions.rpc_trace.capture import Capture
from functions.rpc_trace.report import report
from functions.rpc_trace.sighting import Headers, sighting
from shared.errors import Retry
from shared.rabbit import QUEUE, Broker, Management, find_broker
from shared.rabbit.firehose import mark_name
from tests.support.rabbit import Rabbit

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
"""Seconds that anything may take on a busy machine."""


def awaited(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Look until it is true; returns what it is."""
    end = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < end, f"after {patience:.0f} s still not: {what}"
        time.sleep(0.05)
    return found


def environment(rabbit: Rabbit) -> dict[str, str]:
    """Where the broker is, as the environment says it."""
    return {
        "DROVER_RABBIT_URL": rabbit.url,
        "DROVER_RABBIT_MANAGEMENT": f"http://127.0.0.1:{rabbit.lab.port('rabbitmq-management')}",
    }


def broker_of(rabbit: Rabbit) -> Broker:
    """It, as a function finds it."""
    return find_broker("tests", environment(rabbit))


def is_clean(rabbit: Rabbit) -> bool:
    """No queue of a capture, no mark, and the firehose off."""
    queues = [row["name"] for row in rabbit.ask("GET", "/queues/%2F?columns=name")]
    marks = [row["name"] for row in rabbit.ask("GET", "/global-parameters") if "drover" in row["name"]]
    return QUEUE not in queues and not marks and not rabbit.ask("GET", "/vhosts/%2F")["tracing"]


def made_clean(rabbit: Rabbit) -> None:
    """Whatever an earlier test has left is not this one's fault."""
    broker = broker_of(rabbit)
    management = Management(broker)
    management.set_tracing(False)
    management.delete_queue(QUEUE)
    management.set_parameter(mark_name(broker), None)


class Watching:
    """A full capture that a thread reads while the test makes traffic.

    Attributes:
        interruptions: connections that were lost.
    """

    def __init__(self, rabbit: Rabbit, owner: str = "test") -> None:
        self.capture = Capture(broker_of(rabbit), owner)
        self.analysis = Analysis()
        self.interruptions = 0
        self.note = ""
        self._over = threading.Event()
        self._error: BaseException | None = None
        self.capture.open()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def take(self, at: float, key: str, headers: Headers, body: bytes) -> None:
        """One message."""
        self.analysis.take(sighting(at, key, headers, body))

    def _read(self) -> None:
        while not self._over.is_set() and not self.note:
            try:
                self.note = self.capture.read(self.take, 1.0)
            except Retry:
                self.interruptions += 1
            except BaseException as error:
                self._error = error
                return

    def end(self) -> dict[str, Any]:
        """The report."""
        self._over.set()
        self._thread.join(PATIENCE)
        ended = self.capture.close(self.take, self.analysis.statistics.events)
        assert self._error is None, self._error
        self.analysis.end(ended.until, ended.dropped)
        return report(self.analysis)


@contextmanager
def watching(rabbit: Rabbit) -> Iterator[Watching]:
    """A capture that is closed whatever happens."""
    found = Watching(rabbit)
    try:
        yield found
    finally:
        found._over.set()
        found._thread.join(PATIENCE)
        found.capture.close(found.take, 0)


class Commands:
    """`drover` in processes of its own, with a store of its own."""

    def __init__(self, rabbit: Rabbit, home: Path) -> None:
        self.home = home
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("DROVER_", "OS_"))},
            **environment(rabbit),
            "XDG_STATE_HOME": str(home / "state"),
            "XDG_CACHE_HOME": str(home / "cache"),
            "XDG_CONFIG_HOME": str(home / "config"),
            "OS_CLOUD": "tests",
            "PYTHONPATH": str(ROOT),
        }
        self._started: list[subprocess.Popen[str]] = []

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it."""
        command = [sys.executable, "-m", "cli.main", *arguments]
        found = subprocess.Popen(
            command, env=self._environment, cwd=self.home, stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._started.append(found)
        return found

    def run(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        """Run it to its end; what it printed, and what it said beside."""
        process = self.begin(*arguments)
        output, said = process.communicate(timeout=PATIENCE * 3)
        assert process.returncode == code, (arguments, process.returncode, output[-2000:], said[-2000:])
        return output, said

    def close(self) -> None:
        """End what still runs."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()
