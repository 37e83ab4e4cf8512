"""What bounds an engine's work."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things may take; every value in seconds but `hops`."""

    slice_seconds: float = 25.0
    """How long one request works, at most; far below any broker's or gateway's time-out."""
    lease_seconds: float = 30.0
    """How long a worker that fell silent keeps its operation; longer than any single call to a cloud takes."""
    hops: int = 6
    """Slices that follow each other by reply events before the next tick is awaited: with an in-memory channel every
    one of them keeps the first POST open."""
