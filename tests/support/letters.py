"""Dead letters as a broker delivers them, and a keeper to take them."""

from __future__ import annotations

import base64
from typing import Any

from functions.keeper.cleanup import Cleanup
from functions.keeper.replay import Replay
from shared.errors import Retry
from shared.events import Event
from shared.operations import Engine, Limits, Sink
from shared.store import Database, DeadLetter
from tests.support.bench import LEASE, Bench

DRAIN = "io.drover.drain.requested"


def dead(id: str = "1", type: str = DRAIN, source: str = "/tickets", **values: Any) -> Event:
    """An event that could not be delivered."""
    answer = base64.b64encode(b'{"error": "the store does not answer"}').decode()
    told = {
        "knativeerrorcode": "503",
        "knativeerrordest": "http://migrate.drover.svc.cluster.local",
        "knativeerrordata": answer,
        "knativearrivaltime": "2026-01-01T00:00:00Z",
    }
    data = {"cloud": "paris", "host": f"cmp{id}", "reason": "new memory"}
    return Event(id, source, type, **{"data": data, "subject": f"cmp{id}", "extensions": told, **values})


class Broker:
    """A sink that remembers; it is away for events of `/stuck`."""

    name = "sink"

    def __init__(self) -> None:
        self.got: list[Event] = []

    def send(self, event: Event) -> None:
        """Take it."""
        if event.source == "/stuck":
            raise Retry("the broker is away")
        self.got.append(event)

    @property
    def requests(self) -> list[Event]:
        """What it got, without the facts of the keeper's own operations."""
        return [event for event in self.got if event.source != "/drover/keeper"]


class Keeper(Bench):
    """A keeper with a broker behind it."""

    def __init__(self, database: Database, keep_days: int = 30, keep_operations_days: int | None = None) -> None:
        self.keep = (keep_days, keep_operations_days)
        self.broker = Broker()
        super().__init__(database)
        self.engine = self.new_keeper(self.broker)

    def new_keeper(self, sink: Sink | None, dead_letters: bool = True) -> Engine:
        """Another worker on the same store."""
        return Engine(
            self.database,
            [Replay(), Cleanup(*self.keep)],
            source="/drover/keeper",
            clock=self.clock,
            sink=sink,
            limits=Limits(slice_seconds=25, lease_seconds=LEASE, hops=6),
            new_id=lambda: f"id-{next(self._numbers)}",
            dead_letters=dead_letters,
        )

    def letters(self) -> list[DeadLetter]:
        """All letters, those that came first first."""
        return sorted(self.rows(DeadLetter), key=lambda letter: (letter.first_at, letter.event_id))

    def letter(self, event_id: str) -> DeadLetter:
        """The letter of one event."""
        (found,) = [letter for letter in self.letters() if letter.event_id == event_id]
        return found

    def ask_for(self, kind: str, id: str = "ask", **data: Any) -> Event:
        """Ask for a replay or a cleanup; returns the answer."""
        reply = self.engine.handle(Event(id, "/people", f"io.drover.{kind}.requested", data))
        assert reply is not None
        return reply

    def replay(self, id: str = "ask", **data: Any) -> str:
        """Ask for a replay; returns the operation's id."""
        reply = self.ask_for("replay", id, **{"reason": "it is back", "requester": "ann", **data})
        assert reply.type == "io.drover.replay.accepted", reply.data
        return str(reply.data["operation"])

    def tick(self, id: str = "tick") -> None:
        """Time has passed: what is due is done, what waits is sent."""
        self.engine.handle(Event(id, "/ping", "io.drover.tick", {}))
