"""The touches of a process: each moment at which it reads or writes the store, asks the cloud, or sends an event.

A run without accidents records them; each later run of the same scene lets an accident happen at one of them. Nothing
is sampled: what is called the n-th touch here is the n-th of the recorded run, since until then both are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from requests import ConnectionError, PreparedRequest, Response
from requests.adapters import BaseAdapter
from sqlmodel import Session
from urllib3.exceptions import MaxRetryError, NewConnectionError

from shared.errors import Retry
from shared.events import Event
from shared.store import Database, StoreError

if TYPE_CHECKING:
    from tests.chaos.observer import Observer

READS = ("GET", "HEAD", "OPTIONS")


class Died(BaseException):
    """The process is gone in this moment: nothing of it may handle this."""


class Phase(StrEnum):
    """What a touch is, and which side of the effect it is on."""

    BEGIN = "begin"
    """Before a transaction."""
    COMMIT = "commit"
    """All is written; the next thing is the commit."""
    COMMITTED = "committed"
    """What was written counts."""
    IDLE = "idle"
    """Before a transaction that turned out to write nothing."""
    READ = "read"
    """Before the store, or the cloud, is read."""
    ASK = "ask"
    """Before the cloud gets the request for a change."""
    DONE = "done"
    """The cloud has done it; its answer is on the way."""
    SEND = "send"
    """Before an event is handed to the broker."""
    SENT = "sent"
    """The broker has it; its answer is on the way."""


@dataclass(frozen=True, slots=True)
class Touch:
    """One touch: what was touched (`store`, `cloud` or `broker`), on which side of the effect, and in words."""

    what: str
    phase: Phase
    words: str
    request: bool = False
    """Whether it came while a request was taken, and not a tick."""

    @property
    def matters(self) -> bool:
        """Whether the world is different on its two sides: what stops before a mere look stops as after the touch
        before it."""
        return self.phase not in (Phase.READ, Phase.IDLE)


class Touches:
    """Counts the touches of all processes of a run, and does something at the chosen one."""

    def __init__(self, at: int = 0, strike: Callable[[Touch, Callable[[], Any] | None], None] | None = None) -> None:
        self.seen: list[Touch] = []
        self.struck: Touch | None = None
        self.at, self.strike = at, strike
        self.store_away: Callable[[], bool] = lambda: False
        self.cloud_away: Callable[[], bool] = lambda: False
        self.broker_away: Callable[[], bool] = lambda: False
        self.taking_request = False
        self.quiet = False
        """Set while others work in the middle of a strike: they have no accidents."""

    def reach(self, what: str, phase: Phase, words: str, request: Callable[[], Any] | None = None) -> None:
        """One touch. `request` sends what is about to be sent, for a strike that lets it arrive later."""
        if self.quiet or self.struck is not None:
            return
        touch = Touch(what, phase, words, self.taking_request)
        self.seen.append(touch)
        if len(self.seen) == self.at and self.strike is not None:
            self.struck = touch
            self.strike(touch, request)

    def idle(self, number: int) -> None:
        """The transaction that began with this touch has written nothing."""
        if self.struck is None and not self.quiet and number >= 0:
            self.seen[number] = replace(self.seen[number], phase=Phase.IDLE)


class TouchedDatabase(Database):
    """One process's way to a store that others use as well. SQLAlchemy's engine is shared: it only costs time."""

    def __init__(self, base: Database, touches: Touches) -> None:
        self.engine, self.is_sqlite, self._reading = base.engine, base.is_sqlite, base._reading
        self._touches = touches

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """As in `Database`; one that writes nothing is one touch, since nothing is different after it."""
        self._reach(Phase.BEGIN)
        begun = len(self._touches.seen) - 1
        with super().transaction() as session:
            before = _changes(session)
            yield session
            session.flush()
            wrote = _changes(session) > before
            if wrote:
                self._reach(Phase.COMMIT)
        if wrote:
            self._reach(Phase.COMMITTED)
        else:
            self._touches.idle(begun)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """As in `Database`."""
        self._reach(Phase.READ)
        with super().reading() as session:
            yield session

    def _reach(self, phase: Phase) -> None:
        self._touches.reach("store", phase, f"the store's {phase}")
        if phase is not Phase.COMMITTED and self._touches.store_away():
            raise StoreError("the store does not answer: it was taken away")


def _changes(session: Session) -> int:
    """Rows that this connection has changed so far (sqlite3_total_changes)."""
    return int(session.connection().connection.dbapi_connection.total_changes)  # type: ignore[union-attr]


class TouchedWire(BaseAdapter):
    """One process's way to the cloud. Whatever it asks for is told to the observer under the process's name."""

    def __init__(self, inner: BaseAdapter, touches: Touches, observer: Observer, name: str) -> None:
        super().__init__()
        self._inner, self._touches, self._observer, self._name = inner, touches, observer, name

    def close(self) -> None:
        """Nothing to close."""

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Send one request."""
        if "/identity/" in (request.url or ""):
            return self._inner.send(request, *args, **kwargs)
        changes = request.method not in READS
        words = f"{request.method} {request.path_url}"

        def really() -> Response:
            with self._observer.watching(self._name):
                return self._inner.send(request, *args, **kwargs)

        self._touches.reach("cloud", Phase.ASK if changes else Phase.READ, words, really if changes else None)
        if self._touches.cloud_away():
            raise ConnectionError(MaxRetryError(None, "", NewConnectionError(None, "refused")))  # type: ignore[arg-type]
        answer = really()
        if changes:
            self._touches.reach("cloud", Phase.DONE, words)
        return answer


class Broker:
    """Where events go to, and what it has got; a sink for the engine."""

    name = "sink"

    def __init__(self, touches: Touches) -> None:
        self.got: list[Event] = []
        self._touches = touches

    def send(self, event: Event) -> None:
        """Take it."""
        words = f"the sending of {event.type}"
        self._touches.reach("broker", Phase.SEND, words)
        if self._touches.broker_away():
            raise Retry("the broker is away")
        self.got.append(event)
        self._touches.reach("broker", Phase.SENT, words)


def answer_lost() -> ConnectionError:
    """What a client sees when a connection ends before the answer came."""
    return ConnectionError("Connection aborted: Remote end closed connection without response")
