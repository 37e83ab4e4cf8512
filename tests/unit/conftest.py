"""An empty SQLite store for whichever test asks for one, and how long tests may take."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.store import Database
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


@pytest.fixture(scope="session")
def thorough() -> bool:
    """Whether long tests take all cases, or a sample that takes seconds."""
    return os.environ.get("DROVER_THOROUGH") == "1"
