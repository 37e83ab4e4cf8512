"""Which share of the messages was seen, as far as what was seen tells."""

from __future__ import annotations

import json

import pytest

from functions.rpc_trace.coverage import Coverage
from functions.rpc_trace.report import report
from functions.rpc_trace.saved import dump, load
from tests.support.firehose import BEGIN, CallStory, analysed, cast

EARLY = [event for number in range(5) for event in CallStory(100 + number).events]
"""So that the capture has begun."""
LATE = CallStory(1, BEGIN + 20)


def coverage(*missing: int, dropped: int = 0) -> float:
    """Of some calls of which one is without these of its events."""
    events = [event for number, event in enumerate(LATE.events) if number not in missing]
    return float(report(analysed([*EARLY, *events], BEGIN + 300, dropped=dropped))["coverage"])


def test_whole_calls_are_100_percent() -> None:
    """Nothing is missing."""
    assert coverage() == 100.0


@pytest.mark.parametrize(
    ("missing", "seen", "lost"),
    [((0,), 23, 1), ((1,), 23, 1), ((2,), 23, 1), ((0, 2), 22, 2), ((0, 1, 2), 21, 1)],
)
def test_what_must_have_happened_is_missed(missing: tuple[int, ...], seen: int, lost: int) -> None:
    """An answer proves a reply, a reply a request, a delivery a publishing; rounded down."""
    assert coverage(*missing) == int(100_000 * seen / (seen + lost)) / 1000


@pytest.mark.parametrize("missing", [(3,), (1, 2, 3), (2, 3), (0, 1)])
def test_what_may_not_have_happened_is_not_missed(missing: tuple[int, ...]) -> None:
    """A call may be lost by itself: that is a verdict's matter; one that takes long may be older than the capture."""
    assert coverage(*missing) == 100.0


def test_what_began_before_the_capture_is_not_missed() -> None:
    """A reply right at the begin belongs to an earlier request."""
    events = CallStory(1).events
    assert report(analysed([*events[2:], *EARLY], BEGIN + 300))["coverage"] == 100.0
    assert report(analysed([*cast(1)[1:], *EARLY], BEGIN + 300))["coverage"] == 100.0


def test_a_cast_delivered_from_nowhere_is_missed() -> None:
    """It was published while the capture ran."""
    assert report(analysed([*EARLY, cast(1, BEGIN + 20)[1]], BEGIN + 300))["coverage"] < 100.0


def test_what_the_queue_dropped_is_missed() -> None:
    """The broker's number and what is missing are the same events, so the larger one counts."""
    assert coverage(dropped=24) == 50.0
    assert coverage(1, dropped=1) == coverage(1)


def test_never_100_percent_while_anything_is_missing() -> None:
    """Rounding must not hide one of a million."""
    found = Coverage()
    found.missing = 1
    assert found.percent(10_000_000, 0) < 100.0
    assert Coverage().percent(0, 0) == 100.0


def test_time_in_which_nobody_looked_is_missed() -> None:
    """A process died; another one went on."""
    analysis = analysed([], BEGIN)
    for event in EARLY:
        analysis.take(event.sighting)
    analysis.missed_until(BEGIN + 10)
    for event in LATE.events:
        analysis.take(event.sighting)
    analysis.end(BEGIN + 300)
    assert analysis.percent_seen == pytest.approx(50.0, abs=1.0)


def test_the_same_time_is_missed_once() -> None:
    """A process takes over, and then finds that the queue is gone too."""
    analysis = analysed(EARLY, BEGIN)
    for moment in (10, 10, 12):
        analysis.missed_until(BEGIN + moment)
    assert analysis.gap == pytest.approx(12.0, abs=0.1)


def test_what_came_of_a_call_while_nobody_looked_is_not_judged() -> None:
    """Its reply may have come then; a call whose deadline was over before, and one that began after, are judged."""
    lost = CallStory(1, expiration=2.0)
    spanning, after = CallStory(2, BEGIN + 9, expiration=30.0), CallStory(3, BEGIN + 40, expiration=5.0)
    analysis = analysed([], BEGIN)
    for event in (lost.request, lost.request_delivered, spanning.request, spanning.request_delivered):
        analysis.take(event.sighting)
    analysis.missed_until(BEGIN + 30)
    analysis = load(json.loads(json.dumps(dump(analysis))))
    for event in (after.request, after.request_delivered):
        analysis.take(event.sighting)
    analysis.end(BEGIN + 300)
    assert [(verdict.call.msg_id, verdict.certain) for verdict in analysis.verdicts] == [
        (lost.msg_id, True), (after.msg_id, True)
    ]  # fmt: skip
    assert analysis.in_flight == 1


def test_what_comes_after_the_end_of_the_time_is_no_loss() -> None:
    """New messages are left out while the last replies are waited for; they were read all the same."""
    analysis = analysed([], BEGIN)
    request, taken, reply, answer = LATE.events
    analysis.take(request.sighting)
    analysis.close_to_new()
    for event in (taken, CallStory(7, BEGIN + 20).request, reply, answer):
        analysis.take(event.sighting)
    analysis.end(BEGIN + 30)
    document = report(analysis)
    assert (document["events"], analysis.ignored, document["calls"], document["replies"]) == (4, 1, 1, 1)
    assert document["coverage"] == 100.0
