"""Joining what was seen into calls and casts, in bounded memory whatever the traffic.

A request and its reply are joined on `_msg_id`; the publishing and the deliveries of a cast on `_unique_id`. Things may
come in any order, more than once, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable

from functions.rpc_trace.call import ASSUMED_TIMEOUT, MOST_CONSUMERS, Call, Cast
from functions.rpc_trace.message import Message, failure_class, name_of
from functions.rpc_trace.sighting import Sighting

LINGER = 2.0
"""Seconds that a call is kept after its reply was delivered, for what may come out of order."""
DISORDER = 30.0
"""The same for a call of which something else was not seen."""
LATE = 120.0
"""Seconds after the deadline that a reply is waited for; also how long a cast waits for its delivery."""
MOST_OPEN = 50_000
"""Calls and casts that are kept at once; over it those seen first are given up, and counted."""
MOST_DONE = 20_000
"""Ids of calls that are remembered after them."""


class Correlator:
    """Takes what was seen, and hands over each call and cast when nothing more is to be expected of it.

    Its clock is the latest time that it was told of, so that a file is judged as live traffic is.

    Attributes:
        evicted: calls and casts that were given up early, for want of room.
        strangers: replies and heartbeats of calls whose request was not seen.
    """

    def __init__(self, on_call: Callable[[Call], None], on_cast: Callable[[Cast], None]) -> None:
        self._on_call = on_call
        self._on_cast = on_cast
        self._calls: dict[str, Call] = {}
        self._casts: dict[str, Cast] = {}
        self._done: dict[str, None] = {}
        """Ids of the calls that were handed over last: a publisher that reconnects sends its request once more."""
        self._due: dict[int, dict[int, Call | Cast]] = {}
        """By second: what is handed over then, by Python's id. Each is there once, so that none outlives its end."""
        self.now = 0.0
        self.evicted = 0
        self.strangers = 0

    def __len__(self) -> int:
        """Calls and casts that are open."""
        return len(self._calls) + len(self._casts)

    def take(self, seen: Sighting) -> Call | Cast | None:
        """Take one message; returns what it belongs to."""
        if seen.at > self.now:
            if int(seen.at) > int(self.now):
                self._settle(int(seen.at))
            self.now = seen.at
        message = seen.message
        if message.msg_id is not None:
            call = self._calls.get(message.msg_id)
            if call is None:
                if message.msg_id in self._done:
                    return None
                call = self._open(message.msg_id, seen.at)
            if message.method is not None:
                self._request(call, seen, message)
            else:
                self._reply(call, seen, message)
            if call.answered is not None:
                self._look_again(call, max(seen.at, call.answered) + (LINGER if call.is_complete else DISORDER))
            return call
        if message.method is not None and message.unique_id is not None:
            return self._cast(seen, message, message.unique_id)
        return None

    def knows(self, message: Message) -> bool:
        """Whether something of it was seen before."""
        return message.msg_id in self._calls or message.unique_id in self._casts

    @property
    def waiting(self) -> bool:
        """Whether a call is open that was not answered."""
        return any(call.answered is None for call in self._calls.values())

    def end(self) -> None:
        """Nothing more will come: hand over all that is open."""
        for call in self._calls.values():
            self._on_call(call)
        for cast in self._casts.values():
            self._on_cast(cast)
        self._calls, self._casts, self._due = {}, {}, {}

    def open(self) -> tuple[list[Call], list[Cast]]:
        """All that is open, the oldest first."""
        return list(self._calls.values()), list(self._casts.values())

    def reopen(self, calls: list[Call], casts: list[Cast], now: float) -> None:
        """Go on with what was open in another process."""
        self.now = now
        self._calls = {call.msg_id: call for call in calls}
        self._casts = {cast.unique_id: cast for cast in casts}
        entries: list[Call | Cast] = [*calls, *casts]
        for entry in entries:
            self._look_again(entry, entry.due)

    # -- calls --------------------------------------------------------------------------------------------------

    def _open(self, msg_id: str, at: float) -> Call:
        call = self._calls[msg_id] = Call(msg_id, at)
        self._look_again(call, at + ASSUMED_TIMEOUT + LATE)
        self._keep_bounds()
        return call

    def _request(self, call: Call, seen: Sighting, message: Message) -> None:
        headers = seen.headers
        if call.method is None:
            call.method, call.exchange, call.key = message.method, headers.exchange_name, seen.key
            call.reply_q = name_of(message.reply_q)
            call.request_id, call.global_request_id = message.request_id, message.global_request_id
            call.expiration, call.size = seen.expiration, seen.size
            if call.expiration is not None:
                self._look_again(call, seen.at + call.expiration + LATE)
        if seen.published:
            if call.published is None or seen.at < call.published:
                call.published, call.routed, call.publisher = seen.at, headers.routed_queues, headers.connection
        else:
            call.deliveries += 1
            if call.delivered is None or seen.at < call.delivered:
                call.delivered, call.queue, call.consumer = seen.at, seen.queue, headers.connection

    def _reply(self, call: Call, seen: Sighting, message: Message) -> None:
        headers = seen.headers
        if not (message.ending or message.failure):
            if seen.published:
                call.heartbeats, call.heartbeat = call.heartbeats + 1, seen.at
            return
        if seen.published:
            call.replies += 1
            if message.failure:
                call.failures, call.failure = call.failures + 1, failure_class(message.failure)
            if call.replied is None or seen.at < call.replied:
                call.replied, call.server, call.reply_size = seen.at, headers.connection, seen.size
                call.reply_routed = headers.routed_queues
                call.reply_q = call.reply_q or seen.key
        elif call.answered is None or seen.at < call.answered:
            call.answered, call.client = seen.at, headers.connection

    # -- casts --------------------------------------------------------------------------------------------------

    def _cast(self, seen: Sighting, message: Message, unique_id: str) -> Cast:
        headers = seen.headers
        cast = self._casts.get(unique_id)
        if cast is None:
            fanout = headers.exchange_name.endswith("_fanout")
            cast = self._casts[unique_id] = Cast(
                unique_id, seen.at, message.method, headers.exchange_name, seen.key, fanout,
                message.request_id, message.global_request_id, seen.size,
            )  # fmt: skip
            self._look_again(cast, seen.at + LATE)
            self._keep_bounds()
        if seen.published:
            if cast.published is None or seen.at < cast.published:
                cast.published, cast.routed, cast.publisher = seen.at, headers.routed_queues, headers.connection
        else:
            cast.deliveries += 1
            cast.last = seen.at
            if len(cast.consumers) < MOST_CONSUMERS:
                cast.consumers += (headers.connection,)
            if cast.delivered is None or seen.at < cast.delivered:
                cast.delivered, cast.queue = seen.at, seen.queue
        if cast.published is not None and cast.deliveries >= len(cast.routed or ()):
            self._look_again(cast, seen.at + LINGER)
        return cast

    # -- time and room ------------------------------------------------------------------------------------------

    def _look_again(self, entry: Call | Cast, due: float) -> None:
        self._forget_due(entry)
        entry.due = due
        self._due.setdefault(int(due) + 1, {})[id(entry)] = entry

    def _forget_due(self, entry: Call | Cast) -> None:
        entries = self._due.get(int(entry.due) + 1)
        if entries is not None:
            entries.pop(id(entry), None)

    def _settle(self, now: int) -> None:
        """Hand over all whose time has come."""
        for second in sorted(second for second in self._due if second <= now):
            for entry in self._due.pop(second).values():
                self._hand_over(entry)

    def _hand_over(self, entry: Call | Cast) -> None:
        if isinstance(entry, Call):
            if self._calls.pop(entry.msg_id, None) is not None:
                self._done[entry.msg_id] = None
                if len(self._done) > MOST_DONE:
                    del self._done[next(iter(self._done))]
                self.strangers += entry.method is None
                self._on_call(entry)
        elif self._casts.pop(entry.unique_id, None) is not None:
            self._on_cast(entry)

    def _keep_bounds(self) -> None:
        if len(self._calls) + len(self._casts) > MOST_OPEN:
            calls = len(self._calls) > len(self._casts)
            oldest: Call | Cast = next(iter(self._calls.values())) if calls else next(iter(self._casts.values()))
            self.evicted += 1
            self._forget_due(oldest)
            self._hand_over(oldest)
