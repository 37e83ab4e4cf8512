"""Stores for tests: SQLite files copied from one that was migrated once."""

from __future__ import annotations

import shutil
from pathlib import Path

from sqlalchemy import event

from shared.store import Database, create


def migrated_file(directory: Path) -> Path:
    """An SQLite file with all tables and no rows; migrating takes most of a second, copying it nothing."""
    path = directory / "template.db"
    database = create(f"sqlite:///{path}")
    with database.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.exec_driver_sql("BEGIN")
    database.close()
    return path


def copied(template: Path, directory: Path) -> Database:
    """A store of one's own."""
    path = directory / "drover.db"
    shutil.copyfile(template, path)
    database = Database(f"sqlite:///{path}")
    event.listen(database.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    return database
