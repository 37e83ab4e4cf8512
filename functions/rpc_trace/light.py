"""A light capture: copies of requests, by a queue of our own on the exchanges that they go through.

It costs the broker one more queue to route to. Replies go through the default exchange, which can't be bound to: they
are not seen, so nothing can be said of answers. Fanouts are seen once, not once for each server.
"""

from __future__ import annotations

import time
from typing import Any

import pika
from pika.exceptions import AMQPError

from functions.rpc_trace.backlog import queues_of_interest
from functions.rpc_trace.capture import connect, make_queue
from functions.rpc_trace.consumer import Take
from functions.rpc_trace.ended import Ended
from functions.rpc_trace.events import Mode
from functions.rpc_trace.sighting import Headers, Properties
from shared.errors import Permanent, Retry
from shared.rabbit import QUEUE, Broker, Management

MOST_EXCHANGES = 2_000
"""Exchanges that are bound to; a cloud has some hundreds."""
ROUND = 1.0
"""Seconds between two acknowledgements."""


class LightCapture:
    """A queue on every topic exchange and every fanout exchange of RPC.

    Args:
        queue: its name; a capture with another queue may go on beside it.
    """

    def __init__(self, broker: Broker, queue: str = QUEUE) -> None:
        self._broker = broker
        self._queue = queue
        self._management = Management(broker)

    def open(self) -> None:
        """Make the queue and bind it.

        Raises:
            Permanent: a capture goes on already.
        """
        if why := self.refusal():
            raise Permanent(f"nothing was captured: {why}")
        rows = [row for row in self._management.exchanges() if _carries_requests(row)][:MOST_EXCHANGES]
        bindings = [(row["name"], "#" if row["type"] == "topic" else "") for row in rows]
        make_queue(self._broker, bindings, self._queue)

    def refusal(self) -> str:
        """Why it must not begin; empty if it may."""
        return f"another capture reads {self._queue}: wait until it has ended" if self.is_open() else ""

    def is_open(self) -> bool:
        """Whether the queue is still there."""
        return self._management.queue(self._queue) is not None

    def read(self, take: Take, seconds: float) -> str:
        """Hand over every request as if the firehose had shown its publishing."""
        connection = connect(self._broker.parameters())
        end = time.monotonic() + seconds
        try:
            channel = connection.channel()
            channel.basic_qos(prefetch_count=1_000)
            for method, properties, body in channel.consume(self._queue, exclusive=True, inactivity_timeout=ROUND):
                if method is not None:
                    take(time.time(), f"publish.{method.exchange}", _headers(method, properties), body)
                    channel.basic_ack(method.delivery_tag)
                if time.monotonic() >= end:
                    break
            channel.cancel()
        except (AMQPError, OSError) as error:
            raise Retry(f"RabbitMQ: {error or type(error).__name__}", after=2.0) from error
        finally:
            if connection.is_open:
                connection.close()
        return ""

    def close(self, take: Take, taken: int) -> Ended:
        """Remove the queue."""
        self._management.delete_queue(self._queue)
        return Ended(time.time(), 0)

    def connections(self) -> dict[str, str]:
        """No connection is seen in this mode."""
        return {}

    def facts(self) -> dict[str, Any]:
        """Replies are not seen: what that leaves unknown is no number; and the queues that need a look."""
        unknown = dict.fromkeys(("coverage", "replies", "failures", "unanswered", "heartbeats", "deliveries"))
        return {"mode": Mode.LIGHT} | unknown | queues_of_interest(self._management)


def _carries_requests(row: dict[str, Any]) -> bool:
    name = str(row["name"])
    if not name or name.startswith("amq."):
        return False
    return row["type"] == "topic" or (row["type"] == "fanout" and name.endswith("_fanout"))


def _headers(method: Any, properties: pika.BasicProperties) -> Headers:
    return Headers(
        exchange_name=method.exchange,
        routing_keys=(method.routing_key,),
        properties=Properties(expiration=properties.expiration, headers=properties.headers or None),
    )
