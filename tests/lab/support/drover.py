"""The real `drover` command as a subprocess, with a store and a state directory of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from sqlmodel import col, select

from shared.store import AuditEntry, Database, Operation

CLOUD = "lab"
PROGRAM = Path(sys.executable).with_name("drover")
PATIENCE = 60.0
"""Seconds that a short command may take on a busy machine."""


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """What `--json` printed."""
        assert self.stdout, f"exit code {self.code}, nothing on stdout; stderr:\n{self.stderr}"
        document: dict[str, Any] = json.loads(self.stdout)
        return document


class Running:
    """A command at work."""

    def __init__(self, arguments: Sequence[str], environment: dict[str, str], output: Path) -> None:
        self._out, self._err = output.with_suffix(".out"), output.with_suffix(".err")
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen([str(PROGRAM), *arguments], stdout=out, stderr=err, env=environment)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def stderr(self) -> str:
        return self._err.read_text()

    def kill(self) -> None:
        """kill -9: no chance to save anything."""
        self.signal(signal.SIGKILL)

    def signal(self, number: signal.Signals) -> int:
        """Send a signal, and wait for the end."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def wait(self, seconds: float) -> Ended:
        """Until it has ended; after so many seconds it counts as stuck."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"not ended after {seconds:.0f} s; stderr:\n{self.stderr}") from None
        return Ended(code, self._out.read_text(), self.stderr)


class Drover:
    """The command on one store. `close` ends whatever was left running."""

    def __init__(self, clouds_yaml: Path, directory: Path, database_url: str | None = None, **settings: str) -> None:
        """`settings`: more of the environment, such as DROVER_LEASE_SECONDS."""
        self._directory = directory
        self.database_url = database_url or f"sqlite:///{directory / 'drover.db'}"
        outside = {name: value for name, value in os.environ.items() if not name.startswith(("DROVER_", "OS_"))}
        self._environment = outside | {
            "OS_CLIENT_CONFIG_FILE": str(clouds_yaml),
            "OS_CLOUD": CLOUD,
            "DROVER_DATABASE_URL": self.database_url,
            "XDG_STATE_HOME": str(directory / "state"),
            **settings,
        }
        self._numbers = count(1)
        self._running: list[Running] = []

    def start(self, *arguments: str, **settings: str) -> Running:
        """Start a command, with more of the environment."""
        output = self._directory / f"{next(self._numbers):03d}-{arguments[0]}"
        running = Running(arguments, self._environment | settings, output)
        self._running.append(running)
        return running

    def run(self, *arguments: str, seconds: float = PATIENCE) -> Ended:
        """Run a command to its end."""
        return self.start(*arguments).wait(seconds)

    def begin(self, host: str, *options: str) -> str:
        """Store a drain without working on it; gives the operation's id."""
        ended = self.run("drain", host, "--reason", "acceptance", "--no-wait", "--json", *options)
        return str(ended.document["id"])

    def show(self, operation: str) -> dict[str, Any]:
        """The operation's document as it is now."""
        return self.run("ops", "show", operation, "--json").document

    def operations(self) -> list[str]:
        """Ids of all operations in the store, whatever their kind."""
        database = Database(self.database_url)
        try:
            with database.reading() as session:
                return list(session.exec(select(Operation.id)))
        finally:
            database.close()

    def audit(self, operation: str) -> list[AuditEntry]:
        """What is on record about an operation, in order."""
        database = Database(self.database_url)
        try:
            with database.reading() as session:
                query = select(AuditEntry).where(AuditEntry.operation_id == operation)
                return list(session.exec(query.order_by(col(AuditEntry.serial))))
        finally:
            database.close()

    def close(self) -> None:
        """End what still runs."""
        for running in self._running:
            if running.alive:
                running.kill()


def steps_by_name(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The document's steps by the name of their server."""
    return {step["name"]: step for step in document["steps"]}


def left_by_name(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The summary's servers that stay, by name."""
    return {entry["name"]: entry for entry in document["summary"]["left"]}


def until(what: str, seconds: float, done: Any) -> Any:
    """Ask again and again until the answer is something true, which is returned."""
    deadline = time.monotonic() + seconds
    while not (answer := done()):
        assert time.monotonic() < deadline, f"not {what} after {seconds:.0f} s"
        time.sleep(0.3)
    return answer
