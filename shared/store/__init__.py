"""The store: tables of intent and history, on SQLite or PostgreSQL."""

from shared.store.database import Database, StoreError, create
from shared.store.tables import (
    ENDED,
    AuditEntry,
    DeadLetter,
    InboxEvent,
    Intent,
    Operation,
    OperationState,
    OutboxEvent,
    Step,
)
from shared.store.text import is_storable, storable

__all__ = [
    "ENDED",
    "AuditEntry",
    "Database",
    "DeadLetter",
    "InboxEvent",
    "Intent",
    "Operation",
    "OperationState",
    "OutboxEvent",
    "Step",
    "StoreError",
    "create",
    "is_storable",
    "storable",
]
