"""How fast firehose messages are read from a real broker, decoded and correlated, against plain pika on the same queue.

    .venv/bin/python bench/tracer.py [--events 100000] [--json]

A RabbitMQ of its own gets a queue of firehose messages (bodies of 2.7 kB on average, calls and replies of Nova's kind,
each with ids of its own). In the same run, one process each time, the queue is read

1. by plain pika: SelectConnection, its own decoding, a callback that counts (the reference);
2. by Drover: the same connection, decoded, joined into calls, counted and judged.

Nothing is acknowledged by the first, so that the second finds the same messages. Then the same messages are replayed
from a file, and memory is measured over `--memory-events` replayed ones.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from functions.rpc_trace.analysis import Analysis  # noqa: E402
from functions.rpc_trace.consumer import QueueReader  # noqa: E402
from tests.support.rabbit import Rabbit  # noqa: E402

QUEUE = "bench"
BODY = 2_700
"""Bytes of a body on average, as measured at a real cloud."""
HOSTS, METHODS = 200, 12


def messages(number: int, seed: int = 1) -> Iterator[dict[str, Any]]:
    """So many firehose messages: of each call its request and its reply, published and delivered."""
    draw = random.Random(seed)
    at = 1_700_000_000.0
    made = 0
    while made < number:
        at += 0.0002
        host = draw.randrange(HOSTS)
        msg_id, unique = uuid.UUID(int=draw.getrandbits(128)).hex, uuid.UUID(int=draw.getrandbits(128)).hex
        reply_q = f"reply_{host:032x}"
        sender, server = f"10.0.0.{host}:4{host:04d} -> 10.1.0.1:5672", f"10.0.1.{host}:5{host:04d} -> 10.1.0.1:5672"
        request = {
            "method": f"method_{draw.randrange(METHODS)}", "args": {"instance": "x" * draw.randrange(BODY * 2 - 800)},
            "version": "1.0", "_msg_id": msg_id, "_reply_q": reply_q, "_timeout": None, "_unique_id": unique,
            "_context_request_id": f"req-{uuid.UUID(int=draw.getrandbits(128))}", "_context_auth_token": "y" * 180,
        }  # fmt: skip
        reply = {"result": {"value": "z" * draw.randrange(BODY * 2)}, "failure": None, "ending": True, "_msg_id": msg_id,
                 "_unique_id": uuid.UUID(int=draw.getrandbits(128)).hex}  # fmt: skip
        key = f"compute.cmp{host:03d}"
        steps = (
            ("publish.nova", "nova", key, sender, [key], request, "60000"),
            (f"deliver.{key}", "nova", key, server, None, request, "60000"),
            ("publish.", "", reply_q, server, [reply_q], reply, None),
            (f"deliver.{reply_q}", "", reply_q, sender, None, reply, None),
        )
        for offset, (trace_key, exchange, routing, connection, routed, inner, expiration) in enumerate(steps):
            yield _message(at + offset * 0.002, trace_key, exchange, routing, connection, routed, inner, expiration)
            made += 1


def _message(
    at: float, trace_key: str, exchange: str, key: str, connection: str, routed: list[str] | None, inner: dict[str, Any],
    expiration: str | None,
) -> dict[str, Any]:  # fmt: skip
    properties: dict[str, Any] = {"content_type": "application/json", "content_encoding": "utf-8", "headers": {},
                                  "delivery_mode": 2, "priority": 0}  # fmt: skip
    if expiration:
        properties["expiration"] = expiration
    headers: dict[str, Any] = {"exchange_name": exchange, "routing_keys": [key], "properties": properties,
                               "node": "rabbit@broker-1", "vhost": "/", "connection": connection, "channel": 1,
                               "user": "nova"}  # fmt: skip
    headers["redelivered" if routed is None else "routed_queues"] = 0 if routed is None else routed
    body = json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(inner)})
    return {"t": round(at, 4), "routing_key": trace_key, "exchange": "amq.rabbitmq.trace", "properties": {},
            "headers": headers, "body": body}  # fmt: skip


def fill(url: str, number: int) -> float:
    """Put the messages into the queue; returns the mean size of a body."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.exchange_declare("trace", "topic")
    channel.queue_declare(QUEUE, arguments={"x-max-length": number * 2})
    channel.queue_bind(QUEUE, "trace", "#")
    size = 0
    for message in messages(number):
        size += len(message["body"])
        channel.basic_publish("trace", message["routing_key"], message["body"].encode(),
                              pika.BasicProperties(headers=message["headers"]))  # fmt: skip
    while channel.queue_declare(QUEUE, passive=True).method.message_count < number:
        time.sleep(0.2)
    connection.close()
    return size / number


class Watch:
    """Wall and processor time from the first message to the last."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.seen = 0
        self._begin = (0.0, 0.0)
        self.wall = self.cpu = 0.0

    def count(self) -> bool:
        """One more message; True if it was the last."""
        if not self.seen:
            self._begin = time.perf_counter(), time.process_time()
        self.seen += 1
        if self.seen < self.number:
            return False
        self.wall, self.cpu = time.perf_counter() - self._begin[0], time.process_time() - self._begin[1]
        return True


def plain(url: str, number: int) -> Watch:
    """Let plain pika read the queue."""
    watch = Watch(number)

    def count(channel: Any, _method: Any, _properties: Any, _body: bytes) -> None:
        if watch.count():
            channel.connection.close()

    connection = pika.SelectConnection(
        pika.URLParameters(url),
        lambda opened: opened.channel(on_open_callback=lambda channel: channel.basic_consume(QUEUE, count)),
        on_close_callback=lambda closed, _reason: closed.ioloop.stop(),
    )
    connection.ioloop.start()
    return watch


def traced(url: str, number: int) -> Watch:
    """Let Drover read the queue, decode and correlate."""
    analysis, watch = Analysis(), Watch(number)

    def take(event: Any) -> None:
        analysis.take(event)
        watch.count()

    reader = QueueReader(pika.URLParameters(url), QUEUE, take, lambda: watch.seen >= number)
    reader.run(120)
    analysis.end(time.time())
    assert analysis.statistics.events == number, (analysis.statistics.events, number)
    assert not analysis.causes, analysis.causes
    return watch


def show(name: str, watch: Watch) -> None:
    print(f"{name}: {watch.number / watch.wall:.0f}/s, {watch.number / watch.cpu:.0f}/s of processor time")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=100_000)
    options = parser.parse_args()
    broker = Rabbit()
    try:
        print("mean", fill(broker.url, options.events))
        for _ in range(2):
            show("plain", plain(broker.url, options.events))
        show("traced", traced(broker.url, options.events))
    finally:
        broker.close()
