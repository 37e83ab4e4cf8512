"""Processes that die, or freeze, at a point that a test chooses: around a commit, or around a request to the cloud."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlmodel import Session

from tests.support.drains import Drains

READS = ("GET", "HEAD", "OPTIONS")
WATCHED = ("/compute/", "/load-balancer/")


class Died(BaseException):
    """The process is gone: nothing of it may handle this."""


class Points:
    """Counts the points at which a process can stop, and does something at the chosen one.

    The points are, in order of time: before and after each commit, before each request to Nova and Octavia, and after
    each that changes something. What happened just before a read that has not happened yet is as good as after it.

    Args:
        drains: whose store and cloud are watched; a second watch starts from what the first one left.
        strike: what happens at the chosen point: a raise is a death.
        frozen: whether the process is only held up, so that points inside of a transaction, which would hold its lock,
            and before a change, which the network would have to delay, are no points.
    """

    def __init__(self, drains: Drains, at: int, strike: Callable[[], None], frozen: bool = False) -> None:
        self.seen = 0
        self.struck = ""
        """The point that was chosen, in words, once it has come."""
        self._at, self._strike, self._frozen = at, strike, frozen
        self._drains = drains
        self._transaction, self._send = drains.database.transaction, drains.fake.wire.send
        drains.database.transaction = self._watched_transaction  # type: ignore[method-assign]
        drains.fake.wire.send = self._watched_send  # type: ignore[method-assign]

    def stop(self) -> None:
        """Watch no more."""
        self._drains.database.transaction = self._transaction  # type: ignore[method-assign]
        self._drains.fake.wire.send = self._send  # type: ignore[method-assign]

    def _reach(self, where: str) -> None:
        self.seen += 1
        if self.seen == self._at:
            self.struck = where
            self.stop()
            self._strike()

    @contextmanager
    def _watched_transaction(self) -> Iterator[Session]:
        with self._transaction() as session:
            yield session
            session.flush()
            if not self._frozen:
                self._reach("before a commit")
        self._reach("after a commit")

    def _watched_send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        changes = request.method not in READS
        what = f"{request.method} {request.path_url}"
        if not any(service in request.url for service in WATCHED):
            return self._send(request, *args, **kwargs)
        if not (changes and self._frozen):
            self._reach(f"before {what}")
        answer = self._send(request, *args, **kwargs)
        if changes:
            self._reach(f"after {what}")
        return answer
