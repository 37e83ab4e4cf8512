"""The keeper's scenes: what could not be delivered is sent again, what is old is removed, and nothing else is."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from functions.keeper import prune, replay
from shared.events import Event
from shared.store import InboxEvent, Operation, OutboxEvent, Step
from tests.chaos.scenes import Scene, Wish
from tests.chaos.stage import Stage
from tests.support.letters import dead

LETTERS = 5
STUCK = "stuck"
"""A letter that can't be sent again: it holds a secret, which is not kept."""
DAY = timedelta(days=1)
OLD, YOUNG = 120, 2
"""Days; the cleanup keeps events for 30 and operations for 90."""
SORTS = 3
"""Rows of each sort and age."""


def _letters(stage: Stage) -> None:
    for number in range(LETTERS):
        stage.processes[0].handle(dead(str(number)))
    data = {"cloud": "paris", "host": "cmp09", "reason": "x", "password": "hunter2"}
    stage.processes[0].handle(dead(STUCK, data=data))


def _sent_again(stage: Stage) -> list[str]:
    """The broker has each letter's event, once, or once more if the accident was between the sending and its mark."""
    got = Counter(event.id for event in stage.broker.got if event.source == "/tickets")
    wrong = [] if set(got) == {str(number) for number in range(LETTERS)} else [f"sent again: {dict(got)}"]
    if sum(got.values()) > LETTERS + (1 if stage.touches.struck else 0):
        wrong.append(f"sent more often than needed: {dict(got)}")
    waiting = stage.observer.rows("SELECT event_id FROM dead_letter WHERE replayed_at IS NULL")
    return wrong + ([] if waiting == [(STUCK,)] else [f"still waiting: {waiting}"])


def _rows(stage: Stage) -> None:
    with stage.store.base.transaction() as session:
        for days in (OLD, YOUNG):
            at = stage.clock.now() - days * DAY
            for number in range(SORTS):
                id = f"{days}-{number}"
                session.add(InboxEvent(source="s", id=id, type="t", received_at=at, outcome="accepted"))
                session.add(OutboxEvent(event={}, created_at=at, sent_at=at, sent_by="sink"))
                session.add(_ended(id, at))
                session.flush()
                session.add(Step(operation_id=id, subject="a", action="x", state="done"))
            session.add(OutboxEvent(event=Event(f"waits-{days}", "/s", "t", {}).document(), created_at=at))


def _ended(id: str, at: datetime, **values: Any) -> Operation:
    return Operation(
        id=id, kind="drain", cloud="paris", target=id, reason="r", requester="me", created_at=at, finished_at=at,
        state="succeeded", **values,
    )  # fmt: skip


def _clean(stage: Stage) -> list[str]:
    """What is old is gone, what is young is there, and what had not been sent has been, however old it is."""
    rows, young = stage.observer.rows, [f"{YOUNG}-{number}" for number in range(SORTS)]
    wrong = []
    for table, column in (("inbox WHERE source = 's'", "id"), ("operation WHERE kind = 'drain'", "id")):
        left = sorted(row[0] for row in rows(f"SELECT {column} FROM {table}"))
        if left != young:
            wrong.append(f"in {table}: {left}")
    left = sorted(row[0] for row in rows("SELECT operation_id FROM step"))
    if left != young:
        wrong.append(f"steps of {left}")
    got = {event.id for event in stage.broker.got}
    if not {f"waits-{OLD}", f"waits-{YOUNG}"} <= got:
        wrong.append(f"never sent: {got}")
    (sent,) = rows("SELECT count(*) FROM outbox WHERE event = '{}'")
    return wrong + ([] if sent == (SORTS,) else [f"{sent[0]} sent events are left"])


def _wish(kind: str, **data: Any) -> Wish:
    data = {"reason": "it is time", "requester": "ann", **data}
    return Wish(kind, f"io.drover.{kind}.requested", data)


SMALL = ((replay, "BATCH", 2), (replay, "BATCHES", 2), (prune, "ROWS", 2), (prune, "OPERATIONS", 2))
"""Small batches, so that there are several transactions and slices of them."""

KEEPING: dict[str, Scene] = {
    "replay": Scene(_letters, (_wish("replay", all=True),), ("succeeded",), _sent_again, keeper=True, patches=SMALL),
    "cleanup": Scene(_rows, (_wish("cleanup"),), ("succeeded",), _clean, keeper=True, patches=SMALL),
}
