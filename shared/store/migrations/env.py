"""Alembic's entry: runs the history on the connection that `Database.upgrade` hands over."""

from alembic import context
from sqlmodel import SQLModel

import shared.store.tables  # noqa: F401  (declares the tables)

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
