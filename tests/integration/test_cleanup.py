"""Cleaning the store, on PostgreSQL, and with as many rows as a busy month leaves, on both databases."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert

from shared.clock import SystemClock
from shared.store import Database, InboxEvent, OutboxEvent, create
from tests.support.letters import Keeper, dead
from tests.unit.keeper.test_cleanup import *  # noqa: F403
from tests.unit.keeper.test_cleanup import clean

ROWS = 100_000


@pytest.fixture(params=["sqlite", "postgres"])
def busy(request: pytest.FixtureRequest, database: Database, tmp_path: Path) -> Iterator[Keeper]:
    """A keeper with 100,000 events received and sent long ago, and a real clock."""
    store = create(f"sqlite:///{tmp_path}/drover.db") if request.param == "sqlite" else database
    keeper = Keeper(store)
    keeper.clock = SystemClock()  # type: ignore[assignment]
    keeper.engine = keeper.new_keeper(keeper.broker)
    old = keeper.clock.now() - timedelta(days=31)
    received = {"source": "s", "type": "t", "received_at": old, "outcome": "accepted", "reason": ""}
    with store.transaction() as session:
        session.execute(insert(InboxEvent), [{**received, "id": str(number)} for number in range(ROWS // 2)])
        sent = {"event": {}, "created_at": old, "sent_at": old, "sent_by": "sink"}
        session.execute(insert(OutboxEvent), [sent] * (ROWS // 2))
    yield keeper
    store.close()


def test_a_hundred_thousand_rows_do_not_hold_up_others(busy: Keeper) -> None:
    """All go, in less than a minute, and whoever writes meanwhile waits for less than a second or two."""
    waits: list[float] = []
    over = threading.Event()

    def write() -> None:
        number = 0
        while not over.is_set():
            begun, number = time.monotonic(), number + 1
            busy.engine.handle(dead(str(number)))
            waits.append(time.monotonic() - begun)
            time.sleep(0.01)

    other = threading.Thread(target=write)
    other.start()
    begun = time.monotonic()
    try:
        operation = clean(busy)
    finally:
        seconds = time.monotonic() - begun
        over.set()
        other.join(30)
    assert operation.memo["removed"] == {
        "inbox": ROWS // 2, "outbox": ROWS // 2, "dead letters": 0, "cleanups": 0, "operations": 0
    }  # fmt: skip
    assert seconds < 60
    assert max(waits) < 2
