"""A function with a door on which everything is configured."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from shared.store import Database
from tests.support.bench import Bench
from tests.support.doors import World


@pytest.fixture
def bench(database: Database) -> Iterator[Bench]:
    """The engine behind the door."""
    logging.getLogger("parliament.server").setLevel(logging.ERROR)
    with capture_logs():
        yield Bench(database)


@pytest.fixture
def world(bench: Bench) -> World:
    """The door."""
    return World(bench)
