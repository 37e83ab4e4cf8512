"""Clocks of the simulated cloud: as fast as the real one, faster, or stepped by hand."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Now(Protocol):
    """Any clock that tells the time."""

    def now(self) -> datetime:
        """The time of day, aware, in UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...

    def advance(self, seconds: float) -> None:
        """Push the time on."""
        ...


class SteppedClock:
    """Time that passes only when a test says so."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._start = start

    def now(self) -> datetime:
        """The time of day."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since the start."""
        return (self._now - self._start).total_seconds()

    def sleep(self, seconds: float) -> None:
        """Time passes."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self._now += timedelta(seconds=seconds)


class RunningClock:
    """Time that passes by itself, `speed` times as fast as on the wall, from now on; it can be pushed on as well."""

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._start = datetime.now(UTC)
        self._begin = time.monotonic()

    def now(self) -> datetime:
        """The time of day."""
        return self._start + timedelta(seconds=(time.monotonic() - self._begin) * self._speed)

    def sleep(self, seconds: float) -> None:
        """Wait until the cloud is so many seconds older."""
        time.sleep(seconds / self._speed)

    def advance(self, seconds: float) -> None:
        """Time jumps."""
        self._start += timedelta(seconds=seconds)
