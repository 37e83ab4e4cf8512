"""Taking dead letters: what is kept of an event, how often, and what never is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.events import Event
from shared.letters.letter import MAX_DOCUMENT
from shared.letters.reads import read_letter
from shared.store import Database, DeadLetter, StoreError
from tests.support.letters import DRAIN, Keeper, dead


@pytest.fixture
def keeper(database: Database) -> Keeper:
    """The keeper on an empty store."""
    return Keeper(database)


def test_what_is_kept_of_a_letter(keeper: Keeper) -> None:
    """The event without the broker's own attributes, and what went wrong; nothing is answered."""
    assert keeper.engine.handle(dead()) is None
    (letter,) = keeper.letters()
    assert (letter.source, letter.event_id, letter.type, letter.subject) == ("/tickets", "1", DRAIN, "cmp1")
    assert (letter.code, letter.destination) == (503, "http://migrate.drover.svc.cluster.local")
    assert letter.answer == '{"error": "the store does not answer"}'
    assert (letter.times, letter.hindrance, letter.replayed_at) == (1, "", None)
    assert letter.first_at == letter.last_at == keeper.clock.now()
    assert letter.event is not None
    assert Event.from_document(letter.event) == dead(extensions={})


def test_a_letter_after_a_time_out_tells_nothing_of_it(keeper: Keeper) -> None:
    """There are no attributes then; its type is nobody's here, and that is enough."""
    keeper.engine.handle(dead(extensions={}))
    (letter,) = keeper.letters()
    assert (letter.code, letter.destination, letter.answer) == (None, "", "")


def test_the_same_letter_again_is_counted(keeper: Keeper) -> None:
    """There is one row, with the newest trouble; another source with the same id is another event."""
    keeper.engine.handle(dead())
    keeper.clock.advance(60)
    keeper.engine.handle(dead(extensions={"knativeerrorcode": "401"}))
    keeper.engine.handle(dead(source="/others"))
    first, other = sorted(keeper.letters(), key=lambda letter: -letter.times)
    assert (first.times, first.code, first.answer) == (2, 401, "")
    assert first.last_at - first.first_at == timedelta(minutes=1)
    assert (other.times, other.source) == (1, "/others")


@pytest.mark.parametrize("type", ["io.drover.tick", "io.drover.drain.due"])
@pytest.mark.parametrize("extensions", [{}, {"knativeerrorcode": "503"}])
def test_what_only_wakes_is_not_kept(keeper: Keeper, type: str, extensions: dict[str, str]) -> None:
    """The next one does the same."""
    assert keeper.engine.handle(Event("1", "/ping", type, {}, extensions=extensions)) is None
    assert keeper.letters() == []


@pytest.mark.parametrize("type", ["io.drover.operation.pause.requested", "io.drover.replay.requested"])
def test_a_request_that_failed_elsewhere_is_not_taken_here(keeper: Keeper, type: str) -> None:
    """What the broker says it could not deliver is a letter, although this engine knows the type."""
    assert keeper.engine.handle(dead(type=type)) is None
    assert [letter.type for letter in keeper.letters()] == [type]
    assert keeper.inbox() == []


def test_only_a_keeper_takes_letters(keeper: Keeper) -> None:
    """Elsewhere an unknown type is rejected, as ever."""
    reply = keeper.new_keeper(keeper.broker, dead_letters=False).handle(dead(extensions={}))
    assert reply is not None
    assert reply.type == "io.drover.event.rejected"
    assert keeper.letters() == []


def test_an_unreadable_letter_is_kept(keeper: Keeper) -> None:
    """It can be looked at, and not be sent again."""
    assert keeper.engine.reject(dead(data=None), "the event's data could not be read") is None
    assert keeper.letters()[0].hindrance == "the event's data could not be read"


@pytest.mark.parametrize(
    ("data", "secret"),
    [
        ({"host": "cmp1", "password": "hush"}, "hush"),
        ({"reason": "see mysql://nova:hush@db/nova"}, "hush"),
        ({"deep": [{"auth_token": "hush"}]}, "hush"),
        ({"reason": "gAAAAABhush_hush_hush_hush_hush"}, "gAAAAABhush"),
    ],
)
def test_no_secret_is_kept(keeper: Keeper, data: Any, secret: str) -> None:
    """It is cut out wherever it is, and the letter says why it can't be sent again."""
    extensions = {"knativeerrordata": "cGFzc3dvcmQ9aHVzaA==", "knativeerrordest": "http://me:hush@there/"}
    keeper.engine.handle(dead(data=data, subject="token=hush", extensions=extensions))
    (letter,) = keeper.letters()
    assert secret not in letter.model_dump_json()
    assert "hush" not in letter.model_dump_json()
    assert "secret" in letter.hindrance


def test_what_opens_doors_is_not_kept(keeper: Keeper) -> None:
    """Signature and tick key are left out, and the event can be sent again without them."""
    keeper.engine.handle(
        dead(extensions={"droversignature": "5eal", "drovertick": "a2V5", "droverhop": "6", "tenant": "a"})
    )
    (letter,) = keeper.letters()
    assert letter.event is not None
    assert Event.from_document(letter.event).extensions == {"tenant": "a"}
    assert letter.hindrance == ""


@pytest.mark.parametrize(
    ("data", "hindrance"),
    [
        ({"x": "x" * MAX_DOCUMENT}, "too large to be kept"),
        (b"\xff\x00", "no JSON"),
        ({"x": float("nan")}, "a NaN"),
        (json.loads("[" * 200 + "]" * 200), "nested too deep"),
    ],
)
def test_what_cannot_be_sent_again_is_kept_all_the_same(keeper: Keeper, data: Any, hindrance: str) -> None:
    """The letter says why."""
    keeper.engine.handle(dead(data=data))
    (letter,) = keeper.letters()
    assert hindrance in letter.hindrance
    assert read_letter(keeper.database, letter.id, keeper.clock.now()) is not None


def test_a_long_word_is_cleaned_quickly(keeper: Keeper) -> None:
    """What looks for secrets takes time in proportion to the text, whatever is in it."""
    keeper.engine.handle(dead(data={"x": "password" * 20_000, "y": "a-" * 40_000}))
    assert keeper.letters()[0].hindrance == ""


def test_a_store_that_is_away_lets_the_broker_try_again(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error goes on to the door, which answers 503."""

    def away() -> None:
        raise StoreError("the store does not answer")

    monkeypatch.setattr(keeper.database, "transaction", away)
    with pytest.raises(StoreError):
        keeper.engine.handle(dead())


@pytest.mark.parametrize(
    ("time", "good_until"),
    [
        (None, datetime(2026, 1, 8, tzinfo=UTC)),
        (datetime(2025, 12, 31, tzinfo=UTC), datetime(2026, 1, 7, tzinfo=UTC)),
        (datetime(2025, 12, 31), datetime(2026, 1, 7, tzinfo=UTC)),
        (datetime(2030, 1, 1, tzinfo=UTC), datetime(2026, 1, 8, tzinfo=UTC)),
        (datetime.min.replace(tzinfo=UTC), datetime(2026, 1, 8, tzinfo=UTC)),
    ],
)
def test_how_long_a_letter_is_good(keeper: Keeper, time: datetime | None, good_until: datetime) -> None:
    """Seven days from its own time, or from its arrival if it has none that makes sense."""
    keeper.engine.handle(dead(time=time))
    assert keeper.letters()[0].good_until == good_until


ANY_TEXT = st.text(st.characters(exclude_categories=()), min_size=1, max_size=60)
LONG_TEXT = st.one_of(ANY_TEXT, st.builds(lambda text: text * 300, ANY_TEXT))
ANY_DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | LONG_TEXT | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(LONG_TEXT, inner, max_size=4),
    max_leaves=12,
)
TOLD = st.sampled_from(
    ["knativeerrorcode", "knativeerrordest", "knativeerrordata", "traceparent", "knativex", "tenant"]
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    event=st.builds(
        Event,
        id=LONG_TEXT,
        source=LONG_TEXT,
        type=LONG_TEXT,
        data=ANY_DATA,
        subject=st.none() | LONG_TEXT,
        time=st.none() | st.datetimes(timezones=st.just(UTC)),
        extensions=st.dictionaries(TOLD, LONG_TEXT, max_size=4),
    )
)
def test_any_letter_can_be_kept(database: Database, event: Event) -> None:
    """Whatever is in it, it is stored once and can be read; what can be sent again is the very event."""
    keeper = Keeper(database)
    with database.transaction() as session:
        session.connection().exec_driver_sql("DELETE FROM dead_letter")
    for _ in range(2):
        assert keeper.engine.handle(event) is None
    (letter,) = keeper.rows(DeadLetter)
    assert letter.times == 2
    json.dumps(read_letter(database, letter.id, keeper.clock.now()), allow_nan=False)
    if not letter.hindrance:
        assert letter.event is not None
        kept = Event.from_document(letter.event)
        assert (kept.id, kept.source, kept.type, kept.subject) == (event.id, event.source, event.type, event.subject)
        assert (kept.data, kept.time) == (event.data, event.time)
        assert set(kept.extensions) == {name for name in event.extensions if not name.startswith("knative")}
