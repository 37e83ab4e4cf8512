"""A full capture on a real RabbitMQ: it never harms the broker, and leaves nothing behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pika
import pytest

from functions.rpc_trace import capture, consumer
from functions.rpc_trace.capture import Capture
from functions.rpc_trace.light import LightCapture
from functions.rpc_trace.sighting import Headers
from shared.errors import Permanent, Retry
from shared.rabbit import EXCHANGE, QUEUE, Management, disarm_abandoned
from shared.rabbit.firehose import mark_name
from tests.support.captures import Watching, awaited, broker_of, is_clean, made_clean, watching
from tests.support.rabbit import MEMORY, Rabbit

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(autouse=True)
def _clean(rabbit: Rabbit) -> Iterator[None]:
    """Each test finds the broker as it should be, and leaves it so."""
    made_clean(rabbit)
    yield
    assert is_clean(rabbit)


@contextmanager
def channel_on(rabbit: Rabbit) -> Iterator[Any]:
    """A client of its own."""
    connection = pika.BlockingConnection(broker_of(rabbit).parameters()[0])
    try:
        yield connection.channel()
    finally:
        if connection.is_open:
            connection.close()


def publish(rabbit: Rabbit, first: int, last: int) -> None:
    """Numbered messages that no queue takes: one event each."""
    with channel_on(rabbit) as channel:
        for number in range(first, last):
            channel.basic_publish("", "nowhere", str(number).encode())


class Numbers:
    """Takes events, and keeps their numbers."""

    def __init__(self) -> None:
        self.got: list[int] = []

    def __call__(self, at: float, key: str, headers: Headers, body: bytes) -> None:
        self.got.append(int(body))


def test_slices_hand_over_every_event_once(rabbit: Rabbit) -> None:
    """Whatever is under way when a slice ends comes in the next one, and never twice."""
    numbers, reading = Numbers(), Capture(broker_of(rabbit), "test")
    reading.open()
    sender = threading.Thread(target=publish, args=(rabbit, 0, 20_000))
    sender.start()
    for _ in range(40):
        assert reading.read(numbers, 0.1) == ""
    sender.join(60)
    ended = reading.close(numbers, len(numbers.got))
    assert numbers.got == list(range(20_000))
    assert ended.dropped == 0


def test_what_the_queue_had_no_room_for_is_counted(rabbit: Rabbit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that comes too late is told how much it has missed."""
    monkeypatch.setitem(capture.ARGUMENTS, "x-max-length", 1_000)
    monkeypatch.setattr(capture, "QUEUE_MESSAGES", 1_000)
    monkeypatch.setattr(consumer, "PREFETCH", 100)
    numbers, reading = Numbers(), Capture(broker_of(rabbit), "test")
    reading.open()
    publish(rabbit, 0, 3_000)
    reading.read(numbers, 1.0)
    ended = reading.close(numbers, len(numbers.got))
    assert numbers.got == list(range(2_000, 3_000))
    assert ended.dropped == 2_000


def test_a_lost_connection_loses_and_repeats_nothing(rabbit: Rabbit) -> None:
    """Somebody closes it by the management API while the reader is far behind."""
    numbers, reading = Numbers(), Capture(broker_of(rabbit), "test")
    reading.open()
    publish(rabbit, 0, 4_000)
    lost = threading.Event()

    def slow(at: float, key: str, headers: Headers, body: bytes) -> None:
        numbers(at, key, headers, body)
        if len(numbers.got) == 2_500:
            threading.Thread(target=close_connections, args=(rabbit, lost)).start()
        if 2_500 <= len(numbers.got) < 3_200:
            threading.Event().wait(0.001)

    with pytest.raises(Retry):
        reading.read(slow, 60.0)
    assert lost.wait(30)
    reading.read(numbers, 1.0)
    assert reading.close(numbers, len(numbers.got)).dropped == 0
    assert numbers.got == list(range(4_000))


def close_connections(rabbit: Rabbit, done: threading.Event) -> None:
    """Close those of captures, as soon as the API knows of them."""

    def rows() -> list[str]:
        found = rabbit.ask("GET", "/connections?columns=name,client_properties")
        return [row["name"] for row in found if row.get("client_properties", {}).get("connection_name") == "drover"]

    for name in awaited(rows, "the API knows the connection"):
        rabbit.ask("DELETE", f"/connections/{quote(name, safe='')}")
    done.set()


def test_a_capture_goes_on_after_lost_connections(rabbit: Rabbit) -> None:
    """With its report whole."""
    with watching(rabbit) as watch:
        publish(rabbit, 0, 500)
        awaited(lambda: watch.analysis.statistics.events == 500, "events were seen")
        close_connections(rabbit, threading.Event())
        awaited(lambda: watch.interruptions, "the connection was lost")
        publish(rabbit, 500, 1_000)
        awaited(lambda: watch.analysis.statistics.events >= 1_000, "events were seen again")
        report = watch.end()
    assert report["events"] == 1_000
    assert report["foreign"] == 1_000


def test_an_error_of_the_analysis_is_told_as_what_it_is(rabbit: Rabbit) -> None:
    """It is no lost connection, and the queue can be read again at once."""
    numbers, reading = Numbers(), Capture(broker_of(rabbit), "test")
    reading.open()
    publish(rabbit, 0, 100)

    def broken(at: float, key: str, headers: Headers, body: bytes) -> None:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError):
        reading.read(broken, 5.0)
    reading.read(numbers, 0.5)
    assert numbers.got == list(range(100))
    reading.close(numbers, 100)


def test_a_second_capture_is_refused(rabbit: Rabbit) -> None:
    """Full or light, while a full one runs; the first one is not disturbed."""
    broker = broker_of(rabbit)
    with watching(rabbit) as watch:
        with pytest.raises(Permanent, match="capture test has the firehose"):
            Capture(broker, "other").open()
        with pytest.raises(Permanent, match="another capture"):
            LightCapture(broker).open()
        publish(rabbit, 0, 10)
        awaited(lambda: watch.analysis.statistics.events == 10, "the first one sees")


def test_a_full_capture_is_refused_while_a_light_one_runs(rabbit: Rabbit) -> None:
    """Both would read the same queue."""
    light = LightCapture(broker_of(rabbit))
    rabbit.ask("PUT", "/exchanges/%2F/openstack", {"type": "topic", "durable": False})
    light.open()
    with pytest.raises(Permanent, match="another capture"):
        Capture(broker_of(rabbit), "other").open()
    light.close(Numbers(), 0)


def test_a_strangers_firehose_is_respected(rabbit: Rabbit) -> None:
    """It is neither taken over nor switched off."""
    rabbit.control("trace_on")
    try:
        with pytest.raises(Permanent, match="not by Drover"):
            Capture(broker_of(rabbit), "test").open()
        assert disarm_abandoned(broker_of(rabbit), Management(broker_of(rabbit))) is None
        assert rabbit.ask("GET", "/vhosts/%2F")["tracing"] is True
    finally:
        rabbit.control("trace_off")


def test_a_broker_short_of_memory_is_left_alone(rabbit: Rabbit) -> None:
    """Over half of its watermark nothing is armed, and a capture under way ends itself."""
    broker = broker_of(rabbit)
    (node,) = awaited(lambda: [one for one in Management(broker).nodes() if one.memory], "the memory is known")
    watch = Watching(rabbit)
    try:
        rabbit.control("set_vm_memory_high_watermark", "absolute", str(int(node.memory * 1.4)))
        refusal = awaited(lambda: Capture(broker, "test").firehose.burden(), "the broker's memory is short")
        assert "memory watermark" in refusal
        awaited(lambda: watch.note, "the capture ends itself")
        assert "memory watermark" in watch.note
        watch.end()
        with pytest.raises(Permanent, match="memory watermark"):
            Capture(broker, "test").open()
    finally:
        rabbit.control("set_vm_memory_high_watermark", "absolute", MEMORY)
        watch.capture.close(watch.take, 0)
    awaited(lambda: not Capture(broker, "test").firehose.burden(), "the broker is well again")


def test_a_capture_that_died_is_disarmed_by_whoever_looks(rabbit: Rabbit) -> None:
    """Its mark without its queue says so; while the queue is there it is left alone."""
    broker = broker_of(rabbit)
    management = Management(broker)
    dead = Capture(broker, "dead")
    dead.open()
    assert disarm_abandoned(broker, management) is None
    management.delete_queue(QUEUE)  # as RabbitMQ does by itself when nobody reads
    assert disarm_abandoned(broker, management) == "dead"
    assert is_clean(rabbit)


def test_disarming_is_left_to_who_has_the_mark(rabbit: Rabbit) -> None:
    """A capture whose mark somebody else has now takes nothing away from it."""
    broker = broker_of(rabbit)
    management = Management(broker)
    first = Capture(broker, "first")
    first.open()
    management.set_parameter(mark_name(broker), "second")
    first.close(Numbers(), 0)
    assert rabbit.ask("GET", "/vhosts/%2F")["tracing"] is True
    assert management.queue(QUEUE) is not None
    second = Capture(broker, "second")
    assert second.firehose.disarm()


def test_the_queue_is_bounded_and_expires(rabbit: Rabbit) -> None:
    """In messages and bytes, and by RabbitMQ's own clock."""
    reading = Capture(broker_of(rabbit), "test")
    reading.open()
    found = rabbit.ask("GET", f"/queues/%2F/{QUEUE}")
    arguments = found["arguments"]
    assert arguments["x-expires"] <= 20_000
    assert (arguments["x-max-length"], arguments["x-overflow"]) == (50_000, "drop-head")
    assert arguments["x-max-length-bytes"] == 256 * 1024 * 1024
    assert found["durable"] is False
    assert EXCHANGE == "amq.rabbitmq.trace"
    reading.close(Numbers(), 0)
