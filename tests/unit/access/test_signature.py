"""Signed events: what a signature covers, and what a broker may do to an event on its way."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cloudevents.conversion import to_binary, to_structured
from cloudevents.http import CloudEvent, from_http
from hypothesis import assume, given
from hypothesis import strategies as st

from lab.simulator.clock import SteppedClock
from shared.access import Caller, Denied, Knock, Role
from shared.access.signature import EXTENSION, MAX_AGE, MAX_AHEAD, Signature, Signer, canonical
from shared.clock import SystemClock
from shared.door import Door, _event, cloud_event
from shared.events import Event
from tests.support.bench import Bench
from tests.support.doors import SECRET, World

pytestmark = pytest.mark.filterwarnings("ignore:to_binary is deprecated")  # parliament's own call

PAGE = Path(__file__).parents[3] / "docs/security.md"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
HEADER = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
TIMES = st.datetimes(NOW.replace(tzinfo=None) - timedelta(days=6), NOW.replace(tzinfo=None)).map(
    lambda time: time.replace(tzinfo=UTC)
)
EVENTS = st.builds(
    Event,
    id=HEADER,
    source=HEADER.map(lambda text: f"/{text}"),
    type=HEADER,
    data=st.dictionaries(TEXT, JSON, max_size=4),
    subject=st.none() | TEXT.filter(bool),
    time=TIMES,
)


def judged(event: Event, *keys: str) -> Caller | None:
    """What the door says of an event."""
    return Signature(keys or (SECRET,), SteppedClock(NOW)).judge(Knock("POST", {}, "127.0.0.1", event))


def sign(event: Event, key: str = SECRET) -> Event:
    """Sign it."""
    return Signer([key], SteppedClock(NOW)).sign(event)


@given(event=EVENTS)
def test_a_signed_event_is_let_in(event: Event) -> None:
    """Whatever it holds, as a delivery; and the same content has the same signature."""
    assert judged(sign(event)) == Caller("signature", Role.DELIVERY, "signature")
    assert sign(event).extensions == sign(event).extensions


@given(event=EVENTS, structured=st.booleans())
def test_the_transport_keeps_it_valid(event: Event, structured: bool) -> None:
    """In either content mode, with what a broker adds, and with a subject that a header must carry percent-encoded."""
    signed = sign(event)
    if structured:
        headers, body = to_structured(cloud_event(signed))
    else:
        door = Door("test", list, None, Signer([SECRET], SteppedClock(NOW)))
        sent = door._reply(event)
        assert isinstance(sent, CloudEvent)
        headers, body = to_binary(sent)
        headers = {**headers, "ce-knativearrivaltime": "2026-01-01T00:00:00Z"}
    received = _event(from_http(headers, body), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    assert judged(received) is not None


CHANGES: Mapping[str, st.SearchStrategy[Any]] = {
    "id": HEADER,
    "source": HEADER,
    "type": HEADER,
    "subject": st.none() | TEXT,
    "time": TIMES,
    "data": JSON | st.dictionaries(TEXT, JSON, max_size=4),
}


@pytest.mark.parametrize("name", CHANGES)
@given(event=EVENTS, draw=st.data())
def test_every_change_is_refused(name: str, event: Event, draw: st.DataObject) -> None:
    """Of id, source, type, subject, time or data; nothing else is covered, and nothing of these is left out."""
    signed = sign(event)
    changed = replace(signed, **{name: draw.draw(CHANGES[name])})
    assume(canonical(changed) != canonical(signed))
    with pytest.raises(Denied, match="does not fit"):
        judged(changed)


@given(one=EVENTS, other=EVENTS)
def test_what_differs_is_signed_differently(one: Event, other: Event) -> None:
    """Two events with one canonical form are one event: no text slides from one part into another."""
    parts = [(e.id, e.source, e.type, e.time, json.dumps(e.data, sort_keys=True)) for e in (one, other)]
    assert (canonical(one) == canonical(other)) <= (parts[0] == parts[1])


@pytest.mark.parametrize(
    ("one", "other"),
    [({"a": 1}, {"a": 1.0}), ({"a": 1}, {"a": True}), ({"a": "1"}, {"a": 1}), ({}, None), ({}, []), ({"a": None}, {})],
)
def test_values_of_other_types_are_other_values(one: Any, other: Any) -> None:
    """What Python takes for equal is not what JSON says."""
    assert canonical(Event("1", "/x", "t", one)) != canonical(Event("1", "/x", "t", other))


def test_a_time_counts_and_not_how_it_is_written() -> None:
    """A broker writes times in its own way: another zone, fewer digits."""
    event = sign(Event("1", "/x", "t", {}, time=NOW))
    assert judged(replace(event, time=NOW.astimezone(timezone(timedelta(hours=2))))) is not None


@pytest.mark.parametrize(
    ("age", "let_in"),
    [
        (timedelta(0), True),
        (MAX_AGE, True),
        (MAX_AGE + timedelta(seconds=1), False),
        (-MAX_AHEAD, True),
        (-MAX_AHEAD - timedelta(seconds=1), False),
    ],
)
def test_age(age: timedelta, let_in: bool) -> None:
    """Seven days back and five minutes ahead, and not a second more."""
    event = sign(Event("1", "/x", "t", {}, time=NOW - age))
    if let_in:
        assert judged(event) is not None
    else:
        with pytest.raises(Denied, match="7 days"):
            judged(event)


def test_a_new_key_comes_in_before_the_old_one_goes() -> None:
    """Both count for a while; the first of them signs."""
    event = Event("1", "/x", "t", {}, time=NOW)
    new, old = "new-secret-new-secret", "old-secret-old-secret"
    assert judged(sign(event, old), new, old) is not None
    assert judged(sign(event, new), new, old) is not None
    both = Signer([new, old], SteppedClock(NOW)).sign(event)
    assert both.extensions == sign(event, new).extensions
    with pytest.raises(Denied):
        judged(sign(event, old), new)


def test_data_that_is_too_deep_is_refused() -> None:
    """Nobody who is not known makes the process run out of its stack."""
    data: Any = []
    for _ in range(100_000):
        data = [data]
    event = Event("1", "/x", "t", data, time=NOW, extensions={EXTENSION: "0" * 64})
    with pytest.raises(Denied, match="no JSON"):
        judged(event)
    while data:  # or its end would be as deep
        data = data[0]


def test_the_page_s_example_is_let_in(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever signs as docs/security.md shows gets in."""
    (example,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    monkeypatch.setenv("DROVER_DOOR_SECRET", SECRET)
    exec(example, {})
    headers = {"content-type": "application/cloudevents+json"}
    event = _event(from_http(headers, capsys.readouterr().out.encode()), None)
    assert Signature([SECRET], SystemClock()).judge(Knock("POST", {}, "", event)) is not None


def test_replies_are_signed_and_not_stored_so(bench: Bench) -> None:
    """What comes back through the broker is let in again; a copy of the database lets nobody in."""
    world = World(bench)
    answer = world.post(world.signed())
    reply = _event(from_http(dict(answer.headers), answer.data), None)
    assert Signature([SECRET], world.clock).judge(Knock("POST", {}, "", reply)) is not None
    rows = f"{bench.inbox()} {bench.outbox()}"
    assert EXTENSION not in rows
    assert reply.extensions[EXTENSION] not in rows


def test_nothing_behind_the_door_sees_a_credential(bench: Bench) -> None:
    """Neither the signature nor the tick key goes on to the handlers, who may store what they get."""
    world = World(bench)
    seen: list[Event] = []
    handle = bench.engine.handle
    bench.engine.handle = lambda event: (seen.append(event), handle(event))[1]  # type: ignore[method-assign]
    world.post(world.signed(world.event(drovertick="cGxhbnRlZC10aWNrLWtleS0wMTIzNDU2Nzg5", droverhop="2")))
    assert seen[0].extensions == {"droverhop": "2"}
