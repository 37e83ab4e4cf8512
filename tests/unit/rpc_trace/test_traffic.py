"""Random traffic in random order with random losses, beside a count so simple that it can't be wrong."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from functions.rpc_trace.report import report
from tests.support.firehose import BEGIN, CallStory, Event, analysed, cast, failure, fanout, notification, published


def traffic(chance: random.Random) -> list[Event]:
    """A minute of it, less, in the order of time."""
    events: list[Event] = []
    for number in range(chance.randrange(1, 50)):
        story = CallStory(
            number, BEGIN + chance.uniform(0, 20), chance.choice(("ping", "pong")),
            chance.choice(("compute", "conductor")),
            chance.choice(("a", "b", "")), wait=chance.uniform(0, 0.1), work=chance.uniform(0, 1),
            failure=chance.choice((None, None, failure())),
        )  # fmt: skip
        events += story.events + story.heartbeats(*chance.choice(((), (0.5,))))
        events += chance.choice((cast, fanout, notification))(number, BEGIN + chance.uniform(0, 20))
        if chance.random() < 0.1:
            events.append(published(BEGIN + chance.uniform(0, 20), "x", "y", chance.choice(("", "{", "[1]"))))
    return sorted(events, key=lambda event: event.at)


def naive(events: list[Event]) -> dict[str, Any]:
    """Counts by looking at each event for itself, with Python's own JSON."""
    counts: Counter[str] = Counter()
    methods: Counter[tuple[str, str, str]] = Counter()
    asked, answered = set(), set()
    for event in events:
        counts["events"] += 1
        if not event.key.startswith("publish."):
            continue
        try:
            message = json.loads(json.loads(event.body)["oslo.message"])
        except (ValueError, KeyError, TypeError):
            counts["foreign"] += 1
            continue
        if "method" in message and "_msg_id" in message:
            counts["calls"] += 1
            asked.add(message["_msg_id"])
            methods[event.headers["routing_keys"][0].split(".")[0], message["method"], "calls"] += 1
        elif "method" in message:
            counts["casts"] += 1
            counts["fanouts"] += event.headers["exchange_name"].endswith("_fanout")
            topic = event.headers["routing_keys"][0].split(".")[0] or event.headers["exchange_name"][: -len("_fanout")]
            methods[topic, message["method"], "casts"] += 1
        elif "_msg_id" in message:
            counts["replies" if message["ending"] else "heartbeats"] += 1
            counts["failures"] += bool(message["failure"])
            if message["ending"]:
                answered.add(message["_msg_id"])
        else:
            counts["notifications"] += 1
    return {**counts, "unanswered": len(asked - answered), "methods": dict(methods)}


COUNTS = (
    "events",
    "calls",
    "casts",
    "fanouts",
    "replies",
    "heartbeats",
    "failures",
    "notifications",
    "foreign",
    "unanswered",
)


def told(events: list[Event]) -> dict[str, Any]:
    """The same numbers of a report."""
    document = report(analysed(events, BEGIN + 300))
    methods: Counter[tuple[str, str, str]] = Counter()
    for row in document["methods"]:
        for kind in ("calls", "casts"):
            if row[kind]:
                methods[row["topic"], row["method"], kind] += row[kind]
    return {**{name: document[name] for name in COUNTS if document[name]}, "methods": dict(methods)}


@settings(max_examples=150)
@given(st.integers(0, 2**32), st.floats(0, 0.5), st.booleans())
def test_counts_equal_a_naive_count(seed: int, loss: float, shuffled: bool) -> None:
    """Whatever was lost, repeated or shown in another order."""
    chance = random.Random(seed)
    events = [event for event in traffic(chance) if chance.random() >= loss]
    events += chance.sample(events, len(events) // 10)
    events = chance.sample(events, len(events)) if shuffled else sorted(events, key=lambda event: event.at)
    expected = {name: value for name, value in naive(events).items() if value or name == "methods"}
    assert told(events) == expected


@settings(max_examples=100)
@given(st.integers(0, 2**32))
def test_healthy_calls_have_no_verdict(seed: int) -> None:
    """But those with an exception, which say so; all was seen, and nothing was left over."""
    chance = random.Random(seed)
    events = traffic(chance)
    disordered = sorted(events, key=lambda event: event.at + chance.uniform(0, 0.5))
    analysis = analysed(disordered, BEGIN + 300)
    document = report(analysis)
    assert set(document["causes"]) <= {"server_exception"}
    assert len(document["verdicts"]) == document["failures"]
    assert document["coverage"] == 100.0
    assert (document["unanswered"], document["in_flight"], document["evicted"]) == (0, 0, 0)


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.integers(0, 60))
def test_a_capture_that_ends_anywhere_blames_nobody(seed: int, cut: int) -> None:
    """Calls that still have time when it ends are in flight."""
    events = traffic(random.Random(seed))
    events = events[: len(events) * cut // 60]
    if not events:
        return
    document = report(analysed(events, events[-1].at))
    assert set(document["causes"]) <= {"server_exception"}
    assert document["unanswered"] == document["in_flight"]
