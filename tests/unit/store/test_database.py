"""Opening a store: what addresses are taken, and what is said when it does not work."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.store import Database, Operation, StoreError, create
from shared.store import database as module


@pytest.mark.parametrize(
    "url",
    [
        "mysql://drover:hush@db/drover",
        "nonsense://drover:hush@db/drover",
        "drover:hush@db",
        "postgresql://drover:hush@db:port/drover",
        "sqlite://",
        "sqlite:///:memory:",
        "",
    ],
)
def test_other_addresses_are_refused_without_the_password(url: str) -> None:
    """The message names the variable and shows what is expected, and nothing of the address itself."""
    with pytest.raises(StoreError, match=r"DROVER_DATABASE_URL is not an address.*expected sqlite:") as caught:
        Database(url)
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_a_database_that_does_not_answer(scheme: str) -> None:
    """The message says where it was looked for, without the password."""
    database = Database(f"{scheme}://drover:hush@127.0.0.1:1/drover?sslpassword=hush")
    with pytest.raises(StoreError, match=r"127.0.0.1:1/drover does not answer: .*connection") as caught:
        database.upgrade()
    assert "hush" not in str(caught.value)
    with pytest.raises(StoreError), database.reading() as session:
        session.get(Operation, "1")
    with pytest.raises(StoreError), database.transaction() as session:
        session.get(Operation, "1")


def test_the_directory_is_made(tmp_path: Path) -> None:
    """The first start on a machine needs no preparation."""
    path = tmp_path / "state" / "drover" / "drover.db"
    create(f"sqlite:///{path}").close()
    assert path.exists()


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """The message names it and the variable."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"file/sub of the store can't be made .*DROVER_DATABASE_URL"):
        create(f"sqlite:///{tmp_path}/file/sub/drover.db")


def test_a_file_that_is_a_directory(tmp_path: Path) -> None:
    """It does not open, and the message says so."""
    with pytest.raises(StoreError, match="unable to open database file"):
        create(f"sqlite:///{tmp_path}")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """Something else by that name is not overwritten."""
    path = tmp_path / "drover.db"
    path.write_text("dear diary, " * 100)
    with pytest.raises(StoreError, match="file is not a database"):
        create(f"sqlite:///{path}")
    assert path.read_text().startswith("dear diary")


def test_tables_of_a_newer_drover(database: Database) -> None:
    """An old program does not touch them; the message says what to do."""
    with database.transaction() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match=rf"revision 9999, expected {module.HEAD} or older.*install that version"):
        database.upgrade()


def test_a_migration_that_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are made in one transaction: the next start finds an empty database, and makes them all."""
    from alembic import op

    def explode(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    database = Database(f"sqlite:///{tmp_path}/drover.db")
    with monkeypatch.context() as patch:
        patch.setattr(op, "create_index", explode)
        with pytest.raises(KeyboardInterrupt):
            database.upgrade()
    assert database.revision() is None
    database.upgrade()
    assert database.revision() == module.HEAD
    database.close()


def test_tables_can_be_taken_down_again(tmp_path: Path) -> None:
    """The history goes both ways."""
    from alembic import command
    from alembic.config import Config

    database = create(f"sqlite:///{tmp_path}/drover.db")
    config = Config()
    config.set_main_option("script_location", str(Path(module.__file__).parent / "migrations"))
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert database.revision() is None
    database.upgrade()
    assert database.revision() == module.HEAD
    database.close()


@pytest.fixture
def locked(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A store whose one write lock somebody else holds."""
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.05)
    path = database.engine.url.database
    other = sqlite3.connect(str(path), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    mine = Database(f"sqlite:///{path}")
    yield mine
    other.close()
    mine.close()


def test_a_lock_that_is_not_given_back(locked: Database) -> None:
    """A writer gives up in the end and says so; readers are not disturbed."""
    with locked.reading() as session:
        assert session.get(Operation, "1") is None
    with pytest.raises(StoreError, match="database is locked"), locked.transaction() as session:
        session.get(Operation, "1")


def test_writers_wait_for_each_other(database: Database) -> None:
    """Threads that write at the same time all get their turn."""

    def write(name: str) -> None:
        for number in range(5):
            with database.transaction() as session:
                session.connection().exec_driver_sql(
                    "INSERT INTO outbox (event, created_at, sent_by) VALUES ('{}', '2026-01-01 00:00:00.000000', ?)",
                    (f"{name}{number}",),
                )

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    with database.reading() as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM outbox").scalar() == 20
