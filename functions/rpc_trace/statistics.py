"""Counting the traffic: per method, server and connection, with quantiles of the times."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ddsketch.ddsketch import BaseDDSketch
from ddsketch.mapping import LogarithmicMapping
from ddsketch.store import CollapsingLowestDenseStore

from functions.rpc_trace.call import Call, Cast, server_of, topic_of
from functions.rpc_trace.message import Message, MessageKind, name_of
from functions.rpc_trace.sighting import Sighting
from functions.rpc_trace.verdict import Verdict

ACCURACY = 0.01
"""Relative error of a quantile."""
MOST_STEPS = 2_048
"""Steps of a sketch: from a microsecond to an hour take 1,100."""
MOST_METHODS = 1_000
"""Methods that are told apart; what comes after is counted as `OTHERS`."""
MOST_NAMES = 20_000
"""The same for servers and connections."""
OTHERS = "(others)"


_MAPPING = LogarithmicMapping(ACCURACY)


class Times:
    """Quantiles of a time in seconds, in bounded memory."""

    __slots__ = ("_sketch", "_store", "longest")

    def __init__(self) -> None:
        self._sketch: BaseDDSketch | None = None
        self._store: CollapsingLowestDenseStore | None = None
        self.longest = 0.0

    def add(self, seconds: float | None) -> None:
        """Count one; None is none."""
        if seconds is None:
            return
        if self._sketch is None:
            self._begin()
        self._sketch.add(seconds)  # type: ignore[union-attr]
        if seconds > self.longest:
            self.longest = seconds

    def _begin(self) -> BaseDDSketch:
        """Most methods have no reply, and need no sketch."""
        self._store = CollapsingLowestDenseStore(MOST_STEPS)
        negative = CollapsingLowestDenseStore(1)
        self._sketch = BaseDDSketch(_MAPPING, self._store, negative, 0.0)
        return self._sketch

    def dump(self) -> list[Any]:
        """As JSON: the longest, then a value and its number for each step of the sketch that is not empty."""
        sketch, store = self._sketch, self._store
        if sketch is None or store is None:
            return []
        steps = [[_MAPPING.value(key + store.offset), number] for key, number in enumerate(store.bins) if number]
        zeros = sketch.count - store.count
        return [self.longest, *([[0.0, zeros]] if zeros else []), *steps]

    @classmethod
    def load(cls, saved: list[Any]) -> Times:
        """The same again."""
        times = cls()
        if saved:
            times.longest, sketch = saved[0], times._begin()
            for value, number in saved[1:]:
                sketch.add(value, number)
        return times

    @property
    def count(self) -> int:
        """How many were counted."""
        return int(self._sketch.count) if self._sketch else 0

    def at(self, quantile: float) -> float | None:
        """The time that at least this share of all does not exceed (nearest rank); None if there is none."""
        if self._sketch is None:
            return None
        count = self._sketch.count
        rank = max(0, math.ceil(quantile * count) - 1)
        found = self._sketch.get_quantile_value(rank / (count - 1) if count > 1 else 0.0)
        return None if found is None else float(min(found, self.longest))


@dataclass(slots=True)
class Tally:
    """What was counted of one method. Requests are counted each time they are published."""

    calls: int = 0
    casts: int = 0
    fanouts: int = 0
    """Of the casts, those to all servers."""
    copies: int = 0
    """Messages that the fanouts became: one for each queue."""
    bytes: int = 0
    failures: int = 0
    timeouts: int = 0
    """Calls that their caller gave up."""
    unanswered: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    """Failures by the exception's class."""
    queue_wait: Times = field(default_factory=Times)
    server_time: Times = field(default_factory=Times)
    total: Times = field(default_factory=Times)


@dataclass(slots=True)
class ServerTally:
    """What was counted of the calls that were sent to one server by its name; without quantiles, for there are many."""

    calls: int = 0
    answered: int = 0
    failures: int = 0
    timeouts: int = 0
    seconds: float = 0.0
    """Of server time, all together."""
    longest: float = 0.0


@dataclass(slots=True)
class Publisher:
    """What one connection has published."""

    messages: int = 0
    bytes: int = 0


class Statistics:
    """All that is counted in one capture.

    Attributes:
        events: everything that was seen.
        kinds: messages that were published, by what they are.
        failures: replies with an exception that were published.
        methods: by (exchange, topic, method); the exchange names the service (nova, neutron).
        servers: by (topic, server) of the requests to one server.
        publishers: by connection.
    """

    def __init__(self) -> None:
        self.events = 0
        self.deliveries = 0
        self.redelivered = 0
        self.failures = 0
        self.unanswered = 0
        self.bytes = 0
        self.first: float | None = None
        self.last = 0.0
        self.kinds: Counter[MessageKind] = Counter()
        self.methods: dict[tuple[str, str, str], Tally] = {}
        self.servers: dict[tuple[str, str], ServerTally] = {}
        self.publishers: dict[str, Publisher] = {}
        self._keys: dict[tuple[str, str, str], Tally] = {}

    @property
    def seconds(self) -> float:
        """From the first event to the last."""
        return 0.0 if self.first is None else max(0.0, self.last - self.first)

    # -- each event ---------------------------------------------------------------------------------------------

    def see(self, seen: Sighting) -> None:
        """Count one event."""
        self.events += 1
        if self.first is None or seen.at < self.first:
            self.first = seen.at
        if seen.at > self.last:
            self.last = seen.at
        if seen.published:
            self._published(seen, seen.message)
        else:
            self.deliveries += 1
            self.redelivered += bool(seen.headers.redelivered)

    def _published(self, seen: Sighting, message: Message) -> None:
        headers, size = seen.headers, seen.size
        self.bytes += size
        publisher = self.publishers.get(headers.connection)
        if publisher is None:
            publisher = self._publisher(headers.connection)
        publisher.messages += 1
        publisher.bytes += size
        if message.method is None:
            self._published_other(message)
            return
        tally = self._method(headers.exchange_name, seen.key, message.method)
        tally.bytes += size
        if message.msg_id is not None:
            self.kinds[MessageKind.CALL] += 1
            tally.calls += 1
            return
        self.kinds[MessageKind.CAST] += 1
        tally.casts += 1
        if headers.exchange_name.endswith("_fanout"):
            self.kinds[MessageKind.FANOUT] += 1
            tally.fanouts += 1
            tally.copies += len(headers.routed_queues or ())

    def _published_other(self, message: Message) -> None:
        if message.msg_id is None:
            self.kinds[MessageKind.FOREIGN if message.event_type is None else MessageKind.NOTIFICATION] += 1
        elif message.ending or message.failure:
            self.kinds[MessageKind.REPLY] += 1
            self.failures += bool(message.failure)
        else:
            self.kinds[MessageKind.HEARTBEAT] += 1

    def _publisher(self, connection: str) -> Publisher:
        if len(self.publishers) >= MOST_NAMES:
            connection = OTHERS
        return self.publishers.setdefault(connection, Publisher())

    def _method(self, exchange: str, key: str, method: str) -> Tally:
        """The tally of a request, found by what it was published with: names are taken apart once only."""
        known = self._keys.get((exchange, key, method))
        if known is None:
            service = "" if exchange.endswith("_fanout") else name_of(exchange)
            name = (service, name_of(topic_of(exchange, key)), name_of(method))
            if len(self.methods) >= MOST_METHODS and name not in self.methods:
                name = ("", "", OTHERS)
            known = self.methods.setdefault(name, Tally())
            if len(self._keys) < MOST_NAMES:
                self._keys[exchange, key, method] = known
        return known

    # -- each call and cast, when it is over --------------------------------------------------------------------

    def call(self, call: Call, verdict: Verdict | None) -> None:
        """Count the times of a call, and how it ended."""
        if call.method is None:
            return
        tally = self._method(call.exchange, call.key, call.method)
        lost = call.replied is None and call.published is not None
        timeout = verdict is not None and verdict.is_timeout
        self.unanswered += lost
        tally.unanswered += lost
        tally.timeouts += timeout
        if call.failures:
            tally.failures += call.failures
            tally.errors[call.failure] += call.failures
        tally.queue_wait.add(call.queue_wait)
        tally.server_time.add(call.server_time)
        tally.total.add(call.total)
        if server := server_of(call.exchange, call.key):
            self._server(call, server, timeout)

    def _server(self, call: Call, server: str, timeout: bool) -> None:
        name = (name_of(call.topic), name_of(server))
        if len(self.servers) >= MOST_NAMES and name not in self.servers:
            name = ("", OTHERS)
        tally = self.servers.setdefault(name, ServerTally())
        tally.calls += 1
        tally.answered += call.replied is not None
        tally.failures += call.failures
        tally.timeouts += timeout
        seconds = call.server_time or 0.0
        tally.seconds += seconds
        tally.longest = max(tally.longest, seconds)

    def cast(self, cast: Cast) -> None:
        """Count how long a cast waited."""
        if cast.method is not None:
            self._method(cast.exchange, cast.key, cast.method).queue_wait.add(cast.queue_wait)
