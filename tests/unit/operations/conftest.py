"""The engine's tests run on SQLite here, and on PostgreSQL in `tests/integration`."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.store import Database
from tests.support.bench import Bench


@pytest.fixture
def bench(database: Database) -> Bench:
    """An engine on it."""
    return Bench(database)


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    """What is logged is kept for the test to look at; printing tracebacks would take longer than the tests."""
    with capture_logs() as entries:
        yield entries
