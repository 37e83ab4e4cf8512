"""What holds for every test."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from shared.telemetry import logs

BASE = pytest.StashKey[tempfile.TemporaryDirectory[str]]()
MEMORY = Path("/dev/shm")  # a file system in memory, where the machine has one

# On a busy machine one example may take long without anything being wrong.
settings.register_profile("drover", deadline=None)
settings.load_profile("drover")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Temporary directories are in memory: SQLite syncs at every commit, which is most of what a disk would cost."""
    if config.option.basetemp is None and MEMORY.is_dir() and os.access(MEMORY, os.W_OK):
        config.stash[BASE] = tempfile.TemporaryDirectory(prefix="drover-tests-", dir=MEMORY, ignore_cleanup_errors=True)
        config.option.basetemp = str(Path(config.stash[BASE].name) / "tmp")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give the memory back."""
    if BASE in config.stash:
        config.stash[BASE].cleanup()


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """What a test sets up for its logs must not decide what the next one sees of its own."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    quiet = {name: logging.getLogger(name).level for name in logs.QUIET}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in quiet.items():
        logging.getLogger(name).setLevel(before)
