"""The functions: one package each, none of which imports another."""

from __future__ import annotations

from pathlib import Path


def names() -> list[str]:
    """The functions that this image holds: the packages here that have a door."""
    return sorted(path.parent.name for path in Path(__file__).parent.glob("*/func.py"))
