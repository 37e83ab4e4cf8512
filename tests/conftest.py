"""What holds for every test."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

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
