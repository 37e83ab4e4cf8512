"""Sending dead letters again."""

from __future__ import annotations

from typing import Any

import pytest

from functions.keeper import replay as module
from shared.events import Event
from shared.sink import Nowhere
from shared.store import Database
from tests.support.bench import LEASE
from tests.support.letters import DRAIN, Keeper, dead

UNDRAIN = "io.drover.undrain.requested"


@pytest.fixture
def keeper(database: Database) -> Keeper:
    """A keeper with three letters."""
    keeper = Keeper(database)
    for id, type in (("1", DRAIN), ("2", DRAIN), ("3", UNDRAIN)):
        keeper.engine.handle(dead(id, type, time=keeper.clock.now()))
        keeper.clock.advance(1)
    return keeper


def sent(keeper: Keeper) -> list[str]:
    """Ids of the events that the broker got."""
    return [event.id for event in keeper.broker.requests]


def ids(keeper: Keeper, *event_ids: str) -> list[str]:
    """Ids of the letters of these events."""
    return [keeper.letter(each).id for each in event_ids]


def test_an_event_is_sent_unchanged(keeper: Keeper) -> None:
    """Id, source, type, subject, time and data are as they were; what the broker had added is gone."""
    operation = keeper.replay(letters=ids(keeper, "1"))
    keeper.tick()
    (event,) = keeper.broker.requests
    first = keeper.letter("1").first_at
    assert event == dead("1", time=first, extensions={})
    document = keeper.operation(operation)
    assert (document.state, document.note) == ("succeeded", "1 event is on the way")
    assert document.memo["replayed"] == 1


@pytest.mark.parametrize(
    ("choice", "expected"),
    [({"all": True}, ["1", "2", "3"]), ({"type": DRAIN}, ["1", "2"]), ({"type": "io.drover.x"}, [])],
)
def test_letters_are_chosen(keeper: Keeper, choice: dict[str, Any], expected: list[str]) -> None:
    """By their type, or all that wait, those that came first first."""
    operation = keeper.replay(**choice)
    keeper.tick()
    assert sent(keeper) == expected
    assert [letter.event_id for letter in keeper.letters() if letter.replayed_by == operation] == expected


def test_what_was_sent_again_waits_no_more(keeper: Keeper) -> None:
    """A second replay of all sends nothing; one that names a letter does."""
    keeper.replay("a", all=True)
    keeper.tick("t1")
    keeper.replay("b", all=True)
    keeper.tick("t2")
    assert sent(keeper) == ["1", "2", "3"]
    keeper.replay("c", letters=ids(keeper, "2", "2"))
    keeper.tick("t3")
    assert sent(keeper) == ["1", "2", "3", "2"]


def test_a_letter_that_comes_back_waits_again(keeper: Keeper) -> None:
    """It is not sent in a circle by the same replay, and the next one takes it."""
    engine, back = keeper.engine, keeper.broker.send

    def failing(event: Event) -> None:
        back(event)
        if event.source == "/tickets":
            engine.handle(dead(event.id, event.type))

    keeper.broker.send = failing  # type: ignore[method-assign]
    keeper.replay("a", all=True)
    for number in range(3):
        keeper.tick(f"t{number}")
        keeper.clock.advance(10)
    assert sent(keeper) == ["1", "2", "3"]
    assert [(letter.times, letter.replayed_at) for letter in keeper.letters()] == [(2, None)] * 3
    keeper.replay("b", all=True)
    keeper.tick("t4")
    assert sorted(sent(keeper)) == ["1", "1", "2", "2", "3", "3"]


def test_many_letters_take_several_transactions(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    """All are sent, in slices with a bound, also over several operations' worth of ticks."""
    monkeypatch.setattr(module, "BATCH", 1)
    monkeypatch.setattr(module, "BATCHES", 1)
    operation = keeper.replay(all=True)
    keeper.engine.work(0.0, operation)
    assert keeper.operation(operation).memo["replayed"] == 1
    assert keeper.operation(operation).state == "running"
    keeper.tick()
    assert sent(keeper) == ["1", "2", "3"]
    assert keeper.operation(operation).state == "succeeded"


def test_a_dry_run_lists_and_sends_nothing(keeper: Keeper) -> None:
    """The answer says of each letter whether it can be sent; nothing is stored but the answer."""
    keeper.engine.handle(dead("4", data={"password": "hush"}))
    reply = keeper.ask_for("replay", all=True, reason="look", dry_run=True)
    assert reply.type == "io.drover.replay.planned"
    assert (reply.data["total"], reply.data["sendable"]) == (4, 3)
    assert [bool(letter["hindrance"]) for letter in reply.data["letters"]] == [False, False, False, True]
    assert reply.data["letters"][0]["type"] == DRAIN
    keeper.tick()
    assert sent(keeper) == []


def test_a_long_dry_run_is_cut(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts all, and lists those that came first."""
    monkeypatch.setattr(module, "LISTED", 2)
    reply = keeper.ask_for("replay", all=True, reason="look", dry_run=True)
    assert reply.data["total"] == 3
    assert [letter["subject"] for letter in reply.data["letters"]] == ["cmp1", "cmp2"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"letters": ["no"]}, "there is no dead letter no; `drover events dead` lists them all"),
        ({"letters": [str(n) for n in range(7)]}, "there is no dead letter 0, 1, 2, 3, 4, and 2 more"),
        ({}, "expected exactly one of letters, type and all; found none of them"),
        ({"all": True, "type": DRAIN}, "found type and all"),
        ({"all": True, "reason": " "}, "reason: string should match"),
        ({"letters": ["a" * 65]}, "letters.0: string should have at most 64 characters"),
    ],
)
def test_a_request_that_makes_no_sense(keeper: Keeper, data: dict[str, Any], reason: str) -> None:
    """It is rejected, with what to change."""
    reply = keeper.ask_for("replay", **{"reason": "x", **data})
    assert reply.type == "io.drover.replay.rejected"
    assert reason in reply.data["reason"]


def test_a_named_letter_that_cannot_be_sent_is_told(keeper: Keeper) -> None:
    """Nothing is sent: whoever named it must know."""
    keeper.engine.handle(dead("4", data={"password": "hush"}))
    reply = keeper.ask_for("replay", reason="x", letters=ids(keeper, "1", "4"))
    assert reply.type == "io.drover.replay.rejected"
    assert f"{keeper.letter('4').id} can't be sent again: it held what is not kept" in reply.data["reason"]


def test_a_letter_that_is_too_old_is_not_sent(keeper: Keeper) -> None:
    """An inbox may have forgotten it: it stays, and the result says so."""
    keeper.clock.advance(7 * 86400 - 2.5)
    operation = keeper.replay(all=True)
    keeper.tick()
    assert sent(keeper) == ["2", "3"]
    note = keeper.operation(operation).note
    assert note == "2 events are on the way; 1 can't be sent again: `drover events dead` says why"
    assert keeper.engine.kinds["replay"].summary(keeper.operation(operation), []) == {"replayed": 2, "left": 1}


def test_there_must_be_somewhere_to_send_to(keeper: Keeper) -> None:
    """Where events reach nobody a replay would lose them; a dry run may look."""
    engine = keeper.new_keeper(Nowhere())
    request = {"all": True, "reason": "x"}
    reply = engine.handle(Event("a", "/people", "io.drover.replay.requested", request))
    assert reply is not None
    assert "DROVER_SINK" in reply.data["reason"]
    reply = engine.handle(Event("b", "/people", "io.drover.replay.requested", {**request, "dry_run": True}))
    assert reply is not None
    assert reply.data["sendable"] == 3


def test_without_a_sink_events_leave_as_replies(keeper: Keeper) -> None:
    """One with each tick."""
    engine = keeper.new_keeper(None)
    engine.handle(Event("a", "/people", "io.drover.replay.requested", {"type": DRAIN, "reason": "x"}))
    replies = [engine.handle(Event(f"t{number}", "/ping", "io.drover.tick", {})) for number in range(3)]
    assert [(reply.source, reply.id) for reply in replies if reply and reply.source == "/tickets"] == [
        ("/tickets", "1"),
        ("/tickets", "2"),
    ]


def test_paused_and_cancelled(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing more is sent; what was put on its way goes there."""
    monkeypatch.setattr(module, "BATCH", 1)
    monkeypatch.setattr(module, "BATCHES", 1)
    operation = keeper.replay(all=True)
    keeper.engine.work(0.0, operation)
    keeper.ask("pause", operation, "p")
    keeper.clock.advance(LEASE)
    keeper.tick("t1")
    assert sent(keeper) == ["1"]
    keeper.ask("cancel", operation, "c")
    keeper.tick("t2")
    assert sent(keeper) == ["1"]
    assert keeper.operation(operation).state == "cancelled"
    assert keeper.operation(operation).note == "1 event is on the way already"


def test_each_choice_has_one_living_replay(keeper: Keeper) -> None:
    """The same again is answered with the one that lives; another choice is another operation."""
    first = keeper.replay("a", all=True)
    assert keeper.replay("b", all=True) == first
    assert keeper.replay("c", type=DRAIN) != first
    one, two = keeper.replay("d", letters=ids(keeper, "1", "2")), keeper.replay("e", letters=ids(keeper, "2", "1"))
    assert one == two
    keeper.tick()
    assert sorted(sent(keeper)) == ["1", "1", "2", "2", "3"] or sorted(sent(keeper)) == ["1", "2", "3"]


def test_a_replay_is_on_record(keeper: Keeper) -> None:
    """Who asked for it, why, and what came of it."""
    keeper.replay(letters=ids(keeper, "1"))
    keeper.tick()
    assert keeper.acts() == ["accept replay", "replay completed"]
