"""Stores to make and to break."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.store import Database
from tests.support.stores import copied, migrated_file


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store to copy."""
    return migrated_file(tmp_path_factory.mktemp("template"))


@pytest.fixture
def database(template: Path, tmp_path: Path) -> Iterator[Database]:
    """An empty store."""
    database = copied(template, tmp_path)
    yield database
    database.close()
