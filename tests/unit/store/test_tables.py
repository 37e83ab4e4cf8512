"""The tables: the same on both databases, and the same as the models."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel, select

from shared import store
from shared.store import Database, InboxEvent, Operation, OutboxEvent, Step
from shared.store.database import HEAD

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def operation(id: str = "1", **values: Any) -> Operation:
    """A row."""
    return Operation(id=id, kind="walk", cloud="lab", target="a", reason="r", requester="me", created_at=NOW, **values)


def test_the_schema_is_that_of_the_models(database: Database) -> None:
    """Alembic finds no difference between what the history makes and what the code declares."""
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_the_newest_revision_is_the_one_that_the_code_knows() -> None:
    """`HEAD` saves importing Alembic; it must be the history's last word."""
    config = Config()
    config.set_main_option("script_location", str(Path(store.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_upgrading_twice_changes_nothing(database: Database) -> None:
    """Every start of a process does it."""
    assert database.revision() == HEAD
    database.upgrade()
    assert database.revision() == HEAD


def test_times_are_utc_and_aware(database: Database) -> None:
    """Whatever zone a time comes in, it is read back as the same moment in UTC, to the microsecond."""
    moment = datetime(2026, 7, 1, 1, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    with database.transaction() as session:
        session.add(operation(next_at=moment))
    with database.reading() as session:
        (row,) = session.exec(select(Operation))
    assert row.next_at == moment
    assert row.next_at is not None
    assert row.next_at.tzinfo is UTC


def test_json_is_kept_as_it_is(database: Database) -> None:
    """Nested values, text of all scripts, and an escaped NUL come back as they were."""
    value = {"a": [1, 2.5, None, True, {"b": "ü漢😀\0"}]}
    with database.transaction() as session:
        session.add(operation(memo=value))
    with database.reading() as session:
        assert session.exec(select(Operation.memo)).one() == value


def test_a_reply_that_is_none_is_null(database: Database) -> None:
    """An event without an answer has none in the database's sense either."""
    with database.transaction() as session:
        session.add(InboxEvent(source="s", id="1", type="t", received_at=NOW, outcome="accepted"))
    with database.reading() as session:
        assert session.exec(select(InboxEvent.reply)).one() is None


def test_one_living_operation_for_a_target(database: Database) -> None:
    """The database itself refuses a second one; those that have ended do not count."""
    with database.transaction() as session:
        session.add_all([operation("1", active_key="k"), operation("2"), operation("3")])
    with pytest.raises(IntegrityError), database.transaction() as session:
        session.add(operation("4", active_key="k"))


def test_one_step_for_a_subject(database: Database) -> None:
    """The database itself refuses a second one, and a step without its operation."""
    with database.transaction() as session:
        session.add(operation())
        session.flush()
        session.add(Step(operation_id="1", subject="a", action="x", state="planned"))
    for id in ("1", "nobody"):
        with pytest.raises(IntegrityError), database.transaction() as session:
            session.add(Step(operation_id=id, subject="a", action="x", state="planned"))


def test_an_error_in_a_transaction_rolls_all_of_it_back(database: Database) -> None:
    """Nothing of it is stored, and the error goes on as it is."""

    def write_and_fail() -> None:
        with database.transaction() as session:
            session.add(operation())
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    with database.reading() as session:
        assert session.exec(select(Operation)).all() == []


def test_reading_stores_nothing(database: Database) -> None:
    """A session for reading is never committed."""
    with database.reading() as session:
        assert session.exec(select(OutboxEvent)).all() == []
        session.expunge_all()
    with database.transaction() as session:
        session.add(operation())
    with database.reading() as session:
        row = session.exec(select(Operation)).one()
        row.note = "changed"
    with database.reading() as session:
        assert session.exec(select(Operation.note)).one() == ""
