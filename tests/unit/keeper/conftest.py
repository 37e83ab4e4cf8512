"""The keeper's tests run on SQLite here, and on PostgreSQL in `tests/integration`."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.store import Database
from tests.support.letters import Keeper


@pytest.fixture
def keeper(database: Database) -> Keeper:
    """A keeper on an empty store, with a broker behind it."""
    return Keeper(database)


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    """What is logged is kept for the test to look at."""
    with capture_logs() as entries:
        yield entries
