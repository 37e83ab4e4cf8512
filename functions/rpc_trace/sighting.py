"""One message as the firehose shows it: at the moment it was published, or delivered to a consumer.

The firehose's own form is in RabbitMQ's documentation (https://www.rabbitmq.com/docs/firehose): routing key
`publish.EXCHANGE` or `deliver.QUEUE`, the message's properties and where it went in the headers, the body as it was
sent. It tells no time. (A broker may be made to stamp messages, `timestamp_in_ms`, but a delivery then shows the time
of its publishing.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from functions.rpc_trace.message import FOREIGN, Message, read_body, unpack

PUBLISH, DELIVER = "publish.", "deliver."


class Properties(msgspec.Struct, gc=False, frozen=True):
    """The properties of the message itself."""

    expiration: str | None = None
    """Milliseconds, as AMQP has them; of a call it is what the caller waits."""
    headers: Mapping[str, Any] | None = None


class Headers(msgspec.Struct, gc=False, frozen=True):
    """What the firehose adds. `routed_queues` is None where a message was delivered."""

    exchange_name: str = ""
    routing_keys: tuple[str, ...] = ()
    routed_queues: tuple[str, ...] | None = None
    redelivered: int = 0
    connection: str = ""
    properties: Properties = Properties()


class Sighting(msgspec.Struct, gc=False, frozen=True):
    """A message at one place and time."""

    at: float
    """When it was read, in seconds since 1970."""
    published: bool
    """Else it was delivered."""
    queue: str
    """Where it was delivered from; empty for one that was published."""
    headers: Headers
    size: int
    """Bytes of the body as it was sent."""
    message: Message
    body: bytes | str
    """For whoever has to look deeper. It holds secrets: nothing of it is ever kept."""

    @property
    def key(self) -> str:
        """The routing key that it was published with."""
        keys = self.headers.routing_keys
        return keys[0] if keys else ""

    @property
    def expiration(self) -> float | None:
        """Seconds that the message may wait in a queue, and its caller for a reply."""
        text = self.headers.properties.expiration
        return int(text) / 1000.0 if text is not None and text.isdecimal() and len(text) < 12 else None


def sighting(at: float, routing_key: str, headers: Headers, body: bytes | str, size: int | None = None) -> Sighting:
    """Read one message of the firehose.

    Args:
        at: when it was read, in seconds since 1970.
        routing_key: `publish.…` or `deliver.…`; with another one it counts as published, and as foreign.
        size: of the body as it was sent, if `body` holds less.
    """
    length = len(body) if size is None else size
    inner = headers.properties.headers
    if inner and isinstance(compression := inner.get("compression"), str):
        body = unpack(body if isinstance(body, bytes) else body.encode("latin-1", "replace"), compression)
    if routing_key.startswith(PUBLISH):
        return Sighting(at, True, "", headers, length, read_body(body), body)
    if routing_key.startswith(DELIVER):
        return Sighting(at, False, routing_key[8:], headers, length, read_body(body), body)
    return Sighting(at, True, "", headers, length, FOREIGN, body)
