"""What Knative does with answers and deliveries, where it is not what one expects; Drover's ways rest on it."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.knative.conftest import Sent
from tests.knative.support.cluster import Cluster
from tests.knative.support.receiver import Delivery, Reaction, Receiver

NAMESPACE = "drover-traps"
BROKER_YAML = Path(__file__).parents[2] / "deploy/base/broker.yaml"
TRAP = "io.drover.test.trap"
ECHO = "io.drover.test.echo"
RETRIES = 2
SETTLED = 2.0
"""Seconds after which nothing more comes: the retries take 0.6 s together."""


@pytest.fixture(scope="module")
def cluster(reachable: None) -> Iterator[Cluster]:
    """A namespace with Drover's own broker, with quicker retries."""
    cluster = Cluster(NAMESPACE)
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    broker, channel = yaml.safe_load_all(BROKER_YAML.read_text())
    broker["spec"]["config"]["namespace"] = NAMESPACE
    del broker["spec"]["delivery"]
    cluster.apply(channel, broker)
    cluster.ready("broker/drover")
    yield cluster
    cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")
    cluster.close()


@pytest.fixture
def letters(cluster: Cluster) -> Iterator[Receiver]:
    """Where dead letters go."""
    receiver = Receiver(cluster.machine())
    yield receiver
    receiver.close()


@pytest.fixture
def trap(cluster: Cluster, receiver: Receiver, letters: Receiver) -> Iterator[Receiver]:
    """The subscriber of the type TRAP, three tries, then the dead letter."""
    subscribe(cluster, "trap", TRAP, receiver, letters)
    yield receiver
    cluster.kubectl("delete", "trigger", "trap")


def subscribe(cluster: Cluster, name: str, type: str, to: Receiver, letters: Receiver, **delivery: Any) -> None:
    """Put a Trigger in place and wait until it works."""
    cluster.apply(
        {
            "apiVersion": "eventing.knative.dev/v1",
            "kind": "Trigger",
            "metadata": {"name": name, "namespace": cluster.namespace},
            "spec": {
                "broker": "drover",
                "filter": {"attributes": {"type": type}},
                "subscriber": {"uri": to.url},
                "delivery": {
                    "retry": RETRIES,
                    "backoffPolicy": "exponential",
                    "backoffDelay": "PT0.2S",
                    "deadLetterSink": {"uri": letters.url},
                    **delivery,
                },
            },
        }
    )
    cluster.ready(f"trigger/{name}")


def settle(receiver: Receiver, number: int, id: str) -> list[Delivery]:
    """Wait for so many deliveries of an event, and then whether more come."""
    end = time.monotonic() + 30
    while len(receiver.of(id=id)) < number and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(SETTLED)
    return receiver.of(id=id)


@pytest.mark.parametrize("status", [404, 408, 409, 429, 500, 503])
def test_what_is_delivered_again(cluster: Cluster, trap: Receiver, letters: Receiver, made: Sent, status: int) -> None:
    """A 503, which is Drover's "not now", is delivered again with growing pauses, then dead-lettered with its code."""
    trap.react = lambda _: Reaction(status, b'{"error": "the store does not answer"}')
    event = made(TRAP)
    assert cluster.to_broker(event).status_code == 202
    tries = settle(trap, RETRIES + 1, event.id)
    assert len(tries) == RETRIES + 1
    assert tries[2].at - tries[1].at > tries[1].at - tries[0].at > 0.15
    [letter] = letters.of(id=event.id)
    assert letter.headers["ce-knativeerrorcode"] == str(status)
    assert base64.b64decode(letter.headers["ce-knativeerrordata"]) == b'{"error": "the store does not answer"}'


@pytest.mark.parametrize("status", [400, 401, 403, 413])
def test_what_is_not(cluster: Cluster, trap: Receiver, letters: Receiver, made: Sent, status: int) -> None:
    """What Drover refuses (no event, no right, too large) is tried once and dead-lettered at once."""
    trap.react = lambda _: Reaction(status)
    event = made(TRAP)
    cluster.to_broker(event)
    assert len(settle(trap, 1, event.id)) == 1
    [letter] = letters.of(id=event.id)
    assert letter.headers["ce-knativeerrorcode"] == str(status)
    assert (letter.type, letter.headers["ce-source"]) == (TRAP, event.source)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"ok", {"content-type": "text/html; charset=utf-8"}),
        (b'{"state": "fine"}', {"content-type": "application/json"}),
    ],
    ids=["text", "dict"],
)
def test_an_answer_that_is_no_event_counts_as_a_failure(
    cluster: Cluster, trap: Receiver, letters: Receiver, made: Sent, body: bytes, headers: dict[str, str]
) -> None:
    """A 200 with any other body than a CloudEvent is delivered again and dead-lettered, without an error code."""
    trap.react = lambda _: Reaction(200, body, headers)
    event = made(TRAP)
    cluster.to_broker(event)
    assert len(settle(trap, RETRIES + 1, event.id)) == RETRIES + 1
    [letter] = letters.of(id=event.id)
    assert "ce-knativeerrorcode" not in letter.headers


@pytest.mark.parametrize("status", [200, 202, 204])
def test_an_empty_answer_ends_it(cluster: Cluster, trap: Receiver, letters: Receiver, made: Sent, status: int) -> None:
    """An empty 2xx, which is how Drover says "stored", ends the delivery."""
    trap.react = lambda _: Reaction(status)
    event = made(TRAP)
    cluster.to_broker(event)
    assert len(settle(trap, 1, event.id)) == 1
    assert letters.of(id=event.id) == []


def reply(type: str, id: str) -> dict[str, str]:
    """The headers of an event in an answer."""
    return {
        "ce-specversion": "1.0", "ce-id": id, "ce-source": "/tests/knative/reply", "ce-type": type,
        "content-type": "application/json",
    }  # fmt: skip


def test_replies_do_not_nest(cluster: Cluster, trap: Receiver, letters: Receiver, made: Sent) -> None:
    """A POST is answered before its delivery and all replies to it have ended, since the channel takes them apart."""
    event = made(TRAP)
    trap.react = lambda _: Reaction(200, b"{}", reply(ECHO, f"{event.id}-echo"), after=3.0)
    subscribe(cluster, "echo", ECHO, trap, letters)
    try:
        begin = time.monotonic()
        assert cluster.to_broker(event).status_code == 202
        assert time.monotonic() - begin < 2.0
        trap.react = lambda delivery: (
            Reaction(200, b"{}", reply(ECHO, f"{event.id}-echo"), after=3.0) if delivery.id == event.id else Reaction()
        )
        [echo] = settle(trap, 1, f"{event.id}-echo")
        assert echo.headers["ce-source"] == "/tests/knative/reply"
        assert len(trap.of(id=event.id)) == 1
    finally:
        cluster.kubectl("delete", "trigger", "echo")


def test_a_letter_after_a_timeout_says_nothing(
    cluster: Cluster, receiver: Receiver, letters: Receiver, made: Sent
) -> None:
    """A subscriber that does not answer in time leaves a dead letter without any of the error attributes."""
    receiver.react = lambda _: Reaction(after=4.0)
    subscribe(cluster, "slow", TRAP, receiver, letters, retry=0, timeout="PT1S")
    try:
        event = made(TRAP)
        cluster.to_broker(event)
        [letter] = settle(letters, 1, event.id)
        assert [name for name in letter.headers if name.startswith("ce-knativeerror")] == []
    finally:
        cluster.kubectl("delete", "trigger", "slow")


def test_what_reaches_a_subscriber(cluster: Cluster, trap: Receiver, made: Sent) -> None:
    """Deliveries keep the event's attributes and the trace, and lose all other headers, credentials too."""
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    event = made(TRAP, {"a": [1, 2.5, "ü"]}, droverhop="2")
    headers = {"traceparent": traceparent, "Authorization": "Bearer a-token", "X-Auth-Token": "another"}
    cluster.to_broker(event, headers)
    [delivery] = settle(trap, 1, event.id)
    assert delivery.data == event.data
    assert delivery.headers["ce-droverhop"] == "2"
    assert delivery.headers["traceparent"].split("-")[1] == traceparent.split("-")[1]
    assert not {"authorization", "x-auth-token"} & set(delivery.headers)
