"""An analysis goes on in another process as if nothing had happened."""

from __future__ import annotations

import json
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from functions.rpc_trace import saved
from functions.rpc_trace.analysis import Analysis
from functions.rpc_trace.report import report
from functions.rpc_trace.tree import tree_document
from tests.support.firehose import BEGIN, CallStory, Event, cast, failure, fanout, notification

REQUEST = "req-1"


def traffic(seed: int) -> list[Event]:
    """Calls that go well and calls that do not, over some minutes, with casts, fanouts and notifications."""
    chance = random.Random(seed)
    events: list[Event] = []
    for number in range(chance.randrange(1, 60)):
        story = CallStory(
            number, BEGIN + chance.uniform(0, 300), chance.choice(("ping", "pong")),
            server=chance.choice(("a", "b", "")), expiration=chance.choice((None, 1.0, 60.0)),
            wait=chance.uniform(0, 0.5), work=chance.uniform(0, 2), failure=chance.choice((None, None, failure())),
            context=chance.choice(({}, {"request_id": REQUEST})), queues=chance.choice((None, None, None, [])),
        )  # fmt: skip
        events += story.events[: chance.choice((1, 2, 3, 4, 4, 4))] + story.heartbeats(*chance.choice(((), (1.0, 2.0))))
        at = BEGIN + chance.uniform(0, 300)
        events += chance.choice((cast, fanout, notification))(number, at)
    return sorted(events, key=lambda event: event.at)


def documents(analysis: Analysis) -> str:
    """All that is told in the end, in an order that does not depend on the order in which calls were handed over."""
    analysis.end(BEGIN + 400)
    assert analysis.trace is not None
    found = report(analysis)
    found["verdicts"].sort(key=lambda row: str(row["msg_id"]))
    found["causes"] = dict(sorted(found["causes"].items()))
    return json.dumps([found, tree_document(analysis.trace)])


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.lists(st.floats(0, 1), max_size=4))
def test_dumping_and_loading_at_any_moment_changes_nothing(seed: int, moments: list[float]) -> None:
    """Report and tree are the same, whenever and however often the process changes."""
    events = traffic(seed)
    whole, parts = Analysis(REQUEST), Analysis(REQUEST)
    changes = {int(moment * len(events)) for moment in moments}
    for number, event in enumerate(events):
        if number in changes:
            parts = saved.load(json.loads(json.dumps(saved.dump(parts))))
        whole.take(event.sighting)
        parts.take(event.sighting)
    assert documents(parts) == documents(whole)


def test_what_is_saved_holds_no_secret() -> None:
    """It goes into the store."""
    context = {"request_id": REQUEST, "auth_token": "pl4nted"}
    story = CallStory(1, args={"x": "pl4nted"}, result="pl4nted", failure=failure("Boom", "pl4nted"), context=context)
    analysis = Analysis(REQUEST)
    for event in [*story.events, *cast(1, args={"x": "pl4nted"}, _context_auth_token="pl4nted")]:
        analysis.take(event.sighting)
    before = json.dumps(saved.dump(analysis))
    analysis.end(BEGIN + 300)
    assert "Boom" in before
    assert "pl4nted" not in before + json.dumps(saved.dump(analysis))


def test_what_is_saved_is_bounded() -> None:
    """Of a flood of open calls those seen last are kept; the rest is counted as given up."""
    analysis = Analysis()
    for number in range(saved.MOST_OPEN + 100):
        analysis.take(CallStory(number).request.sighting)
    document = json.loads(json.dumps(saved.dump(analysis)))
    assert len(document["calls"]) == saved.MOST_OPEN
    loaded = saved.load(document)
    assert loaded.correlator.evicted == 100
    assert len(loaded.correlator) == saved.MOST_OPEN


def test_a_capture_that_judges_nothing_stays_so() -> None:
    """A light one, in another process."""
    assert saved.load(saved.dump(Analysis(judging=False))).judging is False
    assert saved.load(saved.dump(Analysis())).trace is None
