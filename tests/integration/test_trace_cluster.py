"""A full capture on a cluster of two nodes: all of its traffic is seen, or it is said what was not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pika
import pytest

from functions.rpc_trace.analysis import Analysis
from functions.rpc_trace.capture import Capture
from functions.rpc_trace.consumer import QueueReader
from functions.rpc_trace.light import LightCapture
from functions.rpc_trace.report import report
from functions.rpc_trace.sighting import Headers, sighting
from shared.errors import Permanent, Retry
from shared.rabbit import QUEUE, Broker, Management, disarm_abandoned, find_broker
from shared.rabbit.firehose import mark_name
from tests.support.captures import awaited
from tests.support.messaging import Bus, bus_on
from tests.support.rabbit import Rabbit, RabbitMissing
from tests.support.rabbit_cluster import Cluster

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes."""
    try:
        found = Cluster()
    except RabbitMissing as error:
        pytest.fail(str(error), pytrace=False)
    yield found
    found.close()


@pytest.fixture(autouse=True)
def _clean(cluster: Cluster) -> Iterator[None]:
    """Each test finds both nodes as they should be, whatever an earlier one has left, and leaves them so."""
    broker = broker_of(cluster)
    management = Management(broker)
    management.set_tracing(False)
    management.delete_queue(QUEUE)
    management.set_parameter(mark_name(broker), None)
    yield
    assert cluster.armed() == [False, False]
    assert management.parameter(mark_name(broker)) is None
    assert QUEUE not in {row["name"] for row in cluster.nodes[0].ask("GET", "/queues/%2F?columns=name")}


def broker_of(cluster: Cluster, first: int = 0) -> Broker:
    """It, as a function finds it."""
    return find_broker("tests", cluster.environment(first))


class Reading:
    """A capture that is read slice by slice."""

    def __init__(self, broker: Broker) -> None:
        self.capture = Capture(broker, "test")
        self.analysis = Analysis()
        self.capture.open()

    def take(self, at: float, key: str, headers: Headers, body: bytes) -> None:
        """One message."""
        self.analysis.take(sighting(at, key, headers, body))

    def until(self, condition: Callable[[str], Any]) -> str:
        """Read until it holds of what the last slice said."""

        def look() -> bool:
            nonlocal why
            why = self.capture.read(self.take, 0.3)
            return bool(condition(why))

        why = ""
        awaited(look, "it was read")
        return why

    def end(self) -> dict[str, Any]:
        """The report."""
        ended = self.capture.close(self.take, self.analysis.statistics.events)
        self.analysis.end(ended.until, ended.dropped)
        return report(self.analysis)


@contextmanager
def buses(cluster: Cluster, *numbers: int) -> Iterator[list[Bus]]:
    """Clients and servers at these nodes."""
    with ExitStack() as stack:
        yield [stack.enter_context(bus_on(cluster.nodes[number])) for number in numbers]


def publish(node: Rabbit, first: int, last: int) -> None:
    """Numbered messages that no queue takes: one event each."""
    connection = pika.BlockingConnection(pika.URLParameters(node.url))
    channel = connection.channel()
    for number in range(first, last):
        channel.basic_publish("", "nowhere", str(number).encode())
    connection.close()


def test_all_nodes_are_armed_and_each_message_is_seen_once(cluster: Cluster) -> None:
    """Clients on one node and servers on the other: four events a call, and nothing is missing."""
    with buses(cluster, 0, 1) as (callers, servers):
        servers.serve("compute", "cmp01")
        callers.serve("volume", "vol01")
        calls = [callers.client("compute", "cmp01"), servers.client("volume", "vol01")]
        for client in calls:
            client.call({}, "ping")
        reading = Reading(broker_of(cluster))
        assert cluster.armed() == [True, True]
        for client in calls:
            for number in range(20):
                client.call({}, "ping", number=number)
        reading.until(lambda why: reading.analysis.statistics.events >= 160)
        found = reading.end()
    assert (found["events"], found["calls"], found["replies"], found["coverage"]) == (160, 40, 40, 100.0)
    assert found["verdicts"] == []
    assert cluster.armed() == [False, False]


def test_an_address_that_does_not_answer_is_passed_over_where_another_will_do(cluster: Cluster) -> None:
    """A light capture asks the next one; a full one is refused, since a node would be left out, and changes nothing."""
    known = cluster.environment()
    url = known["DROVER_RABBIT_URL"].replace("@", "@127.0.0.1:9,")
    second = known["DROVER_RABBIT_MANAGEMENT"].partition(",")[2]
    broker = find_broker(None, {"DROVER_RABBIT_URL": url, "DROVER_RABBIT_MANAGEMENT": f"http://127.0.0.1:9,{second}"})
    cluster.nodes[0].ask("PUT", "/exchanges/%2F/openstack", {"type": "topic", "durable": False})
    light = LightCapture(broker)
    light.open()
    light.read(lambda *message: None, 0.1)
    light.close(lambda *message: None, 0)
    with pytest.raises(Permanent, match=f"that of {cluster.nodes[0].node} can't be reached: name the management API"):
        Capture(broker, "test").open()


def test_all_nodes_of_a_dead_capture_are_disarmed(cluster: Cluster) -> None:
    """By whoever looks next, whichever node answers first."""
    Capture(broker_of(cluster), "dead").open()
    assert cluster.armed() == [True, True]
    broker = broker_of(cluster, first=1)
    assert disarm_abandoned(broker, Management(broker)) is None
    Management(broker).delete_queue(QUEUE)
    assert disarm_abandoned(broker, Management(broker)) == "dead"
    assert cluster.armed() == [False, False]


def test_a_node_whose_firehose_is_off_ends_the_capture(cluster: Cluster) -> None:
    """As that of a node is that was started again: what goes through it is not seen, and the report says so."""
    reading = Reading(broker_of(cluster))
    publish(cluster.nodes[1], 0, 50)
    reading.until(lambda why: reading.analysis.statistics.events == 50)
    cluster.nodes[1].ask("PUT", "/vhosts/%2F", {"tracing": False})
    publish(cluster.nodes[1], 50, 60)
    assert cluster.nodes[1].node in reading.until(bool)
    found = reading.end()
    assert found["events"] == 50
    assert found["coverage"] < 100


def test_a_stopped_node_that_comes_back_armed_is_disarmed_then(cluster: Cluster) -> None:
    """RabbitMQ keeps the firehose over stop_app; while the node is away another capture sees all there is."""
    first, second = cluster.nodes
    reading = Reading(broker_of(cluster))
    second.control("stop_app")
    try:
        assert f"{second.node} went down" in reading.until(bool)
        assert reading.end()["coverage"] < 100
        assert first.ask("GET", "/vhosts/%2F")["tracing"] is False
        assert disarm_abandoned(broker_of(cluster), Management(broker_of(cluster))) is None
        again = Reading(broker_of(cluster))
        publish(first, 0, 100)
        again.until(lambda why: again.analysis.statistics.events == 100)
        assert again.end()["coverage"] == 100.0
    finally:
        second.control("start_app")
        second.wait()
    assert cluster.armed() == [False, True]
    broker = broker_of(cluster)
    assert disarm_abandoned(broker, Management(broker)) == "test"
    assert disarm_abandoned(broker, Management(broker)) is None


def test_the_death_of_the_node_that_has_the_queue(cluster: Cluster) -> None:
    """The capture ends with the reason, and judges nothing by what it could not see: a healthy call gets no verdict."""
    second = cluster.nodes[1]
    try:
        with buses(cluster, 0) as (bus,):
            bus.serve("compute", "cmp01")
            client = bus.client("compute", "cmp01")
            client.call({}, "ping")
            reading = Reading(broker_of(cluster, first=1))
            client.call({}, "ping")
            caller = threading.Thread(target=answered_late, args=(bus,))
            caller.start()
            reading.until(lambda why: reading.analysis.statistics.events >= 6)
            second.stop(grace=0.0)
            caller.join()
            assert f"{second.node} went down" in reading.until(bool)
            time.sleep(1.5)  # the deadline has passed
            found = reading.end()
    finally:
        second.start()
        second.wait()
    assert found["coverage"] < 100
    assert not [verdict for verdict in found["verdicts"] if verdict["certain"]]
    broker = broker_of(cluster)
    assert cluster.armed() == [False, False]  # a node that was started again has forgotten it
    assert disarm_abandoned(broker, Management(broker)) is None


def answered_late(bus: Bus) -> None:
    """A call that is answered in time, though not before the node has died."""
    bus.client("compute", "cmp01", timeout=2.5).call({}, "late", seconds=1.2)


def test_a_management_api_that_fails_in_the_middle_repeats_nothing(cluster: Cluster) -> None:
    """The reading ends in order: what was read is acknowledged, and does not come again."""
    got: list[bytes] = []
    capture = Capture(broker_of(cluster), "test")
    capture.open()
    publish(cluster.nodes[0], 0, 3_000)
    reader = QueueReader(broker_of(cluster).parameters(), QUEUE, lambda at, key, headers, body: got.append(body))

    def fail(reader: QueueReader) -> bool:
        if len(got) > 500:
            raise Retry("RabbitMQ's management API does not answer")
        return False

    with pytest.raises(Retry, match="management API"):
        reader.run(5.0, fail)
    reader.run(1.0)
    capture.close(lambda *message: None, len(got))
    assert got == [str(number).encode() for number in range(3_000)]
