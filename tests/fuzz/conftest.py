"""The fuzz suite's options, the functions as they are deployed, and the count of what they were sent."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.fuzz.judge import counted
from tests.fuzz.world import World
from tests.support.postgres import Postgres

TIMES = 10
"""A long run has so many times the inputs."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--long`: ten times as many inputs, drawn anew in each run; `--postgres`: on a PostgreSQL of the tests' own."""
    long = os.environ.get("DROVER_LONG", "0") not in ("", "0")
    with suppress(ValueError):  # the chaos suite has one as well
        parser.addoption("--long", action="store_true", default=long, help="ten times as many inputs, new in each run")
    parser.addoption("--postgres", action="store_true", help="on PostgreSQL instead of SQLite")


def pytest_configure(config: pytest.Config) -> None:
    """The same inputs in each short run, so that a failure is the change's; nothing is kept between runs."""
    long = bool(config.getoption("--long", default=False))
    settings.register_profile(
        "fuzz", deadline=None, database=None, derandomize=not long, print_blob=True,
        phases=(Phase.explicit, Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck),
    )  # fmt: skip


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many inputs there were, and what became of them."""
    if counted:
        terminalreporter.write_line(f"{counted.total()} inputs")
        for what, number in sorted(counted.items()):
            terminalreporter.write_line(f"{number:>8}  {what}")


@pytest.fixture(scope="session")
def times(request: pytest.FixtureRequest) -> int:
    """How many times the inputs of a short run."""
    return TIMES if request.config.getoption("--long", default=False) else 1


@pytest.fixture(scope="session")
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An empty store."""
    if request.config.getoption("--postgres", default=False):
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends the tests ends the server as well
        server = Postgres()
        yield server.url
        server.close()
    else:
        yield f"sqlite:///{tmp_path_factory.mktemp('store') / 'drover.db'}"


@pytest.fixture(scope="session")
def world(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The functions, their store and their cloud, which all tests share: one input must not hurt the next."""
    made = World(Path(tmp_path_factory.mktemp("world")), database_url)
    yield made
    made.close()
