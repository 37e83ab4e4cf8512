"""The store's own tests on PostgreSQL, and what only several processes or a real server can show."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from shared.store import Database, Operation, StoreError, create
from shared.store.database import HEAD
from tests.support.bench import LEASE, Bench
from tests.support.kinds import walk
from tests.support.postgres import Postgres
from tests.support.together import start_together
from tests.unit.store.test_tables import *  # noqa: F403


@pytest.fixture
def empty(postgres: Postgres) -> str:
    """The address of a database without any tables."""
    admin = Database(postgres.url)
    for line in ("DROP DATABASE IF EXISTS empty", "CREATE DATABASE empty"):
        with admin.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(line))
    admin.close()
    return postgres.url.replace("/postgres", "/empty")


def test_processes_that_start_together_make_the_tables_once(empty: str, tmp_path: Path) -> None:
    """Three processes find an empty database, or a file that is not there yet, at the same time; all succeed."""
    for url in (empty, f"sqlite:///{tmp_path}/new/drover.db"):
        start_together(f"shared.store.create({url!r}).close()", 3)
        database = Database(url)
        assert database.revision() == HEAD
        database.close()


def test_a_wrong_password_is_told_without_any_password(postgres: Postgres) -> None:
    """A database or a user that is not there is named; the password is not."""
    with pytest.raises(StoreError, match=r"nobody.* does not exist") as caught:
        create(f"postgresql://nobody:hush@127.0.0.1:{postgres.port}/postgres")
    assert "hush" not in str(caught.value)


def kill_connections(database: Database) -> None:
    """End all connections of others to this database, as a restart of the server does."""
    with database.engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
            )
        )


def test_idle_connections_that_break_are_not_noticed(bench: Bench, migrated: str) -> None:
    """The pool looks before it hands one out."""
    operation_id = bench.begin()
    killer = Database(migrated)
    kill_connections(killer)
    assert bench.engine.work(0.1) == operation_id
    assert bench.operation(operation_id).state == "succeeded"
    killer.close()


def test_a_connection_that_breaks_in_a_transaction(bench: Bench, migrated: str) -> None:
    """The slice fails with a clear error, nothing of it is stored, and it is done again after the lease."""
    operation_id = bench.begin()
    killer = Database(migrated)
    good = bench.kind.script

    def script(work: object) -> float | None:
        with bench.database.transaction() as session:
            session.get(Operation, operation_id)
            kill_connections(killer)
            session.get(Operation, "other")
        return None

    bench.kind.script = script
    with pytest.raises(StoreError, match=r"does not answer: .*terminat"):
        bench.engine.work(0.1)
    bench.kind.script = good
    assert bench.engine.work(0.1) is None
    bench.clock.advance(LEASE)
    assert bench.engine.work(0.1) == operation_id
    assert bench.operation(operation_id).state == "succeeded"
    assert bench.operation(operation_id).failures == 0
    killer.close()


def test_a_worker_that_freezes_in_a_transaction_does_not_hold_the_others(
    bench: Bench, migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that somebody has locked: slices pass it by, requests give up in time and say so."""
    from shared.store import database as module

    monkeypatch.setitem(module.POSTGRES_LIMITS, "lock_timeout", "100ms")
    bench.database.close()
    first, second = bench.begin("1", target="a"), bench.begin("2", target="b")
    frozen = Database(migrated)
    with frozen.transaction() as session:
        session.get(Operation, first, with_for_update=True)
        assert bench.engine.work(0.0) == second
        assert bench.engine.work(0.2) is None
        with pytest.raises(StoreError, match="lock timeout"):
            bench.ask("pause", first, "p")
    assert bench.ask("pause", first, "p").data["intent"] == "pause"
    frozen.close()


def test_a_value_that_is_too_long_is_rejected(bench: Bench) -> None:
    """PostgreSQL takes no more characters than declared: the event is answered, and does not come again for ever."""
    reply = bench.engine.handle(walk(cloud="x" * 300))
    assert reply is not None
    assert reply.type == "io.drover.walk.rejected"
    assert "too long" in reply.data["reason"]
    assert [row.outcome for row in bench.inbox()] == ["rejected"]


def test_threads_wait_for_each_others_operation(bench: Bench) -> None:
    """Eight requests for one target at once: one operation, eight answers."""
    replies: list[str] = []

    def ask(id: str) -> None:
        reply = bench.engine.handle(walk(id))
        assert reply is not None
        replies.append(reply.data["operation"])

    threads = [threading.Thread(target=ask, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(replies) == 8
    assert len(set(replies)) == 1


def test_a_server_that_is_restarted(bench: Bench, postgres: Postgres) -> None:
    """While it is down, requests fail with a clear error; once it is back, everything goes on."""
    operation_id = bench.begin()
    postgres.stop()
    try:
        with pytest.raises(StoreError, match="does not answer"):
            bench.engine.handle(walk("2", target="b"))
        with pytest.raises(StoreError, match="does not answer"):
            bench.engine.work(1)
    finally:
        postgres.start()
    assert bench.engine.handle(walk("2", target="b")) is not None
    assert bench.engine.work(0.0) == operation_id
