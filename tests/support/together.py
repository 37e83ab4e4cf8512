"""Processes that begin at the same moment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The checkout: where `shared` and `tests` are imported from."""


def start_together(code: str, number: int, seconds: float = 90) -> None:
    """Run a piece of Python in several processes, which begin at once when all are there, and expect all to succeed."""
    lines = f"import shared.store, alembic.command, sys; sys.stdin.read(1); {code}"
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen([sys.executable, "-c", lines], stdin=pipe, stdout=pipe, stderr=pipe, cwd=ROOT)
        for _ in range(number)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"x")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=seconds)
        assert process.returncode == 0, errors.decode()
