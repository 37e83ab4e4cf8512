"""How a capture ended."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ended:
    """How a capture ended.

    Attributes:
        until: up to when everything was seen, in seconds since 1970.
        dropped: events that the queue had no room for.
    """

    until: float
    dropped: int
