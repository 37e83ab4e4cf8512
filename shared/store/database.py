"""The connection to the store: SQLite in a file, or PostgreSQL; one Alembic history for both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError
from sqlmodel import Session, create_engine

from shared.errors import DroverError

HEAD = "0001"
"""The newest revision in `shared/store/migrations/versions`. Checked here so that a process whose tables are current
starts without importing Alembic, which costs most of a second."""

BUSY_SECONDS = 30.0
"""How long a writer waits for SQLite's one write lock."""


class StoreError(DroverError):
    """The database's address is wrong or the database does not answer."""


class Database:
    """Transactions on the store.

    Args:
        url: an SQLAlchemy address, `sqlite:////path/to/file` or `postgresql://user:password@host/name`.

    Raises:
        StoreError: the address cannot be understood.
    """

    def __init__(self, url: str) -> None:
        try:
            address = make_url(url)
            if address.drivername == "postgresql":
                address = address.set(drivername="postgresql+psycopg")
            self.is_sqlite = address.get_backend_name() == "sqlite"
            if self.is_sqlite and address.database:
                Path(address.database).parent.mkdir(parents=True, exist_ok=True)
            self.engine = create_engine(address, **self._options())
        except (ArgumentError, NoSuchModuleError) as error:
            raise StoreError(
                "DROVER_DATABASE_URL is not an address that Drover can use; expected sqlite:////path/to/file or "
                "postgresql://user:password@host/name"
            ) from error
        if self.is_sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        self._reading = self.engine.execution_options(drover_read_only=True)

    def _options(self) -> dict[str, Any]:
        if self.is_sqlite:
            return {"connect_args": {"timeout": BUSY_SECONDS, "check_same_thread": False}}
        return {
            "pool_pre_ping": True,
            "pool_size": 4,
            "max_overflow": 4,
            "connect_args": {"connect_timeout": 5, "application_name": "drover"},
        }

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A transaction that writes: committed when the block ends, rolled back when it raises."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that only reads, and holds no write lock."""
        with Session(self._reading, expire_on_commit=False) as session:
            yield session

    def upgrade(self) -> None:
        """Bring the tables to this version's form. Any number of processes may do it at once.

        Raises:
            StoreError: the database does not answer, or is newer than this version of Drover.
        """
        try:
            if self.revision() != HEAD:
                self._run_migrations()
        except OperationalError as error:
            raise StoreError(f"the store at {self.address} does not answer: {error.orig}") from error

    @property
    def address(self) -> str:
        """Where the store is, without its password."""
        return self.engine.url.render_as_string(hide_password=True)

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
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
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


def _prepare_sqlite(connection: Any, _: Any) -> None:
    """WAL lets readers go on beside the one writer; FULL keeps what was committed through a power cut."""
    connection.isolation_level = None  # the driver must not begin transactions of its own
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    """Writers take the lock at once: a lock taken later could fail in the middle of a transaction."""
    read_only = connection.get_execution_options().get("drover_read_only")
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def create(url: str) -> Database:
    """The store at this address, with its tables up to date."""
    database = Database(url)
    database.upgrade()
    return database
