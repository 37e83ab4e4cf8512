"""The trace: an operation that captures RPC traffic for a while, and says what it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from functions.rpc_trace import saved
from functions.rpc_trace.analysis import Analysis
from functions.rpc_trace.capture import Capture
from functions.rpc_trace.consumer import Take
from functions.rpc_trace.ended import Ended
from functions.rpc_trace.events import Mode, TracePlanned, TraceRequested
from functions.rpc_trace.light import LightCapture
from functions.rpc_trace.metrics import QueueCapture
from functions.rpc_trace.price import plan
from functions.rpc_trace.report import report
from functions.rpc_trace.sighting import sighting
from functions.rpc_trace.tree import tree_document
from shared.clock import Clock, SystemClock
from shared.errors import Rejected, Retry
from shared.events import EventData
from shared.operations import Act, Prepared, Work
from shared.rabbit import Broker, find_broker
from shared.store import Operation, OperationState, Step

SLICE_SECONDS = 5.0
"""How long one slice reads before it saves what it knows."""
GRACE_SECONDS, GRACE_ROUND = 3.0, 0.5
"""How long replies are waited for when the time is over, and between two looks whether all have come."""
MOST_VERDICTS = 200
"""Verdicts that are kept in the store, and told with the facts."""

Find = Callable[[str | None], Broker]


class Source(Protocol):
    """One of the ways to capture."""

    def open(self) -> None:
        """Begin; Permanent if that must not be."""
        ...

    def is_open(self) -> bool:
        """Whether what `open` made is still there."""
        ...

    def read(self, take: Take, seconds: float) -> str:
        """Hand over what comes; returns why it had to stop before its time."""
        ...

    def close(self, take: Take, taken: int) -> Ended:
        """End, and remove whatever `open` made; `taken` events were handed over before."""
        ...

    def connections(self) -> dict[str, str]:
        """What each connection calls itself, by its name in the firehose."""
        ...

    def facts(self) -> dict[str, Any]:
        """What it adds to the report of its own."""
        ...


@dataclass
class _Session:
    """What this process knows of an operation: it counts as long as nobody else has gone on with it."""

    serial: int
    analysis: Analysis
    source: Source


class Trace:
    """The kind of operation behind `io.drover.trace.requested`. Its target is the vhost: one capture at a time."""

    name = "trace"
    requests: Sequence[type[EventData]] = (TraceRequested,)

    def __init__(self, find: Find = find_broker, clock: Clock | None = None) -> None:
        self._find = find
        self._clock = clock or SystemClock()
        self._sessions: dict[str, _Session] = {}

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
        request = TraceRequested.model_validate(work.operation.parameters)
        session = self._session(work, request)
        source = session.source
        if "opened_at" not in work.memo:
            if not work.may_start:
                if work.cancelled:
                    work.end(OperationState.CANCELLED, "nothing had been captured")
                self._sessions.pop(work.operation.id, None)
                return None
            self._open(work, source, request)
        why = ""
        left = request.seconds - (self._clock.now() - _time(work.memo["opened_at"])).total_seconds()
        if left > 0 and work.may_start:
            if not source.is_open():
                self._open_again(work, source, session)
            work.memo["reading"] = True
            work.save()
            why = source.read(_taking(session.analysis), min(left, SLICE_SECONDS))
            left -= SLICE_SECONDS
        if left > 0 and work.may_start and not why:
            self._save(work, session)
            return 0.0
        if request.mode is Mode.FULL and work.may_start and not why:
            self._wait_for_replies(source, session.analysis)
        self._close(work, source, session, why)
        return None

    def summary(self, operation: Operation, steps: Sequence[Step]) -> dict[str, Any]:
        """Seconds, events and coverage; at the end the report, and the tree of the request that was asked for."""
        memo = operation.memo
        begun = memo.get("opened_at")
        kept: dict[str, Any] = {name: memo[name] for name in ("report", "request") if name in memo}
        return {
            "mode": operation.parameters.get("mode"),
            "seconds_wanted": operation.parameters.get("seconds"),
            "seconds": (self._clock.now() - _time(begun)).total_seconds() if begun and not kept else None,
            "events": memo.get("events", 0),
            **kept,
        }

    # -- the parts of a slice -----------------------------------------------------------------------------------

    def _source(self, work: Work, request: TraceRequested) -> Source:
        broker = self._find(request.cloud)
        match request.mode:
            case Mode.FULL:
                return Capture(broker, work.operation.id)
            case Mode.LIGHT:
                return LightCapture(broker)
            case Mode.METRICS:
                return QueueCapture(broker)

    def _open(self, work: Work, source: Source, request: TraceRequested) -> None:
        """The intent is stored first: a successor closes what this one may have opened."""
        work.memo["opened_at"] = self._clock.now().isoformat()
        act = "arm firehose" if request.mode is Mode.FULL else "begin capture"
        work.save(acts=[Act(act, work.operation.target, after={"mode": str(request.mode), "seconds": request.seconds})])
        try:
            source.open()
        except Retry:
            del work.memo["opened_at"]  # whatever was made of it expires by itself
            work.save()
            raise
        work.save(facts=["started"])

    def _open_again(self, work: Work, source: Source, session: _Session) -> None:
        """Nobody read for so long that RabbitMQ has removed the queue: what came meanwhile was not seen."""
        source.open()
        session.analysis.missed_until(self._clock.now().timestamp())
        work.save(acts=[Act("begin capture again", work.operation.target)])

    def _session(self, work: Work, request: TraceRequested) -> _Session:
        known, serial = self._sessions.get(work.operation.id), work.memo.get("serial", 0)
        if known is not None and known.serial == serial:
            return known
        if "analysis" in work.memo:
            analysis = saved.load(work.memo["analysis"])
            if work.memo.get("reading"):  # a process died with what it had read and not saved
                analysis.missed_until(self._clock.now().timestamp())
        else:
            analysis = Analysis(request.request_id, judging=request.mode is Mode.FULL)
        source = self._source(work, request)
        session = self._sessions[work.operation.id] = _Session(serial, analysis, source)
        return session

    def _save(self, work: Work, session: _Session) -> None:
        session.serial += 1
        analysis = session.analysis
        work.memo.update(serial=session.serial, analysis=saved.dump(analysis), events=analysis.statistics.events)
        work.memo["reading"] = False
        work.save()

    def _wait_for_replies(self, source: Source, analysis: Analysis) -> None:
        """The time is over: what is on its way is seen to its end, and nothing new counts."""
        analysis.close_to_new()
        for _ in range(int(GRACE_SECONDS / GRACE_ROUND)):
            if not analysis.correlator.waiting or not source.is_open():
                return
            source.read(_taking(analysis), GRACE_ROUND)

    def _close(self, work: Work, source: Source, session: _Session, why: str) -> None:
        analysis = session.analysis
        ended = source.close(_taking(analysis), analysis.statistics.events + analysis.ignored)
        analysis.name_connections(source.connections())
        analysis.end(ended.until, ended.dropped)
        request = TraceRequested.model_validate(work.operation.parameters)
        work.memo["report"] = report(analysis, MOST_VERDICTS, request.method) | source.facts()
        if analysis.trace is not None:
            work.memo["request"] = tree_document(analysis.trace)
        work.memo["events"] = analysis.statistics.events
        work.memo.pop("analysis", None)
        self._sessions.pop(work.operation.id, None)
        note = f"it ended early: {why}" if why else ""
        act = Act("end capture", work.operation.target, after={"events": analysis.statistics.events, "note": note})
        work.end(OperationState.CANCELLED if work.cancelled else OperationState.SUCCEEDED, note, act)


def _taking(analysis: Analysis) -> Take:
    return lambda at, key, headers, body: analysis.take(sighting(at, key, headers, body))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
