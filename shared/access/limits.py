"""Token buckets: how many requests somebody may make, one bucket for each name or address."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from shared.clock import Clock

BUCKETS = 10_000
"""Names or addresses that are remembered; the one that was silent longest is forgotten first."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` requests at once, and `per_second` more as time goes by."""

    burst: float
    per_second: float


PERSON = Rate(burst=100, per_second=10)
"""Of one person. The command line asks once a second while it watches; a script that drains a row of racks fits in."""
FAILURES = Rate(burst=20, per_second=0.5)
"""Failed attempts of one address; beyond them no further token of its is looked up."""


class Buckets:
    """A bucket for each key; keys that were never seen have a full one."""

    def __init__(self, rate: Rate, clock: Clock, size: int = BUCKETS) -> None:
        self._rate, self._clock, self._size = rate, clock, size
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str) -> float:
        """Take one out.

        Returns:
            0.0 when there was one; else the seconds until there will be one, and nothing was taken.
        """
        with self._lock:
            level = self._level(key)
            wait = self._wait(level)
            self._levels[key] = (level if wait else level - 1, self._clock.monotonic())
            self._levels.move_to_end(key)
            if len(self._levels) > self._size:
                self._levels.popitem(last=False)
            return wait

    def wait(self, key: str) -> float:
        """Seconds until there is one to take; 0.0 when there is one now."""
        with self._lock:
            return self._wait(self._level(key))

    def _level(self, key: str) -> float:
        level, since = self._levels.get(key, (self._rate.burst, 0.0))
        return min(self._rate.burst, level + (self._clock.monotonic() - since) * self._rate.per_second)

    def _wait(self, level: float) -> float:
        return 0.0 if level >= 1 else (1 - level) / self._rate.per_second
