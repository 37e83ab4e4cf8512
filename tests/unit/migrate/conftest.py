"""Drains on the double of a cloud."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.store import Database
from tests.support.drains import Drains
from tests.support.stores import copied, migrated_file


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store to copy."""
    gc.collect()
    gc.freeze()  # all that was imported stays: looking through it again and again costs a tenth of the time
    return migrated_file(tmp_path_factory.mktemp("template"))


@pytest.fixture
def database(template: Path, tmp_path: Path) -> Iterator[Database]:
    """An empty store."""
    database = copied(template, tmp_path)
    yield database
    database.close()


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
