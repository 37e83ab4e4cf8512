"""What is counted: exactly, for each publishing; with quantiles within one percent; in bounded memory."""

from __future__ import annotations

import json
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.rpc_trace import statistics
from functions.rpc_trace.report import report
from functions.rpc_trace.statistics import OTHERS, Times
from tests.support.firehose import BEGIN, CallStory, analysed, cast, delivered, failure, fanout, notification, published

SECONDS = st.floats(0.0, 3600.0, allow_subnormal=False).map(lambda value: 0.0 if value < 1e-6 else value)


@given(st.lists(SECONDS, min_size=1, max_size=300), st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0]))
def test_quantiles_are_within_one_percent(values: list[float], quantile: float) -> None:
    """Of the value of that rank."""
    times = Times()
    for value in values:
        times.add(value)
    exact = sorted(values)[max(0, math.ceil(quantile * len(values)) - 1)]
    found = times.at(quantile)
    assert found is not None
    assert found == pytest.approx(exact, rel=0.0101, abs=1e-9)
    assert times.count == len(values)
    assert times.longest == max(values)


@given(st.lists(SECONDS, max_size=200))
def test_times_survive_being_saved(values: list[float]) -> None:
    """Saved as JSON, loaded, and gone on with: the same quantiles as if nothing had happened."""
    times, whole = Times(), Times()
    for value in values:
        times.add(value)
        whole.add(value)
    loaded = Times.load(json.loads(json.dumps(times.dump())))
    for value in values[:7]:
        loaded.add(value)
        whole.add(value)
    assert loaded.count == whole.count
    assert loaded.longest == whole.longest
    assert [loaded.at(one) for one in (0.0, 0.5, 0.9, 0.99, 1.0)] == [
        whole.at(one) for one in (0.0, 0.5, 0.9, 0.99, 1.0)
    ]


def test_no_time_has_no_quantile() -> None:
    """Nothing was counted."""
    times = Times()
    times.add(None)
    assert (times.at(0.5), times.count, times.dump()) == (None, 0, [])


def test_a_sketch_is_bounded() -> None:
    """Whatever the times are, from a nanosecond to a year."""
    times = Times()
    for number in range(100_000):
        times.add(1e-9 * 1.0004**number)
    assert len(times.dump()) <= statistics.MOST_STEPS + 2


def test_each_publishing_counts() -> None:
    """A request, a reply or a failure that is published twice counts twice; a delivery never does."""
    failed = CallStory(2, failure=failure())
    events = [*CallStory(1).events, CallStory(1).request, *failed.events, failed.reply]
    events += [*cast(1), cast(1)[0], *fanout(1, servers=3), *notification(1), *CallStory(3).heartbeats(1.0)]
    events += [published(BEGIN, "x", "y", "foreign")]
    document = report(analysed(events, BEGIN + 300))
    assert document["events"] == len(events)
    assert (document["calls"], document["casts"], document["fanouts"]) == (3, 3, 1)
    assert (document["replies"], document["failures"], document["heartbeats"]) == (3, 2, 1)
    assert (document["notifications"], document["foreign"]) == (1, 1)
    assert document["deliveries"] == 4 + 1 + 3 + 1 + 1
    rows = {row["method"]: row for row in document["methods"]}
    assert (rows["ping"]["calls"], rows["ping"]["failures"], rows["notify"]["casts"]) == (3, 2, 2)
    assert rows["ping"]["errors"] == {"builtins.ValueError": 2}
    assert (rows["tell"]["casts"], rows["tell"]["fanouts"], rows["tell"]["copies"]) == (1, 1, 3)
    assert document["fanout_amplification"] == 3.0


def test_unanswered_calls_and_timeouts() -> None:
    """Unanswered is a call without an ending reply, a timeout one whose caller was left alone."""
    slow = CallStory(1, expiration=1.0, work=2.0)
    stuck, beating = CallStory(2), CallStory(3)
    events = [*slow.events, *stuck.events[:2], *beating.events[:2], *beating.heartbeats(1.0), *CallStory(4).events]
    document = report(analysed(events, BEGIN + 300))
    assert document["unanswered"] == 2
    (row,) = document["methods"]
    assert (row["unanswered"], row["timeouts"]) == (2, 3)
    (server,) = document["servers"]
    assert (server["calls"], server["answered"], server["timeouts"]) == (4, 2, 3)


def test_times_of_a_method() -> None:
    """Queue wait, server time and total, each with its quantiles."""
    events = [event for number in range(100) for event in
              CallStory(number, wait=0.1, work=number / 100, back=0.05).events]  # fmt: skip
    (row,) = report(analysed(events, BEGIN + 300))["methods"]
    assert row["queue_wait"]["p50"] == pytest.approx(0.1, rel=0.01)
    assert row["server_time"]["p90"] == pytest.approx(0.89, rel=0.011)
    assert row["p99"] == pytest.approx(0.15 + 0.98, rel=0.01)
    assert row["max"] == pytest.approx(0.15 + 0.99)


def test_methods_are_told_apart_by_service_topic_and_name_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after the bound is counted together, and the sum stays exact."""
    monkeypatch.setattr(statistics, "MOST_METHODS", 10)
    events = [event for number in range(50) for event in CallStory(number, method=f"m{number}").events]
    rows = report(analysed(events, BEGIN + 300))["methods"]
    assert len(rows) == 11
    assert {row["method"]: row["calls"] for row in rows}[OTHERS] == 40
    assert sum(row["calls"] for row in rows) == 50


def test_servers_and_publishers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that takes a new name for each message does not fill the memory."""
    monkeypatch.setattr(statistics, "MOST_NAMES", 10)
    events = [event for number in range(50) for event in CallStory(number, server=f"s{number}").events]
    analysis = analysed(events, BEGIN + 300)
    assert len(analysis.statistics.servers) == 11
    assert len(analysis.statistics.publishers) == 11
    assert sum(tally.calls for tally in analysis.statistics.servers.values()) == 50
    assert sum(row["messages"] for row in report(analysis)["publishers"]) == 100


def test_who_floods() -> None:
    """The connection that publishes most comes first, with its share."""
    events = [published(BEGIN, "x", "y", "z" * 10, connection="flood") for _ in range(9)]
    events.append(published(BEGIN, "x", "y", "z", connection="calm"))
    first, second = report(analysed(events))["publishers"]
    assert (first["connection"], first["messages"], first["bytes"], first["share"]) == ("flood", 9, 90, 90.0)
    assert second["connection"] == "calm"


def test_redeliveries_are_counted() -> None:
    """They tell of servers that died with a message."""
    story = CallStory(1)
    document = report(analysed([*story.events, delivered(story.request, 1.0, story.key, redelivered=1)], BEGIN + 300))
    assert (document["deliveries"], document["redelivered"]) == (3, 1)


def test_a_report_of_nothing() -> None:
    """A quiet broker is no error."""
    document = report(analysed([], BEGIN))
    assert (document["events"], document["coverage"], document["methods"], document["seconds"]) == (0, 100.0, [], 0.0)


def test_a_report_of_one_method() -> None:
    """Only its rows and verdicts; the counts stay those of all."""
    events = [
        CallStory(1, method="ping").request,
        CallStory(2, method="pong").request,
        CallStory(3, method="sing").request,
    ]
    document = report(analysed(events, BEGIN + 300), method="p?ng")
    assert {row["method"] for row in document["methods"]} == {"ping", "pong"}
    assert Counter(row["method"] for row in document["verdicts"]) == {"ping": 1, "pong": 1}
    assert document["calls"] == 3
    assert len(report(analysed(events, BEGIN + 300), 1)["verdicts"]) == 1
