"""Operations: durable pieces of work, advanced in short slices by whoever holds the lease."""

from shared.operations.audit import Act
from shared.operations.engine import Engine, Limits
from shared.operations.kind import Kind, Prepared
from shared.operations.lease import LeaseLost
from shared.operations.outbox import Sink
from shared.operations.work import Work

__all__ = ["Act", "Engine", "Kind", "LeaseLost", "Limits", "Prepared", "Sink", "Work"]
