"""The watch over RPC on a real RabbitMQ, as a function's engine runs it: rounds, totals, full captures when needed."""

from __future__ import annotations

import dataclasses
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import oslo_messaging
import pytest

from functions.rpc_trace.own import WATCH_QUEUE
from functions.rpc_trace.trace import Trace
from functions.rpc_trace.watch import TraceWatch
from shared.events import Event
from shared.operations import Engine, Kind, Limits
from shared.operations.reads import operation_document
from shared.rabbit import Broker
from shared.store import Database, Operation, create
from tests.support.captures import Commands, awaited, broker_of, is_clean, made_clean, watching
from tests.support.messaging import Bus, bus_on
from tests.support.rabbit import Rabbit

pytestmark = pytest.mark.timeout(150)

WATCH = "io.drover.trace-watch.requested"
FAST: dict[str, Any] = {"every": 10, "seconds": 2, "full_seconds": 4, "full_again": 300}


@pytest.fixture(scope="module")
def bus(rabbit: Rabbit) -> Iterator[Bus]:
    """Clients and servers."""
    with bus_on(rabbit) as found:
        found.serve("compute", "cmp01")
        found.client("compute", "cmp01").call({}, "ping", warm="up")
        yield found


class Watched:
    """One function with a store of its own, and the operation of its watch."""

    def __init__(self, brokers: list[Broker], path: Path) -> None:
        self.database: Database = create(f"sqlite:///{path / 'store.db'}")
        by_name = {broker.name: broker for broker in brokers}
        find = lambda name: by_name[str(name)]  # noqa: E731
        kinds: list[Kind] = [Trace(find=find), TraceWatch(find=find, every=lambda: brokers)]
        self.engine = Engine(self.database, kinds, limits=Limits(slice_seconds=0.0))
        self._number = 0

    def ask(self, type: str = WATCH, **data: Any) -> Event:
        """Send an event; the reply."""
        self._number += 1
        reply = self.engine.handle(Event(f"e{self._number}", "/ping", type, data, None, datetime.now(UTC)))
        assert reply is not None
        return reply

    def work(self, operation: str, seconds: float) -> dict[str, Any]:
        """Let the operation go on for so long; its document."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.engine.work(0.0, operation) is None:
                time.sleep(0.05)
        return self.document(operation)

    def until(self, operation: str, condition: Any, what: str) -> dict[str, Any]:
        """Let it go on until its summary is as wanted."""

        def look() -> Any:
            self.engine.work(0.0, operation)
            summary = self.document(operation)["summary"]
            return summary if condition(summary) else None

        found: dict[str, Any] = awaited(look, what, 60.0)
        return found

    def document(self, operation: str) -> dict[str, Any]:
        """As a GET shows it."""
        with self.database.reading() as session:
            stored = session.get(Operation, operation)
            assert stored is not None
        return operation_document(self.engine.kinds[stored.kind], stored, [])


@pytest.fixture
def watched(rabbit: Rabbit, bus: Bus, tmp_path: Path) -> Iterator[Watched]:
    """On a clean broker, which is clean again afterwards."""
    made_clean(rabbit)
    found = Watched([broker_of(rabbit)], tmp_path)
    yield found
    assert awaited(lambda: is_clean(rabbit), "the broker is as before", 40.0)
    assert WATCH_QUEUE not in {row["name"] for row in rabbit.ask("GET", "/queues/%2F?columns=name")}
    found.database.close()


@contextmanager
def again_and_again(*works: Callable[[], Any]) -> Iterator[None]:
    """Do these in turn, in a thread beside the test."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.02):
            for each in works:
                each()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(30)


def metrics(watched: Watched) -> str:
    """What a scrape of whoever has the tick would show."""
    watched.engine.handle(Event(f"t{time.monotonic()}", "/ping", "io.drover.tick", {}))
    return "".join(
        f"{sample.name}{sorted(sample.labels.items())} {sample.value}\n"
        for family in watched.engine.metrics.registry.collect()
        for sample in family.samples
        if family.name.startswith("drover_rpc")
    )


def test_rounds_feed_the_statistics(watched: Watched, bus: Bus) -> None:
    """Two rounds of healthy traffic are added up and shown as metrics; a second request finds the watch that lives."""
    operation = watched.ask(**FAST).data["operation"]
    assert watched.ask(**FAST).data["operation"] == operation
    client = bus.client("compute", "cmp01")
    with again_and_again(lambda: client.call({}, "ping", x=1), lambda: client.cast({}, "tell", x=1)):
        summary = watched.until(operation, lambda summary: summary["totals"].get("rounds") == 2, "two rounds")
    totals = summary["totals"]
    assert (totals["rounds"], totals["signs"], totals.get("full", 0)) == (2, 0, 0)
    calls, casts = totals["methods"]["openstack|compute|ping"], totals["methods"]["openstack|compute|tell"]
    assert calls[0] > 1
    assert casts[1] > 1
    shown = metrics(watched)
    assert (
        f"('kind', 'call'), ('method', 'ping'), ('service', 'openstack'), ('topic', 'compute')] {calls[0]:.1f}" in shown
    )
    assert "drover_rpc_watch_seconds_total[('cloud', 'tests')] 4.0" in shown
    watched.ask("io.drover.operation.cancel.requested", operation=operation, reason="over")
    assert watched.work(operation, 0.5)["state"] == "cancelled"


def test_timeouts_arm_a_full_capture_once(watched: Watched, bus: Bus, rabbit: Rabbit) -> None:
    """Calls to a server that is gone: all is captured, the verdict told and kept; a second time it is not armed."""
    bus.stop(bus.serve("gone", "cmp02"))
    lost = bus.client("gone", "cmp02", timeout=1)

    def lose() -> None:
        with pytest.raises(oslo_messaging.MessagingTimeout):
            lost.call({}, "where")

    operation = watched.ask(**FAST).data["operation"]
    with again_and_again(lose, lambda: lost.cast({}, "tell")):  # which stays in the queue that nobody reads
        found = watched.until(operation, lambda summary: "found" in summary, "a full capture")["found"]
        again = watched.until(operation, lambda summary: summary["totals"]["rounds"] >= 3, "a round with signs again")
    assert again["rounds"][-1]["signs"]
    assert again["totals"]["full"] == 1
    assert any("gone.cmp02, and nobody takes from it" in text for text in found["signs"]), found["signs"]
    assert found["causes"].get("backlog")
    assert found["coverage"] == 100.0
    assert "('verdict', 'backlog')" in metrics(watched)
    watched.ask("io.drover.operation.cancel.requested", operation=operation, reason="over")
    assert watched.work(operation, 0.5)["state"] == "cancelled"
    for name in ("gone", "gone.cmp02"):
        rabbit.ask("DELETE", f"/queues/%2F/{name}")


def test_whoever_writes_of_a_timeout_is_heard(watched: Watched, bus: Bus) -> None:
    """A stuck server shows in no queue, but in messages that speak of the timeout. With 0 s nothing is armed."""
    operation = watched.ask(**{**FAST, "full_seconds": 0}).data["operation"]
    text = "MessagingTimeout: Timed out waiting for a reply to message ID 0d6a"
    with again_and_again(lambda: bus.client("compute", "cmp01").cast({}, "tell", fault=text)):
        summary = watched.until(operation, lambda summary: summary["totals"].get("rounds"), "a round")
    assert summary["totals"]["timeouts"] > 0
    assert "speak of a MessagingTimeout" in summary["rounds"][0]["signs"][0]
    assert "full" not in summary["totals"]
    watched.ask("io.drover.operation.cancel.requested", operation=operation, reason="over")
    assert watched.work(operation, 0.5)["state"] == "cancelled"


def test_a_person_may_capture_beside_it(watched: Watched, bus: Bus, rabbit: Rabbit) -> None:
    """The watch's own queue is no part of the traffic that a full capture sees, and spoils no verdict."""
    operation = watched.ask(**{**FAST, "seconds": 6}).data["operation"]
    watched.engine.work(0.0, operation)  # its queue is there from here on
    with watching(rabbit) as watch:
        client = bus.client("compute", "cmp01")
        for _ in range(50):
            client.call({}, "ping", x=1)
        with pytest.raises(oslo_messaging.MessagingTimeout):
            bus.client("nobody", "cmp99", timeout=1).call({}, "no_server")
        report = watch.end()
    assert (report["calls"], report["deliveries"], report["coverage"]) == (51, 100, 100.0)
    assert report["causes"] == {"no_route": 1}
    watched.ask("io.drover.operation.cancel.requested", operation=operation, reason="over")
    assert watched.work(operation, 0.5)["state"] == "cancelled"


def test_pausing_it_ends_what_it_captures(watched: Watched, rabbit: Rabbit) -> None:
    """Paused, it leaves nothing on the broker and begins nothing; resumed, it goes on."""
    operation = watched.ask(**FAST).data["operation"]
    watched.engine.work(0.0, operation)
    watched.ask("io.drover.operation.pause.requested", operation=operation, reason="an upgrade of RabbitMQ")
    assert watched.work(operation, 1.0)["state"] == "paused"
    assert WATCH_QUEUE not in {row["name"] for row in rabbit.ask("GET", "/queues/%2F?columns=name")}
    watched.ask("io.drover.operation.resume.requested", operation=operation, reason="done")
    rounds = watched.document(operation)["summary"]["totals"]["rounds"]
    watched.until(operation, lambda summary: summary["totals"]["rounds"] > rounds, "another round")
    watched.ask("io.drover.operation.cancel.requested", operation=operation, reason="over")
    assert watched.work(operation, 0.5)["state"] == "cancelled"


def test_a_broker_that_is_away_is_waited_for(rabbit: Rabbit, tmp_path: Path) -> None:
    """It is put off with the reason, and goes on living: nobody has to ask again."""
    broker = dataclasses.replace(broker_of(rabbit), hosts=(("127.0.0.1", 9),), management=("http://127.0.0.1:9",))
    away = Watched([broker], tmp_path)
    operation = away.ask(**FAST).data["operation"]
    document = away.work(operation, 0.3)
    assert (document["state"], "RabbitMQ" in document["note"]) == ("running", True)
    away.database.close()


def test_without_a_broker_nothing_is_watched(tmp_path: Path) -> None:
    """A schedule may ask where nothing is configured: the answer says what would be needed, and nothing is stored."""
    alone = Watched([], tmp_path)
    reply = alone.ask()
    assert reply.type == "io.drover.trace-watch.idle"
    assert "brokers.yaml" in reply.data["text"]
    alone.database.close()


def test_several_brokers_are_watched_at_once(rabbit: Rabbit, tmp_path: Path) -> None:
    """One request, an operation for each: their vhosts may have one name."""
    first = broker_of(rabbit)
    both = Watched([first, dataclasses.replace(first, name="other")], tmp_path)
    assert set(both.ask().data["together"]) == {"tests/", "other/"}
    both.database.close()


def test_the_command_shows_rounds(rabbit: Rabbit, bus: Bus, tmp_path: Path) -> None:
    """`drover trace watch` prints a line for each round, and Ctrl-C ends it and leaves a clean broker."""
    made_clean(rabbit)
    commands = Commands(rabbit, tmp_path)
    try:
        process = commands.begin("trace", "watch", "--seconds", "1", "--every", "10", "--json")
        assert process.stdout is not None
        line = ""
        while not line.rstrip().endswith("}") or line.count("{") != line.count("}"):
            line += process.stdout.readline()
        assert json.loads(line)["round"]["seconds"] == 1.0
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    finally:
        commands.close()
    assert is_clean(rabbit)
