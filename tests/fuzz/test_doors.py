"""Ten thousand malformed events and requests at every function's door."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functions
from tests.fuzz import malformed
from tests.fuzz.judge import judge
from tests.fuzz.malformed import Case, Draft
from tests.fuzz.world import Function, Request, World

pytestmark = [
    pytest.mark.filterwarnings("ignore:to_binary is deprecated"),
    pytest.mark.parametrize("name", functions.names()),
]

SHARE = len(functions.names())
EVENTS, ENVELOPES, STRANGE = 6_600 // SHARE, 3_600 // SHARE, 3_000 // SHARE
"""Inputs for each function: over 13,000 for all of them."""
SLOWEST = 10.0
"""Seconds that one request may take, on a busy machine."""
LOOK = 100
"""After so many inputs a valid request must work as ever."""

Strategy = Callable[[Function, Any], st.SearchStrategy[Case]]


def send(world: World, function: Function, case: Case) -> str:
    """One input, judged; gives what became of it."""
    before, begin = world.known or world.state(), time.monotonic()
    world.known = None
    response = function.ask(case.request)
    assert time.monotonic() - begin < SLOWEST
    assert not world.bugs.found, world.bugs.found.pop()
    world.known = after = world.state()
    return judge(function, case, response, before, after)


def works(world: World, function: Function) -> None:
    """A good request is answered well, and so is a reading."""
    world.known = None
    if "io.drover.drain.requested" in function.schemas:
        draft = Draft(
            "io.drover.drain.requested", {"cloud": "paris", "host": "cmp07", "reason": "is it well?", "dry_run": True}
        )
        expected = "io.drover.drain.planned"
    else:
        draft = Draft("io.drover.tick", {})
        expected = ""
    answer = function.ask(draft.binary().bearing(world.identity.delivery))
    if expected:
        assert answer.headers["ce-type"] == expected, answer.text
    else:
        assert answer.status_code in (200, 204), answer.text
    reading = Request("GET", query="operations").bearing(world.identity.people[-1])
    assert "operations" in json.loads(function.ask(reading).data)


def fuzz(world: World, name: str, strategy: Strategy, examples: int) -> None:
    """Send so many inputs, and look now and then whether the function still works."""
    function = world.functions[name]
    sent = 0

    @settings(settings.get_profile("fuzz"), max_examples=examples)
    @given(strategy(function, world.identity))
    def run(case: Case) -> None:
        nonlocal sent
        send(world, function, case)
        sent += 1
        if sent % LOOK == 0:
            works(world, function)

    run()
    works(world, function)


def test_events_with_something_wrong_in_their_data(world: World, times: int, name: str) -> None:
    """Each is rejected, or fits the published schema; nothing is stored and no cloud changed for a rejected one."""
    fuzz(world, name, malformed.spoilt_events, EVENTS * times)


def test_events_with_a_broken_envelope(world: World, times: int, name: str) -> None:
    """Each is rejected by an event, refused with 400, or kept as a dead letter; never an error of Drover's own."""
    fuzz(world, name, malformed.spoilt_envelopes, ENVELOPES * times)


def test_requests_that_are_no_events(world: World, times: int, name: str) -> None:
    """Each is read or refused with a message; never an error of Drover's own."""
    fuzz(world, name, malformed.strange_requests, STRANGE * times)
