"""Faults of real oslo.messaging clients and servers on RabbitMQ: each gets its verdict, and healthy calls none."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import oslo_messaging
import pytest

from tests.support.captures import Watching, awaited, is_clean, watching
from tests.support.messaging import Bus, bus_on
from tests.support.rabbit import Rabbit

pytestmark = pytest.mark.timeout(240)

HEALTHY, WORKERS = 10_000, 8
BEAT = 2
"""Seconds of call_monitor_timeout; a server beats twice as often."""


@pytest.fixture(scope="module")
def bus(rabbit: Rabbit) -> Iterator[Bus]:
    """Clients and servers."""
    with bus_on(rabbit) as found:
        yield found


def fails(call: Callable[[], Any], *errors: type[Exception]) -> None:
    """It must."""
    with pytest.raises(errors):
        call()


def no_server(bus: Bus) -> None:
    """A topic that nobody serves."""
    fails(lambda: bus.client("nobody", "cmp99", timeout=1).call({}, "no_server"), oslo_messaging.MessagingTimeout)


def dead_server(bus: Bus, rabbit: Rabbit) -> None:
    """A server that has ended, with its queues gone."""
    bus.stop(bus.serve("dead", "cmp01"))
    for name in ("dead", "dead.cmp01"):
        rabbit.ask("DELETE", f"/queues/%2F/{name}")
    fails(lambda: bus.client("dead", "cmp01", timeout=1).call({}, "dead_server"), oslo_messaging.MessagingTimeout)


def backlog(bus: Bus) -> None:
    """A server that has ended, with its queues still there."""
    bus.stop(bus.serve("left", "cmp01"))
    fails(lambda: bus.client("left", "cmp01", timeout=1).call({}, "backlog"), oslo_messaging.MessagingTimeout)


def stuck_server(bus: Bus) -> None:
    """A server that takes the call and does not come back."""
    fails(lambda: bus.client("compute", "cmp01", timeout=1).call({}, "hold_stuck"), oslo_messaging.MessagingTimeout)


def slow(bus: Bus) -> None:
    """A server that answers when its caller has given up."""
    client = bus.client("compute", "cmp01", timeout=1)
    fails(lambda: client.call({}, "late", seconds=1.6), oslo_messaging.MessagingTimeout)


def exception(bus: Bus) -> None:
    """A server that answers with an exception."""
    client = bus.client("compute", "cmp01")
    fails(lambda: client.call({}, "boom", text="pl4nted"), ValueError, oslo_messaging.RemoteError)


def killed_caller(bus: Bus, rabbit: Rabbit, method: str, queue_goes: bool) -> str:
    """A caller that dies while its call is under way; its reply queue, which is returned, stays or goes with it."""
    before = reply_queues(rabbit)
    caller = bus.call_from_elsewhere("compute", "cmp01", method, timeout=4)
    assert bus.gates[method].entered.wait(20)
    (queue,) = reply_queues(rabbit) - before
    caller.kill()
    caller.wait()
    if queue_goes:
        rabbit.ask("DELETE", f"/queues/%2F/{queue}")
    bus.gates[method].open.set()
    return queue


def reply_queues(rabbit: Rabbit) -> set[str]:
    """All there are."""
    return {row["name"] for row in rabbit.ask("GET", "/queues/%2F?columns=name") if row["name"].startswith("reply_")}


class Story:
    """What the capture has of all faults together."""

    def __init__(self, report: dict[str, Any]) -> None:
        self.report = report

    def verdicts(self, method: str) -> list[str]:
        """Of the calls of one method."""
        return [row["verdict"] for row in self.report["verdicts"] if row["method"] == method]


def make_faults(bus: Bus, rabbit: Rabbit) -> str:
    """All of them, beside calls that are well; returns the reply queue that is gone."""
    bus.serve("compute", "cmp01")
    bus.client("compute", "cmp01").call({}, "ping", warm="up")
    gone = killed_caller(bus, rabbit, "hold_gone", queue_goes=True)
    killed_caller(bus, rabbit, "hold_dead", queue_goes=False)
    faults: list[Callable[[], None]] = [
        lambda: no_server(bus), lambda: dead_server(bus, rabbit), lambda: backlog(bus), lambda: stuck_server(bus),
        lambda: slow(bus), lambda: exception(bus), lambda: beating(bus),
        *[lambda: healthy(bus, 50)] * 2,
    ]  # fmt: skip
    together(faults)
    return gone


def beating(bus: Bus) -> None:
    """A call that takes long, with heartbeats."""
    bus.client("compute", "cmp01", call_monitor_timeout=BEAT).call({}, "late", seconds=2.6)


def healthy(bus: Bus, number: int) -> None:
    """Calls that are answered at once."""
    client = bus.client("compute", "cmp01")
    for count in range(number):
        assert client.call({"request_id": "req-healthy"}, "ping", x=count) == {"x": count}


def together(works: list[Callable[[], None]]) -> None:
    """Do all at once; whatever fails is raised here."""
    errors: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(200)
    if errors:
        raise errors[0]


@pytest.fixture(scope="module")
def story(bus: Bus, rabbit: Rabbit) -> Story:
    """One capture of all faults."""
    with watching(rabbit) as watch:
        gone = make_faults(bus, rabbit)
        awaited(lambda: deadlines_are_over(watch), "the deadlines are over")
        report = watch.end()
    rabbit.ask("PUT", f"/queues/%2F/{gone}", {"durable": False})  # else the server would try for a minute
    awaited(lambda: rabbit.ask("GET", f"/queues/%2F/{gone}").get("messages"), "the reply has found its queue")
    return Story(report)


def deadlines_are_over(watch: Watching) -> bool:
    """Nothing may still come in time."""
    calls = watch.analysis.correlator.open()[0]
    return all(call.deadline is None or call.deadline < time.time() for call in calls if call.answered is None)


@pytest.mark.parametrize(
    ("method", "verdict"),
    [
        ("no_server", "no_route"),
        ("dead_server", "no_route"),
        ("backlog", "backlog"),
        ("hold_stuck", "server_stuck"),
        ("hold_gone", "caller_gone"),
        ("hold_dead", "client_stuck"),
        ("boom", "server_exception"),
    ],
)
def test_each_fault_gets_its_verdict(story: Story, method: str, verdict: str) -> None:
    """One call each, one verdict each."""
    assert story.verdicts(method) == [verdict]


def test_late_answers_are_slow_and_long_calls_are_not(story: Story) -> None:
    """Both take longer than usual; only one of them longer than its caller waits."""
    assert story.verdicts("late") == ["slow"]


def test_no_other_call_gets_one(story: Story) -> None:
    """The healthy ones, before, beside and after."""
    assert story.verdicts("ping") == []
    assert Counter(row["verdict"] for row in story.report["verdicts"]) == {
        "no_route": 2, "backlog": 1, "server_stuck": 1, "caller_gone": 1, "client_stuck": 1, "slow": 1,
        "server_exception": 1,
    }  # fmt: skip
    assert all(row["certain"] for row in story.report["verdicts"])


def test_heartbeats_are_counted_as_such(story: Story) -> None:
    """One call with call_monitor_timeout was under way."""
    assert story.report["heartbeats"] >= 1


def test_counts_and_coverage(story: Story) -> None:
    """Everything was seen; what has no reply is unanswered."""
    assert story.report["coverage"] == 100.0
    assert story.report["unanswered"] == 4
    assert {row["method"]: row["calls"] for row in story.report["methods"]}["ping"] == 101


def test_the_evidence_has_no_secret(story: Story) -> None:
    """The exception's text was one."""
    assert "pl4nted" not in str(story.report)
    assert "ValueError" in str(story.report)


def test_deaf_servers_and_lost_queues_are_told(story: Story) -> None:
    """In the words of an operator."""
    texts = [row["text"] for row in story.report["silent_servers"]]
    assert any("left on cmp01 left 1 calls in its queue" in text for text in texts)


def test_healthy_calls_have_no_verdict(bus: Bus, rabbit: Rabbit, story: Story) -> None:
    """10,000 of them, with casts and fanouts beside, seen whole; and nothing is left on the broker."""
    awaited(lambda: is_clean(rabbit), "the broker is as before")
    with watching(rabbit) as watch:
        together([lambda: healthy(bus, HEALTHY // WORKERS)] * WORKERS + [lambda: casts(bus)])
        report = watch.end()
    assert (report["calls"], report["replies"], report["casts"], report["fanouts"]) == (HEALTHY, HEALTHY, 200, 100)
    assert report["verdicts"] == []
    assert (report["coverage"], report["dropped"], report["unanswered"]) == (100.0, 0, 0)
    assert report["events"] == 4 * HEALTHY + 4 * 100
    assert is_clean(rabbit)


def casts(bus: Bus) -> None:
    """To one server, and to all of a topic: here that is one as well."""
    for number in range(100):
        bus.client("compute", "cmp01").cast({}, "tell", x=number)
        bus.client("compute", fanout=True).cast({}, "tell", x=number)
