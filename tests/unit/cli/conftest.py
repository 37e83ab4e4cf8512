"""The command with a tiny kind of operation, a store in the test's own directory, and a clock that can be turned."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from typer.testing import CliRunner

from cli.engine import Parts, build
from cli.main import app
from cli.serve import door_of
from lab.simulator.clock import SteppedClock
from shared.clock import Clock
from shared.operations import Engine
from shared.settings import load
from shared.sink import Nowhere
from tests.unit.cli.support import Emptying, GivingBack, Wire, functions_app


@dataclass
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, which must be one JSON document and nothing else."""
        return json.loads(self.out)


Run = Callable[..., Outcome]


@dataclass
class Served:
    """A served Drover."""

    engine: Engine
    wire: Wire
    parts: Parts


class WorkingClock:
    """A clock whose sleeper gives the served engine the time to do what is due, as its tick would."""

    def __init__(self, clock: Clock, engine: Engine) -> None:
        self._clock, self._engine = clock, engine
        self.now, self.monotonic = clock.now, clock.monotonic

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)
        self._engine.work(0.0)


@pytest.fixture
def clock() -> SteppedClock:
    """Time that only the command's own waiting moves."""
    return SteppedClock()


@pytest.fixture
def kind() -> Emptying:
    """The drain."""
    return Emptying()


@pytest.fixture
def parts(kind: Emptying, clock: SteppedClock) -> Parts:
    """What the command is put together from."""
    return Parts(kinds=lambda _function: [kind, GivingBack()], clock=clock)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: Path) -> Path:
    """The directory of the store and the log; none of the machine's own settings count."""
    (tmp_path / "drover").mkdir()
    shutil.copyfile(template, tmp_path / "drover" / "drover.db")
    for name in ("DROVER_URL", "DROVER_DATABASE_URL", "DROVER_CLOUD", "OS_CLOUD", "OS_CLIENT_CONFIG_FILE", "K_SINK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("OS_CLOUD", "lab")
    return tmp_path


@pytest.fixture
def served(parts: Parts) -> Iterator[Served]:
    """A served Drover with the same kinds, and the parts of a command that talks to it."""
    engine = build(load(), parts.kinds(None), Nowhere(), source="/drover/all", clock=parts.clock)
    wire = Wire(functions_app(door_of(engine).main))

    def session() -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.mount("http://", wire)
        return session

    # the one clock: whoever waits for the served one lets it work meanwhile
    clock = WorkingClock(parts.clock, engine)
    yield Served(engine, wire, Parts(kinds=parts.kinds, clock=clock, session=session))
    engine.database.close()


@pytest.fixture
def run(parts: Parts) -> Run:
    """Run a command line as `drover` would."""

    def run(*words: str, parts: Parts = parts) -> Outcome:
        result = CliRunner().invoke(app, list(words), obj=parts)
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return run
