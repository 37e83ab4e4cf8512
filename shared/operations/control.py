"""Pause, resume and cancel: a request writes what people want; the slice that holds the lease acts on it."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, select

from shared.errors import Rejected
from shared.events import (
    Event,
    OperationAnswered,
    OperationCancelRequested,
    OperationPauseRequested,
    OperationResumeRequested,
)
from shared.operations import audit, inbox
from shared.operations.audit import Act
from shared.store import ENDED, Intent, Operation, OperationState

ControlRequest = OperationPauseRequested | OperationResumeRequested | OperationCancelRequested
CONTROL_REQUESTS = (OperationPauseRequested, OperationResumeRequested, OperationCancelRequested)


def apply(session: Session, request: ControlRequest, event: Event, now: datetime) -> OperationAnswered:
    """Store what is asked for, and make the operation due at once.

    Raises:
        Rejected: there is no such operation, or it has ended.
    """
    query = select(Operation).where(Operation.id == request.operation).with_for_update()
    operation = session.exec(query).first()
    if operation is None:
        raise Rejected(f"there is no operation {request.operation!r}; `drover ops list` shows them all")
    if operation.state in ENDED:
        raise Rejected(f"operation {operation.id} has {operation.state} already; nothing can be changed any more")
    intent, message = _wanted(request, operation)
    if intent != operation.intent or isinstance(request, OperationCancelRequested):
        verb = request.event_type.split(".")[-2]
        act = Act(f"{verb} operation", operation.id, {"intent": operation.intent}, {"intent": intent})
        audit.note(
            session, operation, act, now,
            who=request.requester, why=request.reason, event=" ".join(inbox.key(event)),
        )  # fmt: skip
        operation.intent = intent
        operation.intent_options = request.model_dump(include={"undo"}) | {"why": request.reason}
        operation.intent_serial += 1
        operation.next_at = now
        session.add(operation)
    return OperationAnswered(operation=operation.id, state=operation.state, intent=intent, message=message)


def _wanted(request: ControlRequest, operation: Operation) -> tuple[Intent, str]:
    if isinstance(request, OperationCancelRequested):
        return Intent.CANCEL, "It ends: what can be aborted is aborted, the rest is followed to its end."
    halted = operation.state == OperationState.HALTED
    if operation.intent == Intent.CANCEL:
        way_out = f" It has halted ({operation.note}): cancel it once more to go on with that." if halted else ""
        raise Rejected(f"operation {operation.id} is being cancelled; that cannot be taken back.{way_out}")
    if isinstance(request, OperationPauseRequested):
        if halted:
            return Intent.PAUSE, f"It has halted already: {operation.note}"
        return Intent.PAUSE, "Nothing new starts; what runs is followed to its end."
    if operation.intent == Intent.RUN and not halted:
        return Intent.RUN, "Nothing to resume: nobody has paused it, and it has not halted."
    if operation.state in (OperationState.PAUSED, OperationState.HALTED):
        return Intent.RUN, "It goes on, with a fresh error budget."
    return Intent.RUN, "It goes on."
