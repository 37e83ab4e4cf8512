"""The trace: an operation that captures RPC traffic for a while, and says what it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from functions.rpc_trace.capture import Capture
from functions.rpc_trace.capturing import Captured, Captures, Source
from functions.rpc_trace.events import Mode, TracePlanned, TraceRequested
from functions.rpc_trace.light import LightCapture
from functions.rpc_trace.metrics import QueueCapture
from functions.rpc_trace.price import plan
from shared.clock import Clock, SystemClock
from shared.errors import Rejected
from shared.events import EventData
from shared.operations import Act, Prepared, Work
from shared.rabbit import Broker, find_broker
from shared.store import Operation, OperationState, Step

Find = Callable[[str | None], Broker]


class Trace:
    """The kind of operation behind `io.drover.trace.requested`. Its target is the vhost: one capture at a time."""

    name = "trace"
    requests: Sequence[type[EventData]] = (TraceRequested,)

    def __init__(self, find: Find = find_broker, clock: Clock | None = None) -> None:
        self._find = find
        self._clock = clock or SystemClock()
        self._captures = Captures(self._source, self._clock)

    def prepare(self, request: EventData) -> Prepared:
        """Look whether the broker can be captured from."""
        assert isinstance(request, TraceRequested)
        broker = self._find(request.cloud)
        planned = plan(broker, request)
        answer: TracePlanned | None = planned if request.dry_run else None
        if not request.dry_run and not planned.feasible:
            raise Rejected(f"nothing was captured: {planned.refusal}")
        return Prepared(
            cloud=request.cloud,
            target=broker.vhost,
            reason=request.reason,
            requester=request.requester,
            parameters=request.model_dump(mode="json"),
            answer=answer,
        )

    def advance(self, work: Work) -> float | None:
        """One slice of reading; the first one begins, the last one ends the capture."""
        if not self._captures.is_under_way(work):
            if not work.may_start:
                if work.cancelled:
                    work.end(OperationState.CANCELLED, "nothing had been captured")
                self._captures.forget(work)
                return None
            work.memo["begun_at"] = self._clock.now().isoformat()
        request = TraceRequested.model_validate(work.operation.parameters)
        captured = self._captures.advance(work, request)
        if captured is None:
            return 0.0
        self._end(work, captured)
        return None

    def summary(self, operation: Operation, steps: Sequence[Step]) -> dict[str, Any]:
        """Seconds, events and coverage; at the end the report, and the tree of the request that was asked for."""
        memo = operation.memo
        begun = memo.get("begun_at")
        kept: dict[str, Any] = {name: memo[name] for name in ("report", "request") if name in memo}
        since = datetime.fromisoformat(begun) if begun and not kept else None
        return {
            "mode": operation.parameters.get("mode"),
            "seconds_wanted": operation.parameters.get("seconds"),
            "seconds": (self._clock.now() - since).total_seconds() if since else None,
            "events": memo["report"]["events"] if kept else memo.get("events", 0),
            **kept,
        }

    def _source(self, work: Work, request: TraceRequested) -> Source:
        broker = self._find(request.cloud)
        match request.mode:
            case Mode.FULL:
                return Capture(broker, work.operation.id)
            case Mode.LIGHT:
                return LightCapture(broker)
            case Mode.METRICS:
                return QueueCapture(broker)

    def _end(self, work: Work, captured: Captured) -> None:
        work.memo["report"] = captured.report
        if captured.request is not None:
            work.memo["request"] = captured.request
        after = {"events": captured.report["events"], "note": captured.note}
        act = Act("end capture", work.operation.target, after=after)
        work.end(OperationState.CANCELLED if work.cancelled else OperationState.SUCCEEDED, captured.note, act)
