"""Joining what was seen into calls and casts: any order, any number of times, in bounded memory."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.rpc_trace import correlate
from functions.rpc_trace.call import Call, Cast, server_of, topic_of
from functions.rpc_trace.correlate import DISORDER, LATE, LINGER, Correlator
from functions.rpc_trace.report import report
from tests.support.firehose import BEGIN, CallStory, Event, analysed, cast, delivered, fanout


class Collected:
    """A correlator, and what it handed over."""

    def __init__(self, *events: Event) -> None:
        self.calls: list[Call] = []
        self.casts: list[Cast] = []
        self.correlator = Correlator(self.calls.append, self.casts.append)
        self.take(*events)

    def take(self, *events: Event) -> None:
        for event in events:
            self.correlator.take(event.sighting)


def tick(seconds: float) -> Event:
    """Something unrelated that comes later."""
    return cast(999_999, BEGIN + seconds)[0]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_a_call_is_joined_in_any_order(order: tuple[int, ...]) -> None:
    """All four sightings are of one call, with the same times."""
    events = CallStory(1, wait=0.5, work=1.0, back=0.25).events
    collected = Collected(*(events[number] for number in order))
    collected.correlator.end()
    (call,) = collected.calls
    assert call.is_complete
    assert (call.queue_wait, call.server_time, call.total) == (0.5, 1.0, 1.75)
    assert (call.method, call.topic, call.exchange, call.expiration) == ("ping", "compute", "nova", 60.0)
    assert (call.publisher, call.consumer, call.server, call.client) == (
        "client:out", "compute.cmp01:in", "compute.cmp01:out", "client:in",
    )  # fmt: skip
    assert call.reply_q == "reply_client"


def test_a_complete_call_is_handed_over_soon() -> None:
    """It lingers for what may come late, and no longer."""
    collected = Collected(*CallStory(1).events, tick(LINGER - 0.1))
    assert collected.calls == []
    collected.take(tick(LINGER + 2))
    assert len(collected.calls) == 1
    assert len(collected.correlator) == 1  # the tick


def test_an_answered_call_of_which_something_is_missing_waits_longer_and_not_for_ever() -> None:
    """What is missing may only be out of order."""
    request, taken, reply, answer = CallStory(1).events
    collected = Collected(answer, reply, taken, tick(DISORDER - 2))
    assert collected.calls == []
    collected.take(request, tick(DISORDER + LINGER + 2))
    assert [call.is_complete for call in collected.calls] == [True]
    lonely = Collected(answer, tick(DISORDER + 2))
    assert [call.published for call in lonely.calls] == [None]
    assert lonely.correlator.strangers == 1


def test_an_unanswered_call_waits_for_its_own_deadline() -> None:
    """One with a short deadline is given up before one with a long one."""
    short, long = CallStory(1, expiration=1.0), CallStory(2, expiration=500.0)
    collected = Collected(short.request, long.request, tick(1.0 + LATE - 1))
    assert collected.calls == []
    collected.take(tick(1.0 + LATE + 2))
    assert [call.msg_id for call in collected.calls] == ["msg-1"]
    collected.take(tick(500.0 + LATE + 2))
    assert [call.msg_id for call in collected.calls] == ["msg-1", "msg-2"]


def test_a_call_without_a_deadline_gets_the_usual_one() -> None:
    """60 s, as rpc_response_timeout has it."""
    collected = Collected(CallStory(1, expiration=None).request, tick(60.0 + LATE - 1))
    assert collected.calls == []
    collected.take(tick(60.0 + LATE + 2))
    assert collected.calls[0].deadline == BEGIN + 60.0


def test_redelivery_and_duplicates_change_no_time() -> None:
    """The first of each kind counts; all are numbered."""
    story = CallStory(1)
    again = delivered(story.request, 5.0, story.key, "another:in", redelivered=1)
    collected = Collected(*story.events[:2], again, *story.events[2:], *story.events)
    collected.correlator.end()
    (call,) = collected.calls
    assert call.deliveries == 3
    assert call.replies == 2
    assert call.consumer == "compute.cmp01:in"
    assert call.queue_wait == pytest.approx(0.002, abs=1e-6)


def test_a_request_sent_once_more_when_the_call_is_over_opens_none() -> None:
    """A publisher that lost its connection repeats what had arrived; ids of old calls are not kept for ever."""
    story = CallStory(1)
    collected = Collected(*story.events, tick(LINGER + 2), story.request.later(LINGER + 3))
    collected.correlator.end()
    assert [call.msg_id for call in collected.calls] == ["msg-1"]
    assert collected.calls[0].is_complete


def test_ids_of_calls_that_are_over_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last ones are remembered."""
    monkeypatch.setattr(correlate, "MOST_DONE", 10)
    collected = Collected(*(event for number in range(100) for event in CallStory(number, BEGIN + number).events))
    assert len(collected.correlator._done) == 10


def test_heartbeats_are_no_replies() -> None:
    """They are counted, and the call stays open."""
    story = CallStory(1)
    collected = Collected(*story.events[:2], *story.heartbeats(1.0, 2.0, 3.0))
    collected.correlator.end()
    (call,) = collected.calls
    assert (call.heartbeats, call.replied, call.answered) == (3, None, None)
    assert call.heartbeat == pytest.approx(BEGIN + 3.002)


def test_a_fanout_is_one_cast_with_many_deliveries() -> None:
    """Joined on its unique id."""
    collected = Collected(*fanout(1, servers=5), *cast(1))
    collected.correlator.end()
    many, one = collected.casts
    assert (many.fanout, many.deliveries, many.topic, len(many.consumers)) == (True, 5, "compute", 5)
    assert (one.fanout, one.deliveries, one.topic, one.queue) == (False, 1, "compute", "compute.cmp01")


def test_consumers_of_a_fanout_are_bounded() -> None:
    """A cloud of 10,000 hosts does not fill the memory."""
    collected = Collected(*fanout(1, servers=500))
    collected.correlator.end()
    assert collected.casts[0].deliveries == 500
    assert len(collected.casts[0].consumers) == 100


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the bound the oldest are given up, handed over and counted."""
    monkeypatch.setattr(correlate, "MOST_OPEN", 100)
    collected = Collected()
    for number in range(1000):
        collected.take(CallStory(number).request, cast(number)[0])
        assert len(collected.correlator) <= 100
    assert collected.correlator.evicted == 1900
    collected.correlator.end()
    assert len(collected.calls) == len(collected.casts) == 1000
    assert [call.msg_id for call in collected.calls[:3]] == ["msg-0", "msg-1", "msg-2"]


def test_what_is_due_does_not_pile_up() -> None:
    """A long capture keeps nothing of the calls that are over."""
    collected = Collected()
    for number in range(600):
        collected.take(*CallStory(number, BEGIN + number).events)
    assert len(collected.correlator) < 10
    assert len(collected.correlator._due) < 200


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_events_in_any_order_within_seconds_give_the_same_report(seed: int, calls: int) -> None:
    """Channels of the broker show things in the wrong order; nothing that is told depends on it."""
    events = [event for number in range(calls) for event in CallStory(number, BEGIN + number / 5).events]
    events += [event for number in range(calls) for event in [*cast(number, BEGIN + number / 7), *fanout(number)]]
    shuffled = list(events)
    random.Random(seed).shuffle(shuffled)
    assert report(analysed(shuffled, BEGIN + 100)) == report(analysed(events, BEGIN + 100))


@pytest.mark.parametrize(
    ("exchange", "key", "topic", "server"),
    [
        ("nova", "compute.cmp01", "compute", "cmp01"),
        ("nova", "compute.cmp01.example.org", "compute", "cmp01.example.org"),
        ("nova", "conductor", "conductor", ""),
        ("compute_fanout", "", "compute", ""),
        ("ironic", "ironic.conductor_manager.host1", "ironic.conductor_manager", "host1"),
        ("", "", "", ""),
    ],
)
def test_topic_and_server_of_a_routing_key(exchange: str, key: str, topic: str, server: str) -> None:
    """The first dot divides them, but for topics that have one of their own."""
    assert (topic_of(exchange, key), server_of(exchange, key)) == (topic, server)
