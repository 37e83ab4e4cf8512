"""What is known of one call, and of one cast, from all the times that its messages were seen."""

from __future__ import annotations

import msgspec

ASSUMED_TIMEOUT = 60.0
"""Seconds that a caller waits if the message does not say so (oslo.messaging's rpc_response_timeout)."""
DOTTED_TOPICS = ("ironic.conductor_manager",)
"""Topics with a dot of their own; in all others the first dot divides topic and server."""


class Call(msgspec.Struct, gc=False):
    """A call, from its request to the delivery of its reply. Times are seconds since 1970; None: not seen."""

    msg_id: str
    seen: float
    """When anything of it was seen first."""
    method: str | None = None
    exchange: str = ""
    key: str = ""
    """Routing key of the request."""
    reply_q: str = ""
    request_id: str | None = None
    global_request_id: str | None = None
    size: int = 0
    """Bytes of the request."""

    published: float | None = None
    expiration: float | None = None
    """Seconds that the caller waits, as the request says."""
    routed: tuple[str, ...] | None = None
    """Queues that the request came into."""
    publisher: str = ""
    """Connection that the request was published on."""

    delivered: float | None = None
    queue: str = ""
    """Where the request was delivered from."""
    consumer: str = ""
    """Connection that it was delivered to."""
    deliveries: int = 0

    heartbeats: int = 0
    heartbeat: float | None = None
    """The last one."""

    replied: float | None = None
    """When the reply that completes it was published first."""
    replies: int = 0
    """How often: oslo.messaging repeats a reply that finds no queue."""
    reply_routed: tuple[str, ...] | None = None
    reply_size: int = 0
    server: str = ""
    """Connection that the reply was published on."""
    failures: int = 0
    failure: str = ""
    """Class of the exception."""

    answered: float | None = None
    """When the reply was delivered."""
    client: str = ""
    """Connection that it was delivered to."""

    arguments: dict[str, int] | None = None
    """Length of each argument in the JSON text, where the request is traced."""
    due: float = 0.0
    """When it is looked at again by the correlator."""

    @property
    def is_complete(self) -> bool:
        """Whether request and reply were each seen twice: published and delivered."""
        return None not in (self.published, self.delivered, self.replied, self.answered)

    @property
    def deadline(self) -> float | None:
        """When its caller gives up."""
        if self.published is None:
            return None
        return self.published + (ASSUMED_TIMEOUT if self.expiration is None else self.expiration)

    @property
    def topic(self) -> str:
        """Without the server."""
        return topic_of(self.exchange, self.key)

    @property
    def queue_wait(self) -> float | None:
        """Seconds from the request's publishing to its delivery."""
        return between(self.published, self.delivered)

    @property
    def server_time(self) -> float | None:
        """Seconds from the request's delivery to the reply."""
        return between(self.delivered, self.replied)

    @property
    def total(self) -> float | None:
        """Seconds from the request to the delivery of the reply, or to the reply if its delivery was not seen."""
        return between(self.published, self.replied if self.answered is None else self.answered)


class Cast(msgspec.Struct, gc=False):
    """A request without a reply, to one server or by fanout to all."""

    unique_id: str
    seen: float
    method: str | None = None
    exchange: str = ""
    key: str = ""
    fanout: bool = False
    request_id: str | None = None
    global_request_id: str | None = None
    size: int = 0
    published: float | None = None
    routed: tuple[str, ...] | None = None
    publisher: str = ""
    delivered: float | None = None
    """The first delivery."""
    last: float | None = None
    queue: str = ""
    consumers: tuple[str, ...] = ()
    """Connections that it was delivered to; of many the first `MOST_CONSUMERS`."""
    deliveries: int = 0
    arguments: dict[str, int] | None = None
    due: float = 0.0

    @property
    def topic(self) -> str:
        """Without the server."""
        return topic_of(self.exchange, self.key)

    @property
    def queue_wait(self) -> float | None:
        """Seconds from its publishing to its first delivery."""
        return between(self.published, self.delivered)


MOST_CONSUMERS = 100


def topic_of(exchange: str, key: str) -> str:
    """The topic of a request: of a fanout the exchange names it, else the routing key `TOPIC` or `TOPIC.SERVER`."""
    if not key and exchange.endswith("_fanout"):
        return exchange.removesuffix("_fanout")
    for topic in DOTTED_TOPICS:
        if key == topic or key.startswith(topic + "."):
            return topic
    return key.partition(".")[0]


def server_of(exchange: str, key: str) -> str:
    """The server that a routing key names; empty if any of the topic may take the request."""
    topic = topic_of(exchange, key)
    return key[len(topic) + 1 :] if key else ""


def between(begin: float | None, end: float | None) -> float | None:
    """Seconds, never negative: two channels of a broker may show things in the wrong order."""
    return None if begin is None or end is None else max(0.0, end - begin)
