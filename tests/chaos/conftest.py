"""The chaos suite's option, its processes, and the stores that its runs share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.pool import Pool, open_store
from tests.chaos.stage import Store

STORIES = 400
"""Random stories of a long run, unless it is said how many."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--long`: every touch of every scene with every accident, and 400 random stories; `--long=5000`: so many."""
    told = os.environ.get("DROVER_LONG") or "0"
    parser.addoption(
        "--long", nargs="?", type=int, const=STORIES, default=STORIES if told == "1" else int(told), metavar="STORIES",
        help="all runs of tests/chaos, and so many random stories (400)",
    )  # fmt: skip


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many runs there were."""
    if Pool.runs:
        terminalreporter.write_line(f"{Pool.runs} runs with an accident")


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> int:
    """How many random stories a long run has; 0 for a short one."""
    return int(request.config.getoption("--long", default=0) or 0)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the stores are: in memory, as all temporary directories of the tests."""
    return Path(tempfile.mkdtemp(dir=tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="session")
def store(base: Path) -> Iterator[Store]:
    """The store of this process."""
    directory = base / "recording"
    directory.mkdir()
    found = open_store(directory)
    yield found
    found.base.close()


@pytest.fixture(scope="session")
def pool(base: Path) -> Iterator[Pool]:
    """The processes that do the runs."""
    made = Pool(base)
    yield made
    made.close()
