"""Each cause of a lost, late or failed call, with its boundaries; and no verdict on a healthy one."""

from __future__ import annotations

import pytest

from functions.rpc_trace.analysis import Analysis
from functions.rpc_trace.verdict import Cause, Verdict
from tests.support.firehose import BEGIN, CallStory, Event, analysed, delivered, failure

AFTER = BEGIN + 300.0
STORY = CallStory(1)


def verdict(*events: Event, until: float | None = AFTER) -> Verdict | None:
    """The one verdict, if there is one."""
    analysis = analysed(events, until)
    assert sum(analysis.causes.values()) == len(analysis.verdicts)
    return analysis.verdicts[0] if analysis.verdicts else None


def cause(*events: Event, until: float | None = AFTER) -> Cause | None:
    """Its cause."""
    found = verdict(*events, until=until)
    return found.cause if found else None


def test_a_healthy_call_has_none() -> None:
    """Whether the capture ended long after, at once, or nobody knows when."""
    for until in (AFTER, BEGIN + 0.1, None):
        assert cause(*STORY.events, until=until) is None


def test_a_healthy_call_with_heartbeats_has_none() -> None:
    """They are part of a long call."""
    story = CallStory(1, work=50.0)
    assert cause(*story.events[:2], *story.heartbeats(10, 20, 30, 40), *story.events[2:]) is None


def test_no_route() -> None:
    """No queue took the request: that is certain at once."""
    found = verdict(CallStory(1, queues=[]).request, until=BEGIN + 0.1)
    assert found is not None
    assert (found.cause, found.certain, found.is_timeout) == (Cause.NO_ROUTE, True, True)
    assert "'compute.cmp01'" in found.evidence
    assert "'nova'" in found.evidence


def test_backlog() -> None:
    """A queue took it and nobody else did."""
    found = verdict(STORY.request)
    assert found is not None
    assert (found.cause, found.certain) == (Cause.BACKLOG, True)
    assert "compute.cmp01" in found.evidence


def test_server_stuck() -> None:
    """A server took it and nothing came back."""
    found = verdict(*STORY.events[:2])
    assert found is not None
    assert (found.cause, found.certain) == (Cause.SERVER_STUCK, True)
    assert "compute.cmp01" in found.evidence


def test_a_server_that_only_beats_is_stuck() -> None:
    """The evidence tells of the heartbeats."""
    found = verdict(*STORY.events[:2], *STORY.heartbeats(15, 30))
    assert found is not None
    assert found.cause is Cause.SERVER_STUCK
    assert "2 heartbeats, the last after 30.0 s" in found.evidence


def test_a_request_delivered_again_and_again() -> None:
    """Servers die of it, one after the other."""
    again = [delivered(STORY.request, number, STORY.key, redelivered=1) for number in (5.0, 10.0)]
    found = verdict(*STORY.events[:2], *again)
    assert found is not None
    assert "3 times" in found.evidence


def test_caller_gone() -> None:
    """The reply is published again and again, never delivered."""
    found = verdict(*STORY.events[:2], *STORY.repeated(4), until=BEGIN + 2)
    assert found is not None
    assert (found.cause, found.certain) == (Cause.CALLER_GONE, True)
    assert "4 times to reply_client" in found.evidence


def test_a_repeated_reply_that_arrives_is_healthy() -> None:
    """The reply queue was there in the end."""
    assert cause(*STORY.events[:2], *STORY.repeated(3), delivered(STORY.reply, 0.6, STORY.reply_q)) is None


def test_client_stuck() -> None:
    """The reply is in its queue, and stays there."""
    found = verdict(*STORY.events[:3])
    assert found is not None
    assert (found.cause, found.certain) == (Cause.CLIENT_STUCK, True)


def test_a_reply_that_is_taken_after_the_deadline() -> None:
    """The server was in time, the caller was not."""
    story = CallStory(1, expiration=5.0, work=1.0, back=6.0)
    found = verdict(*story.events)
    assert found is not None
    assert (found.cause, found.is_timeout) == (Cause.CLIENT_STUCK, True)
    assert "6.0 s" in found.evidence


def test_slow() -> None:
    """Answered when nobody waited any more; an exception by then is slow as well, and named."""
    found = verdict(*CallStory(1, expiration=5.0, work=6.0).events)
    assert found is not None
    assert (found.cause, found.is_timeout) == (Cause.SLOW, True)
    assert "deadline of 5.0 s" in found.evidence
    late = verdict(*CallStory(1, expiration=5.0, work=6.0, failure=failure("Boom")).events)
    assert late is not None
    assert late.cause is Cause.SLOW
    assert "builtins.Boom" in late.evidence


def test_server_exception() -> None:
    """Its class is told, its text is not."""
    found = verdict(*CallStory(1, failure=failure("Boom", "secret")).events)
    assert found is not None
    assert (found.cause, found.is_timeout) == (Cause.SERVER_EXCEPTION, False)
    assert found.evidence.startswith("builtins.Boom from compute.cmp01")
    assert "secret" not in found.evidence


@pytest.mark.parametrize(("seen", "late"), [(1, Cause.BACKLOG), (2, Cause.SERVER_STUCK), (3, Cause.CLIENT_STUCK)])
def test_before_its_deadline_nothing_is_said_of_a_call(seen: int, late: Cause) -> None:
    """At the deadline it is; a call that still has time is in flight."""
    events = STORY.events[:seen]
    assert cause(*events, until=BEGIN + 59.999) is None
    assert cause(*events, until=BEGIN + 60.0) is late
    assert analysed(events, BEGIN + 59.0).in_flight == (seen < 3)


@pytest.mark.parametrize(("seen", "guess"), [(1, Cause.BACKLOG), (2, Cause.SERVER_STUCK), (3, Cause.CLIENT_STUCK)])
def test_of_a_file_that_was_cut_off_it_is_a_guess(seen: int, guess: Cause) -> None:
    """What would have come is unknown, so the verdict is marked."""
    found = verdict(*STORY.events[:seen], until=None)
    assert found is not None
    assert (found.cause, found.certain) == (guess, False)


@pytest.mark.parametrize(("work", "expected"), [(4.998, None), (4.9981, Cause.SLOW), (5.5, Cause.SLOW)])
def test_the_deadline_counts_from_the_publishing(work: float, expected: Cause | None) -> None:
    """A reply published exactly at the deadline is in time; what the queue took is part of it."""
    story = CallStory(1, at=0.0, expiration=5.0, wait=0.002, work=work, back=0.0)
    assert cause(*story.events, until=300.0) is expected


def test_a_call_that_began_before_the_capture_is_not_judged() -> None:
    """Whatever is seen of it."""
    for events in (STORY.events[1:], STORY.events[2:], STORY.events[3:], STORY.events[1:2]):
        assert cause(*events) is None


def test_a_call_that_a_second_server_answered_is_healthy() -> None:
    """The first one died with it; RabbitMQ gave it to another."""
    second = delivered(STORY.request, 3.0, STORY.key, "other:in", redelivered=1)
    reply = STORY.reply.later(4.0)
    assert cause(STORY.request, STORY.request_delivered, second, reply, delivered(reply, 0.1, STORY.reply_q)) is None


def test_light_captures_judge_nothing() -> None:
    """They see no replies."""
    analysis = Analysis(judging=False)
    analysis.take(STORY.request.sighting)
    analysis.end(AFTER)
    assert analysis.verdicts == []
    assert not analysis.causes
