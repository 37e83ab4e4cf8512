"""A full capture: the firehose is armed, everything is read for a while, and it is disarmed again."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import pika
from pika.exceptions import AMQPError

from functions.rpc_trace.backlog import queues_of_interest
from functions.rpc_trace.consumer import QueueReader, Take
from functions.rpc_trace.ended import Ended
from functions.rpc_trace.events import Mode
from shared.errors import Permanent, Retry
from shared.rabbit import EXCHANGE, QUEUE, Broker, Firehose, Management, Node
from shared.rabbit.failures import explained
from shared.rabbit.firehose import ARGUMENTS, QUEUE_MESSAGES

CHECK_SECONDS = 2.0
"""Between two looks at how the broker is."""
LAG_SECONDS = 5.0
"""A capture that is so far behind ends: it can't keep up."""
REST_SECONDS = 20.0
"""How long what is left in the queue is read after the firehose was disarmed."""
REST_TRIES = 3
STATISTICS_SECONDS = 5.5
"""RabbitMQ tells what it counts of a queue every 5 s."""
NEAR_FULL = 0.5
"""Of the queue's length, from which on messages may have been dropped between two looks."""


class Capture:
    """One capture on one vhost.

    Args:
        owner: its name, which says on the broker whose the firehose is.
    """

    def __init__(self, broker: Broker, owner: str) -> None:
        self._broker = broker
        self._management = Management(broker)
        self.firehose = Firehose(broker, self._management, owner)
        self._reader = QueueReader(broker.parameters(), QUEUE, lambda *message: self._take(*message))
        self._take: Take = lambda *message: None
        self._health = _Health(self.firehose)

    def open(self) -> None:
        """Make the queue, and arm the firehose.

        Raises:
            Permanent: it must not be armed; says why.
            Retry: the broker does not answer.
        """
        if why := self.firehose.refusal():
            raise Permanent(f"nothing was captured: {why}")
        make_queue(self._broker, [(EXCHANGE, "#")])
        self.firehose.arm()
        self._health.is_well(self._reader, time.time())

    def is_open(self) -> bool:
        """Whether the queue is still there, as an earlier slice has left it; or else `read` says what became of it."""
        return self._has_queue() or (self.firehose.is_ours and self._health.is_lost(self._reader))

    def _has_queue(self) -> bool:
        return self._management.queue(QUEUE) is not None

    def read(self, take: Take, seconds: float) -> str:
        """Hand over everything that comes; returns why it had to stop before its time, or nothing."""
        self._take = take
        if not self._health.lost:
            try:
                self._reader.run(seconds, self._health.is_bad)
            except Retry:
                if not self._health.is_lost(self._reader):
                    raise
        return self._health.lost or self._health.why

    def close(self, take: Take, taken: int) -> Ended:
        """Disarm the firehose, hand over what is left in the queue, and remove it; some of it may be gone already."""
        ours, dropped, here = self.firehose.is_ours, 0, self._has_queue()
        until, doubtful = self._seen_until(here=here)
        if ours:
            self._management.set_tracing(False)
        if ours and here:
            before = self._reader.read
            self._read_rest(take)
            dropped = max(0, self._came_in() - taken - (self._reader.read - before))
        self.firehose.disarm()
        return Ended(until, dropped + doubtful)

    def _seen_until(self, *, here: bool) -> tuple[float, int]:
        """Up to when everything was seen, and how many events may be missing since: nobody can know it, so as many as
        were seen, and one at least.

        Args:
            here: the queue is still there.
        """
        if not self._health.is_lost(self._reader) and self._health.is_certain and here:
            return time.time(), 0
        # A queue that is gone took with it what waited in it.
        until = self._health.good_until if here else min(self._health.good_until, self._reader.read_at)
        return until, max(1, self._reader.read - self._health.read_till_then)

    def _read_rest(self, take: Take) -> None:
        """Whatever happens: the firehose is to be disarmed; what could not be read counts as dropped."""
        self._take = take
        for _ in range(REST_TRIES):
            try:
                self._reader.run(REST_SECONDS, _Emptied())
                return
            except Retry:
                time.sleep(CHECK_SECONDS)

    def facts(self) -> dict[str, Any]:
        """Queues that need a look, beside what was seen of their messages."""
        return {"mode": Mode.FULL} | queues_of_interest(self._management)

    def connections(self) -> dict[str, str]:
        """What each connection calls itself."""
        return self._management.connections()

    def _came_in(self) -> int:
        """How many messages came into the queue: the number that the next would get, as RabbitMQ told it last."""
        if self._health.crowded:
            time.sleep(STATISTICS_SECONDS)
        status = (self._management.queue(QUEUE) or {}).get("backing_queue_status") or {}
        return int(status.get("next_seq_id") or 0)


class _Emptied:
    """Says when nothing waits any more; at the first looks nobody has told yet how much it is."""

    def __init__(self) -> None:
        self._looks = 0

    def __call__(self, reader: QueueReader) -> bool:
        self._looks += 1
        return self._looks > 2 and reader.waiting == 0


class _Health:
    """Looks, while a capture reads, whether it may go on; short reads one after the other count as one.

    Attributes:
        why: it may not, and why.
        lost: what keeps it from seeing everything; then it may not go on either.
        crowded: the queue was so full that some of it may have been dropped.
        good_until: when all nodes were last seen to show their traffic, in seconds since 1970; 0 if never.
        read_till_then: messages that had been read then.
        is_certain: all nodes have told at the last look.
    """

    def __init__(self, firehose: Firehose) -> None:
        self._firehose = firehose
        self._looked = self._checked = 0.0
        self._read = 0
        self.why = self.lost = ""
        self.crowded = False
        self.good_until = 0.0
        self.read_till_then = 0
        self.is_certain = True

    def is_well(self, reader: QueueReader, at: float) -> None:
        """All nodes were seen to show their traffic."""
        self.good_until, self.read_till_then = at, reader.read

    def is_bad(self, reader: QueueReader) -> bool:
        """Whether the capture has to end; `why` says why."""
        now = time.monotonic()
        self.crowded |= reader.waiting > NEAR_FULL * QUEUE_MESSAGES
        paused, self._looked = now - self._looked > CHECK_SECONDS, now
        if paused:  # nobody read meanwhile, which says nothing about how fast it is read
            self._checked, self._read = now, reader.read
        passed = now - self._checked
        if passed < CHECK_SECONDS:
            return False
        rate = (reader.read - self._read) / passed
        self._checked, self._read = now, reader.read
        if reader.waiting > 1000 and reader.waiting > LAG_SECONDS * rate:
            self.why = f"it can't keep up: {reader.waiting} messages wait, {rate:.0f} a second are read"
        else:
            nodes = self._firehose.nodes()
            self.why = "" if self.is_lost(reader, nodes) else self._firehose.burden(nodes)
        return bool(self.why or self.lost)

    def is_lost(self, reader: QueueReader, nodes: Sequence[Node] | None = None) -> bool:
        """Whether a node has taken with it, or let pass, what nobody will see any more."""
        began = time.time()
        if not self.lost:
            trouble = self._firehose.trouble(nodes)
            self.is_certain, self.lost = trouble is not None, trouble or ""
            if trouble == "":
                self.is_well(reader, began)
        return bool(self.lost)


def make_queue(broker: Broker, bindings: Iterable[tuple[str, str]], queue: str = QUEUE) -> None:
    """Declare a capture's queue, and bind it to exchanges by routing keys.

    Raises:
        Retry: the broker does not answer.
    """
    connection = connect(broker.parameters())
    try:
        channel = connection.channel()
        channel.queue_declare(queue, arguments=ARGUMENTS)
        for exchange, key in bindings:
            channel.queue_bind(queue, exchange, key)
    except AMQPError as error:
        raise explained("RabbitMQ", error, tls=broker.tls) from error
    finally:
        if connection.is_open:
            connection.close()


def connect(nodes: Sequence[pika.connection.Parameters]) -> pika.BlockingConnection:
    """A connection to the first node that answers.

    Raises:
        Retry: none does.
        Permanent: another configuration of TLS is needed.
    """
    try:
        return pika.BlockingConnection(nodes)
    except (AMQPError, OSError) as error:
        what = f"RabbitMQ at {', '.join(f'{node.host}:{node.port}' for node in nodes)} does not answer"
        raise explained(what, error, tls=nodes[0].ssl_options is not None) from error
