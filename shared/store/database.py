"""The connection to the store: SQLite in a file, or PostgreSQL; one Alembic history for both."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, event, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel import Session, create_engine

from shared.errors import DroverError

HEAD = "0002"
"""The newest revision in `shared/store/migrations/versions`. Checked here so that a process whose tables are current
starts without importing Alembic, which costs most of a second."""

BUSY_SECONDS = 20.0
"""How long a writer waits for SQLite's one write lock; less than a lease lasts."""

POSTGRES_LIMITS = {
    "statement_timeout": "20s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "30s",
}
"""A worker that froze in a transaction must not hold the others, and a slow database must not hold a request."""

KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 20_000}
"""A peer that is gone without a word is noticed in seconds (libpq, "Parameter Key Words")."""


class StoreError(DroverError):
    """The database's address is wrong, or the database does not answer; what was being written is not stored."""


class Database:
    """Transactions on the store.

    Args:
        url: an SQLAlchemy address, `sqlite:////path/to/file` or `postgresql://user:password@host/name`.

    Raises:
        StoreError: the address cannot be understood, or the directory of the file cannot be made.
    """

    def __init__(self, url: str) -> None:
        try:
            address = _understand(make_url(url))
            self.is_sqlite = address.get_backend_name() == "sqlite"
            self.engine = create_engine(address, **self._options())
        except (ArgumentError, NoSuchModuleError, ValueError):
            # `from None`: SQLAlchemy's own message repeats the address, which may hold a password
            raise StoreError(
                "DROVER_DATABASE_URL is not an address that Drover can use; expected sqlite:////path/to/file or "
                "postgresql://user:password@host/name"
            ) from None
        if self.is_sqlite:
            _make_directory(address)
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            event.listen(self.engine, "connect", _prepare_postgres)
        self._reading = self.engine.execution_options(drover_read_only=True)

    def _options(self) -> dict[str, Any]:
        if self.is_sqlite:
            return {"connect_args": {"timeout": BUSY_SECONDS, "check_same_thread": False}}
        return {
            "pool_pre_ping": True,
            "pool_size": 4,
            "max_overflow": 4,
            "pool_timeout": 10,
            "connect_args": {"connect_timeout": 5, "application_name": "drover", **KEEPALIVES},
        }

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A transaction that writes: committed when the block ends, rolled back when it raises.

        Raises:
            StoreError: the database does not answer. Whether a commit that was under way counts, only a look can say.
        """
        with self._explained(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that only reads, and holds no write lock.

        Raises:
            StoreError: the database does not answer.
        """
        with self._explained(), Session(self._reading, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn a database that does not answer into a `StoreError`; what is our own mistake goes on as it is."""
        try:
            yield
        except (OperationalError, InterfaceError, PoolTimeout, sqlite3.OperationalError) as error:
            raise self._silent(error) from error
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            raise self._silent(error) from error

    def _silent(self, error: Exception) -> StoreError:
        return StoreError(f"the store at {self.address} does not answer: {_first_line(error)}; try again when it does")

    def upgrade(self) -> None:
        """Bring the tables to this version's form. Any number of processes may do it at once.

        Raises:
            StoreError: the database does not answer, is no database, or is newer than this version of Drover.
        """
        try:
            with self._explained():
                found = self.revision()
                if found != HEAD:
                    self._check_age(found)
                    self._run_migrations()
        except DatabaseError as error:
            raise StoreError(
                f"the tables at {self.address} can't be brought up to date: {_first_line(error)}"
            ) from error

    def _check_age(self, found: str | None) -> None:
        if found is not None and found > HEAD:
            raise StoreError(
                f"the store at {self.address} has tables of revision {found}, expected {HEAD} or older: it was used "
                "by a newer Drover; install that version, or set DROVER_DATABASE_URL to another database"
            )

    @property
    def address(self) -> str:
        """Where the store is, without its password."""
        return self.engine.url.set(query={}).render_as_string(hide_password=True)

    def revision(self) -> str | None:
        """The tables' revision; None while there are none."""
        try:
            with self._reading.connect() as connection:
                return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        except DatabaseError as error:
            if "alembic_version" in str(error.orig):
                return None
            raise

    def _run_migrations(self) -> None:
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
        with self.engine.begin() as connection:
            # Two processes that start together must not both create the tables. SQLite's BEGIN IMMEDIATE does that
            # already.
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(6870119)"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0]


def _understand(address: URL) -> URL:
    if address.drivername in ("postgresql", "postgres"):
        address = address.set(drivername="postgresql+psycopg")
    backend = address.get_backend_name()
    file = address.database or ""
    if backend not in ("sqlite", "postgresql") or (backend == "sqlite" and file in ("", ":memory:")):
        raise ArgumentError("neither a PostgreSQL database nor an SQLite file")
    return address


def _make_directory(address: URL) -> None:
    directory = Path(address.database or "").parent
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the directory {directory} of the store can't be made ({error.strerror}); make it, or set "
            "DROVER_DATABASE_URL to a file in a directory that this user may write to"
        ) from error


def _prepare_sqlite(connection: Any, _: Any) -> None:
    """WAL lets readers go on beside the one writer; FULL keeps what was committed through a power cut."""
    connection.isolation_level = None  # the driver must not begin transactions of its own
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    end = time.monotonic() + BUSY_SECONDS
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            # SQLite does not wait here when several processes open a new file at once
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def _prepare_postgres(connection: Any, _: Any) -> None:
    with connection.cursor() as cursor:
        for name, value in POSTGRES_LIMITS.items():
            cursor.execute(f"SET {name} = '{value}'")
    connection.commit()


def _begin_sqlite(connection: Connection) -> None:
    """Writers take the lock at once: a lock taken later could fail in the middle of a transaction."""
    read_only = connection.get_execution_options().get("drover_read_only")
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def create(url: str) -> Database:
    """The store at this address, with its tables up to date."""
    database = Database(url)
    database.upgrade()
    return database
