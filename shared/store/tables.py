"""The tables: intent and history. What is true of a cloud is read from the cloud."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Column, DateTime, Dialect, Index, Text, UniqueConstraint
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

from shared.store.text import storable


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time, kept as naive UTC: SQLite has no time zones, and both databases shall hold the same."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value else None


class Prose(TypeDecorator[str]):
    """A text for people, often taken from somewhere else: whatever a database can't keep is written as an escape."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value if value is None else storable(value)


class OperationState(StrEnum):
    """Where an operation is."""

    PLANNED = "planned"
    """Accepted; no slice has run yet."""
    RUNNING = "running"
    PAUSED = "paused"
    """By a person: nothing new starts."""
    HALTED = "halted"
    """By itself: it waits for a person."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({OperationState.SUCCEEDED, OperationState.FAILED, OperationState.CANCELLED})


class Intent(StrEnum):
    """What people want of an operation. Requests write it; the slice that holds the lease acts on it."""

    RUN = "run"
    PAUSE = "pause"
    CANCEL = "cancel"


class Operation(SQLModel, table=True):
    """A durable piece of work."""

    id: str = Field(primary_key=True, max_length=64)
    kind: str = Field(max_length=32, index=True)
    cloud: str = Field(max_length=200)
    target: str = Field(max_length=255)
    active_key: str | None = Field(default=None, max_length=500, unique=True)
    """kind, cloud and target while it has not ended, then NULL: at most one living operation for a target."""
    parameters: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    reason: str = Field(max_length=500)
    requester: str = Field(max_length=200)
    state: OperationState = Field(default=OperationState.PLANNED, sa_type=Text, index=True)
    intent: Intent = Field(default=Intent.RUN, sa_type=Text)
    intent_options: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    intent_serial: int = Field(default=0)
    """Counts the requests, so that a second resume is told from the first."""
    note: str = Field(default="", sa_type=Prose)
    """Why it halted, failed or waits; empty while there is nothing to explain."""
    memo: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    """What the kind of operation must remember between two slices."""
    resuming: bool = Field(default=False)
    """Somebody resumed it, and no slice has ended well since."""
    failures: int = Field(default=0)
    """Unexpected errors in a row."""
    created_at: datetime = Field(sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    next_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)
    """When the next slice is due; NULL when nothing is to be done until somebody asks."""
    lease_token: str | None = Field(default=None, max_length=64)
    lease_until: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Step(SQLModel, table=True):
    """One part of an operation: a server moved, a host upgraded, a probe's step."""

    __table_args__ = (UniqueConstraint("operation_id", "subject"),)

    id: int | None = Field(default=None, primary_key=True)
    operation_id: str = Field(foreign_key="operation.id", index=True, max_length=64)
    subject: str = Field(max_length=255)
    name: str = Field(default="", max_length=255)
    position: int = Field(default=0)
    action: str = Field(max_length=32)
    to: str | None = Field(default=None, max_length=255)
    state: str = Field(max_length=32)
    attempts: int = Field(default=0)
    error: str | None = Field(default=None, sa_type=Prose)
    details: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    not_before: datetime | None = Field(default=None, sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class InboxEvent(SQLModel, table=True):
    """An event that was received, written in the transaction of its effect; a second delivery finds it here."""

    __tablename__ = "inbox"

    source: str = Field(primary_key=True, max_length=500)
    id: str = Field(primary_key=True, max_length=500)
    type: str = Field(max_length=200)
    received_at: datetime = Field(sa_type=UtcDateTime, index=True)
    outcome: str = Field(max_length=16)
    """accepted, rejected, or unknown: rejected for its type alone, so that another function may still take it."""
    reason: str = Field(default="", sa_type=Prose)
    """Why it was rejected."""
    operation_id: str | None = Field(default=None, max_length=64)
    reply: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    """What was answered, to be answered again."""


class OutboxEvent(SQLModel, table=True):
    """An event to be sent, written in the transaction of the change that caused it."""

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_waiting", "sent_at", "serial"),)

    serial: int | None = Field(default=None, primary_key=True)
    event: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    operation_id: str | None = Field(default=None, max_length=64, index=True)
    created_at: datetime = Field(sa_type=UtcDateTime)
    sent_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    sent_by: str = Field(default="", max_length=16)
    """reply, sink, nobody where there is nowhere to send to, or refused when the sink will never take it."""


class DeadLetter(SQLModel, table=True):
    """An event that the broker could not deliver, kept until somebody has it sent again or it is too old."""

    __tablename__ = "dead_letter"
    __table_args__ = (Index("ix_dead_letter_waiting", "replayed_at", "last_at"),)

    id: str = Field(primary_key=True, max_length=16)
    """Made from the event's source and id, so that the same event is one letter however often it comes."""
    source: str = Field(max_length=500)
    event_id: str = Field(max_length=500)
    type: str = Field(max_length=200)
    subject: str | None = Field(default=None, max_length=500)
    event: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    """The event as a JSON document without its secrets; NULL if it is too large to be kept."""
    first_at: datetime = Field(sa_type=UtcDateTime, index=True)
    last_at: datetime = Field(sa_type=UtcDateTime)
    times: int = Field(default=1)
    """How often it came."""
    code: int | None = Field(default=None)
    """HTTP status of the last try to deliver it; NULL after a time-out, of which the broker says nothing."""
    destination: str = Field(default="", max_length=500)
    """Where it could not be delivered to."""
    answer: str = Field(default="", sa_type=Prose)
    """What was answered there."""
    hindrance: str = Field(default="", sa_type=Prose)
    """Why it can't be sent again; empty if it can."""
    good_until: datetime = Field(sa_type=UtcDateTime)
    """When receivers begin to refuse it for its age."""
    replayed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """NULL while it waits, also when it has come back after it was sent again."""
    replayed_by: str | None = Field(default=None, max_length=64)
    """Id of the operation that sent it last."""


class AuditEntry(SQLModel, table=True):
    """One act: who, why, which event, what was before and after. Rows are only ever added."""

    __tablename__ = "audit"

    serial: int | None = Field(default=None, primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime)
    operation_id: str | None = Field(default=None, max_length=64, index=True)
    who: str = Field(max_length=200)
    why: str = Field(default="", sa_type=Prose)
    event: str = Field(default="", max_length=1001)
    """source and id of the event that asked for it, with a space between."""
    act: str = Field(max_length=64)
    subject: str = Field(max_length=255)
    before: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    after: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
