"""Firehose events as RabbitMQ shows them, built piece by piece: for the tracer's tests."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from functions.rpc_trace.analysis import Analysis
from functions.rpc_trace.recording import headers_of
from functions.rpc_trace.sighting import Sighting, sighting

BEGIN = 1_800_000_000.0
"""Seconds since 1970 that everything in these tests begins at."""
DATE = "2.0"

Document = dict[str, Any]


@dataclass(frozen=True)
class Event:
    """One message of the firehose: `publish.EXCHANGE` or `deliver.QUEUE`, with the headers that RabbitMQ adds."""

    at: float
    key: str
    headers: Document
    body: str

    @property
    def sighting(self) -> Sighting:
        """As the analysis takes it."""
        return sighting(self.at, self.key, headers_of(self.headers), self.body)

    @property
    def line(self) -> str:
        """As a capture file holds it."""
        return json.dumps(
            {
                "t": self.at,
                "routing_key": self.key,
                "exchange": "amq.rabbitmq.trace",
                "properties": {},
                "headers": self.headers,
                "body": self.body,
            }
        )

    def later(self, seconds: float) -> Event:
        """The same at another time."""
        return replace(self, at=self.at + seconds)


def envelope(document: Mapping[str, Any]) -> str:
    """A body as oslo.messaging writes it: JSON inside JSON."""
    return json.dumps({"oslo.version": DATE, "oslo.message": json.dumps(document)})


def published(
    at: float, exchange: str, key: str, body: str, queues: Sequence[str] = (), connection: str = "client", **more: Any
) -> Event:
    """Somebody publishes; `queues` take it. `more` are properties of the message."""
    headers = {
        "exchange_name": exchange,
        "routing_keys": [key],
        "properties": {"content_type": "application/json", "headers": {}, **more},
        "node": "rabbit@mq1",
        "vhost": "/",
        "connection": connection,
        "channel": 1,
        "user": "openstack",
        "routed_queues": list(queues),
    }
    return Event(at, f"publish.{exchange}", headers, body)


def delivered(event: Event, seconds: float, queue: str, connection: str = "server", redelivered: int = 0) -> Event:
    """What was published comes to a consumer."""
    headers = {name: value for name, value in event.headers.items() if name != "routed_queues"}
    return Event(
        event.at + seconds,
        f"deliver.{queue}",
        headers | {"connection": connection, "redelivered": redelivered},
        event.body,
    )


@dataclass(frozen=True)
class CallStory:
    """A call and what became of it. Times are seconds: the request waits `wait`, the server works `work`.

    Its events are `request`, `request_delivered`, `reply`, `reply_delivered`, each a property.
    """

    number: int
    at: float = BEGIN
    method: str = "ping"
    topic: str = "compute"
    server: str = "cmp01"
    exchange: str = "nova"
    expiration: float | None = 60.0
    wait: float = 0.002
    work: float = 0.01
    back: float = 0.001
    args: Mapping[str, Any] = field(default_factory=dict)
    result: Any = None
    failure: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    client: str = ""
    queues: Sequence[str] | None = None

    @property
    def msg_id(self) -> str:
        """Joins request and reply."""
        return f"msg-{self.number}"

    @property
    def key(self) -> str:
        """Of the request; without a server any of the topic may take it."""
        return f"{self.topic}.{self.server}" if self.server else self.topic

    @property
    def reply_q(self) -> str:
        """The caller's own queue."""
        return f"reply_{self.client or 'client'}"

    @property
    def request(self) -> Event:
        """It is published."""
        document = {
            "method": self.method,
            "args": self.args,
            "version": "1.0",
            "_unique_id": f"request-{self.number}",
            "_msg_id": self.msg_id,
            "_reply_q": self.reply_q,
            "_timeout": None,
            **{f"_context_{name}": value for name, value in self.context.items()},
        }
        more = {} if self.expiration is None else {"expiration": str(int(self.expiration * 1000))}
        queues = [self.key] if self.queues is None else self.queues
        return published(
            self.at, self.exchange, self.key, envelope(document), queues, f"{self.client or 'client'}:out", **more
        )

    @property
    def request_delivered(self) -> Event:
        """A server takes it."""
        return delivered(self.request, self.wait, self.key, f"{self.key}:in")

    def reply_with(self, after: float, *, ending: bool = True, unique: str = "reply") -> Event:
        """A reply that is published so many seconds after the request's delivery."""
        document = {
            "result": self.result if ending else None,
            "failure": self.failure if ending else None,
            "ending": ending,
            "_msg_id": self.msg_id,
            "_unique_id": f"{unique}-{self.number}",
        }
        at = self.at + self.wait + after
        return published(at, "", self.reply_q, envelope(document), [self.reply_q], f"{self.key}:out")

    @property
    def reply(self) -> Event:
        """The server answers."""
        return self.reply_with(self.work)

    @property
    def reply_delivered(self) -> Event:
        """The caller takes the answer."""
        return delivered(self.reply, self.back, self.reply_q, f"{self.client or 'client'}:in")

    @property
    def events(self) -> list[Event]:
        """All four, in order."""
        return [self.request, self.request_delivered, self.reply, self.reply_delivered]

    def heartbeats(self, *after: float) -> list[Event]:
        """Replies that only say that the server is at work, published and delivered."""
        beats = [self.reply_with(seconds, ending=False, unique=f"beat{seconds}") for seconds in after]
        return [one for beat in beats for one in (beat, delivered(beat, self.back, self.reply_q))]

    def repeated(self, times: int) -> list[Event]:
        """The reply finds no queue, and is published again every 0.25 s."""
        return [self.reply.later(0.25 * number) for number in range(times)]


def failure(name: str = "ValueError", text: str = "secret text", module: str = "builtins") -> str:
    """What oslo.messaging puts into `failure`."""
    return json.dumps({"class": name, "module": module, "message": text, "tb": [text], "args": [text], "kwargs": {}})


def cast(
    number: int, at: float = BEGIN, method: str = "notify", key: str = "compute.cmp01", wait: float = 0.002, **more: Any
) -> list[Event]:
    """A request without a reply, to one server: published and delivered. `more` are fields of the message."""
    body = envelope({"method": method, "args": {}, "_unique_id": f"cast-{number}", **more})
    event = published(at, "nova", key, body, [key], "caster:out")
    return [event, delivered(event, wait, key, f"{key}:in")]


def fanout(
    number: int, at: float = BEGIN, topic: str = "compute", servers: int = 3, method: str = "tell"
) -> list[Event]:
    """A cast to all servers of a topic: published once, delivered once to each."""
    body = envelope({"method": method, "args": {}, "_unique_id": f"fanout-{number}"})
    queues = [f"{topic}_fanout_{server}" for server in range(servers)]
    event = published(at, f"{topic}_fanout", "", body, queues, "caster:out")
    return [event, *(delivered(event, 0.001, queue, f"{queue}:in") for queue in queues)]


def notification(number: int, at: float = BEGIN) -> list[Event]:
    """A notification, published and delivered."""
    document = {
        "event_type": "compute.instance.create.end",
        "payload": {},
        "message_id": str(number),
        "priority": "INFO",
    }
    event = published(at, "nova", "notifications.info", envelope(document), ["notifications.info"])
    return [event, delivered(event, 0.001, "notifications.info")]


def analysed(
    events: Iterable[Event], until: float | None = None, request_id: str | None = None, dropped: int = 0
) -> Analysis:
    """The analysis of events in this order, ended at `until`."""
    analysis = Analysis(request_id)
    for event in events:
        analysis.take(event.sighting)
    analysis.end(until, dropped)
    return analysis


def write(path: Path, events: Iterable[Event], *more: str) -> Path:
    """A capture file, gzipped if its name says so; `more` are lines as they are."""
    text = "".join(f"{line}\n" for line in [*(event.line for event in events), *more]).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path
