"""Operations: durable pieces of work, advanced in short slices by whoever holds the lease."""

from shared.operations.audit import Act
from shared.operations.engine import Engine
from shared.operations.facts import News
from shared.operations.kind import Housekeeping, Kind, Prepared
from shared.operations.lease import LeaseLost
from shared.operations.limits import Limits
from shared.operations.outbox import Sink
from shared.operations.work import Work

__all__ = ["Act", "Engine", "Housekeeping", "Kind", "LeaseLost", "Limits", "News", "Prepared", "Sink", "Work"]
