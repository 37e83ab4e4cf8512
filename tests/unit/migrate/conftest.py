"""Drains on the double of a cloud."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.store import Database
from tests.support.drains import Drains


@pytest.fixture
def drains(database: Database) -> Drains:
    """Four hosts, a store and a worker."""
    return Drains(database)


@pytest.fixture
def make(database: Database) -> Callable[..., Drains]:
    """The same, with a cloud of another size or pace."""
    return lambda **cloud: Drains(database, **cloud)


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    """What is logged; an error there is a bug, unless the test expects it and clears the list."""
    with capture_logs() as entries:
        yield entries
    assert [entry for entry in entries if entry["log_level"] == "error"] == []
