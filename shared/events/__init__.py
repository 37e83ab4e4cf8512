"""Events: the plain `Event`, the models of their data, and the types that every function shares."""

from shared.events.common import (
    OperationAccepted,
    OperationAnswered,
    OperationCancelRequested,
    OperationFact,
    OperationPauseRequested,
    OperationResumeRequested,
    OperationsDue,
    RequestRejected,
    Tick,
)
from shared.events.event import Event
from shared.events.model import Catalogue, EventData

__all__ = [
    "Catalogue",
    "Event",
    "EventData",
    "OperationAccepted",
    "OperationAnswered",
    "OperationCancelRequested",
    "OperationFact",
    "OperationPauseRequested",
    "OperationResumeRequested",
    "OperationsDue",
    "RequestRejected",
    "Tick",
]
