"""Cleaning the store."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from functions.keeper import cleanup as module
from functions.keeper import prune
from shared.events import Event
from shared.settings import SettingsError, load
from shared.store import Database, DeadLetter, InboxEvent, Operation, OutboxEvent, Step
from tests.support.bench import LEASE
from tests.support.letters import Keeper

DAY = timedelta(days=1)


def fill(keeper: Keeper, at: datetime, number: int = 3) -> None:
    """So many rows of each sort from one day."""
    name = f"{at:%j}"
    with keeper.database.transaction() as session:
        for index in range(number):
            id = f"{name}-{index}"
            session.add(InboxEvent(source="s", id=id, type="t", received_at=at, outcome="accepted"))
            session.add(OutboxEvent(event={}, created_at=at, sent_at=at, sent_by="sink"))
            session.add(_operation(id, at, kind="drain"))
            session.flush()
            session.add(Step(operation_id=id, subject="a", action="x", state="done"))
            session.add(_letter(id, at, replayed_at=at))
        session.add(OutboxEvent(event=Event("w", "/stuck", "t", {}).document(), created_at=at))
        session.add(_letter(f"{name}-w", at))
        session.add(_operation(f"{name}-l", at, state="halted", finished_at=None))


def _operation(id: str, at: datetime, **values: Any) -> Operation:
    ended = {"kind": "drain", "state": "succeeded", "finished_at": at, **values}
    return Operation(id=id, cloud="paris", target="a", reason="r", requester="me", created_at=at, **ended)


def _letter(id: str, at: datetime, **values: Any) -> DeadLetter:
    return DeadLetter(
        id=id, source="s", event_id=id, type="t", event={}, first_at=at, last_at=at, good_until=at + 7 * DAY, **values
    )


def clean(keeper: Keeper, id: str = "clean") -> Operation:
    """Ask for a cleanup as a PingSource does, and let it work."""
    reply = keeper.engine.handle(Event(id, "/ping", "io.drover.cleanup.requested", None))
    assert reply is not None
    assert reply.type == "io.drover.cleanup.accepted"
    for number in range(100):
        keeper.tick(f"{id}-{number}")
        operation = keeper.operation(reply.data["operation"])
        if operation.state != "running":
            return operation
    raise AssertionError("it did not end")


@pytest.fixture
def filled(database: Database) -> Keeper:
    """A keeper that keeps for 30 days, and rows of 0, 29, 31 and 91 days ago."""
    keeper = Keeper(database)
    for days in (0, 29, 31, 91):
        fill(keeper, keeper.clock.now() - days * DAY)
    return keeper


def test_what_is_too_old_goes_and_the_rest_stays(filled: Keeper) -> None:
    """Received and sent events and letters that were sent again after 30 days, letters that wait after 90; operations
    and what was not sent stay for ever."""
    operation = clean(filled)
    assert operation.state == "succeeded"
    assert operation.note == "removed: 6 of inbox, 6 of outbox, 7 of dead letters"
    old = filled.clock.now() - 30 * DAY
    assert [row for row in filled.inbox() if row.received_at < old] == []
    assert len([row for row in filled.inbox() if row.source == "s"]) == 6
    assert [row.sent_at for row in filled.outbox() if row.created_at < old] == [None, None]
    assert sorted(row.id for row in filled.letters() if row.replayed_at is None and row.last_at < old) == ["335-w"]
    assert len([row for row in filled.rows(Operation) if row.kind == "drain"]) == 16
    assert len(filled.steps()) == 12


def test_the_clean_up_counts_what_it_removes_as_metrics_do(filled: Keeper) -> None:
    """The summary has the same figures as the note."""
    operation = clean(filled)
    assert filled.engine.kinds["cleanup"].summary(operation, []) == {
        "removed": {"inbox": 6, "outbox": 6, "dead letters": 7, "cleanups": 0, "operations": 0}
    }


def test_operations_go_if_somebody_said_so(database: Database) -> None:
    """With their steps; those that live stay, however old."""
    keeper = Keeper(database, keep_operations_days=60)
    for days in (0, 31, 91):
        fill(keeper, keeper.clock.now() - days * DAY)
    assert "3 of operations" in clean(keeper).note
    drains = [row for row in keeper.rows(Operation) if row.kind == "drain"]
    assert len([row for row in drains if row.state == "succeeded"]) == 6
    assert len([row for row in drains if row.state == "halted"]) == 3
    assert len(keeper.steps()) == 6


def test_the_audit_trail_is_never_cut(filled: Keeper) -> None:
    """It only grows."""
    clean(filled)
    before = filled.acts()
    filled.clock.advance(4000 * 86400)
    clean(filled, "later")
    assert filled.acts()[: len(before)] == before


def test_cleanups_do_not_pile_up(database: Database) -> None:
    """One comes each day: those of the last days are there, and their events."""
    keeper = Keeper(database, keep_days=8)
    for day in range(30):
        clean(keeper, f"day-{day}")
        keeper.clock.advance(86400)
    assert 7 <= len(keeper.rows(Operation)) <= 10
    assert len(keeper.inbox()) <= 10
    assert len(keeper.outbox()) <= 3 * 10


def test_a_clean_store_stays_as_it_is(keeper: Keeper) -> None:
    """There is nothing to do, and that is said."""
    assert clean(keeper).note == "nothing was too old"


def test_it_goes_on_where_it_was(filled: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    """In small transactions and slices: paused, resumed, cancelled in between, with true figures."""
    monkeypatch.setattr(prune, "ROWS", 2)
    monkeypatch.setattr(module, "BATCHES", 1)
    operation = str(filled.ask_for("cleanup").data["operation"])
    assert filled.ask_for("cleanup", "again").data["operation"] == operation, "there is one at a time"
    filled.engine.work(0.0, operation)
    assert filled.operation(operation).memo["removed"] == {"inbox": 2}
    filled.ask("pause", operation, "p")
    filled.clock.advance(LEASE)
    filled.engine.work(1.0, operation)
    assert filled.operation(operation).memo["removed"] == {"inbox": 2}
    filled.ask("resume", operation, "r")
    filled.engine.work(0.0, operation)
    filled.ask("cancel", operation, "c")
    filled.engine.work(1.0, operation)
    ended = filled.operation(operation)
    gone = 12 - len([row for row in filled.inbox() if row.source == "s"])
    assert (ended.state, ended.note) == ("cancelled", f"removed: {gone} of inbox")
    assert gone == 4


@pytest.mark.parametrize("variable", ["DROVER_KEEP_DAYS", "DROVER_KEEP_OPERATIONS_DAYS"])
def test_no_less_than_eight_days_are_kept(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The inbox must outlive the signatures of the events that it knows."""
    monkeypatch.setenv(variable, "7")
    with pytest.raises(SettingsError, match=f"{variable}: found '7', expected greater than or equal to 8"):
        load()
