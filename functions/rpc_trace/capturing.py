"""A capture in slices: each slice reads for some seconds, and saves what another process needs to go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from functions.rpc_trace import saved
from functions.rpc_trace.analysis import Analysis
from functions.rpc_trace.consumer import Take
from functions.rpc_trace.ended import Ended
from functions.rpc_trace.events import Mode, TraceRequested
from functions.rpc_trace.report import report
from functions.rpc_trace.sighting import sighting
from functions.rpc_trace.tree import tree_document
from shared.clock import Clock
from shared.errors import Retry
from shared.operations import Act, Work

SLICE_SECONDS = 5.0
"""How long one slice reads before it saves what it knows."""
GRACE_SECONDS, GRACE_ROUND = 3.0, 0.5
"""How long replies are waited for when the time is over, and between two looks whether all have come."""
MOST_VERDICTS = 200
"""Verdicts that are kept in the store, and told with the facts."""
KEYS = ("opened_at", "serial", "analysis", "events", "reading")
"""What of an operation's memo is the capture's."""


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


@dataclass(frozen=True)
class Captured:
    """A capture that has ended.

    Attributes:
        report: as `report.report` makes it, with the facts of its source.
        request: the tree of the request that was asked for.
        why: it ended before its time, and why; else empty.
    """

    analysis: Analysis
    report: dict[str, Any]
    request: dict[str, Any] | None
    why: str

    @property
    def note(self) -> str:
        """For the operation: empty if all went as wanted."""
        return f"it ended early: {self.why}" if self.why else ""


@dataclass
class _Session:
    """What this process knows of an operation: it counts as long as nobody else has gone on with it."""

    serial: int
    analysis: Analysis
    source: Source


class Captures:
    """The captures that this process has a hand in; what is to outlive it is in the operations' memos.

    Args:
        source: makes the source of a capture that an operation wants.
    """

    def __init__(self, source: Callable[[Work, TraceRequested], Source], clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._sessions: dict[str, _Session] = {}

    @staticmethod
    def is_under_way(work: Work) -> bool:
        """Whether something may be open on the broker."""
        return "opened_at" in work.memo

    def advance(
        self, work: Work, request: TraceRequested, *, told: bool = True, also: Take | None = None
    ) -> Captured | None:
        """One slice of reading; the first one begins, the last one ends the capture.

        Args:
            told: whether its beginning goes on record, and is a fact.
            also: gets every message too.

        Returns:
            The `Captured` at its end, None before.

        Raises:
            Permanent: it must not begin.
            Retry: the broker does not answer.
        """
        session = self._session(work, request)
        source, take = session.source, _taking(session.analysis, also)
        if not self.is_under_way(work):
            self._open(work, source, request, told=told)
        why = ""
        left = request.seconds - (self._clock.now() - _time(work.memo["opened_at"])).total_seconds()
        if left > 0 and work.may_start:
            if not source.is_open():
                self._open_again(work, source, session)
            work.memo["reading"] = True
            work.save()
            why = source.read(take, min(left, SLICE_SECONDS))
            left -= SLICE_SECONDS
        if left > 0 and work.may_start and not why:
            self._save(work, session)
            return None
        if request.mode is Mode.FULL and work.may_start and not why:
            why = self._wait_for_replies(source, session.analysis, take)
        return self._close(work, request, session, take, why)

    def forget(self, work: Work) -> None:
        """The operation has ended, or will begin anew."""
        self._sessions.pop(work.operation.id, None)

    # -- the parts of a slice -----------------------------------------------------------------------------------

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
        session = self._sessions[work.operation.id] = _Session(serial, analysis, self._source(work, request))
        return session

    def _open(self, work: Work, source: Source, request: TraceRequested, *, told: bool) -> None:
        """The intent is stored first: a successor closes what this one may have opened."""
        work.memo["opened_at"] = self._clock.now().isoformat()
        act = "arm firehose" if request.mode is Mode.FULL else "begin capture"
        after = {"mode": str(request.mode), "seconds": request.seconds}
        work.save(acts=[Act(act, work.operation.target, after=after)] if told else ())
        try:
            source.open()
        except Retry:
            del work.memo["opened_at"]  # whatever was made of it expires by itself
            work.save()
            raise
        if told:
            work.save(facts=["started"])

    def _open_again(self, work: Work, source: Source, session: _Session) -> None:
        """Nobody read for so long that RabbitMQ has removed the queue: what came meanwhile was not seen."""
        source.open()
        session.analysis.missed_until(self._clock.now().timestamp())
        work.save(acts=[Act("begin capture again", work.operation.target)])

    def _save(self, work: Work, session: _Session) -> None:
        session.serial += 1
        analysis = session.analysis
        work.memo.update(serial=session.serial, analysis=saved.dump(analysis), events=analysis.statistics.events)
        work.memo["reading"] = False
        work.save()

    def _wait_for_replies(self, source: Source, analysis: Analysis, take: Take) -> str:
        """The time is over: what is on its way is seen to its end, and nothing new counts.

        Returns:
            Why it could not be waited for; else empty.
        """
        analysis.close_to_new()
        for _ in range(int(GRACE_SECONDS / GRACE_ROUND)):
            if not analysis.correlator.waiting or not source.is_open():
                return ""
            if why := source.read(take, GRACE_ROUND):
                return why
        return ""

    def _close(self, work: Work, request: TraceRequested, session: _Session, take: Take, why: str) -> Captured:
        analysis, source = session.analysis, session.source
        ended = source.close(take, analysis.statistics.events + analysis.ignored)
        analysis.name_connections(source.connections())
        analysis.end(ended.until, ended.dropped)
        self.forget(work)
        for key in KEYS:
            work.memo.pop(key, None)
        found = report(analysis, MOST_VERDICTS, request.method) | source.facts()
        tree = None if analysis.trace is None else tree_document(analysis.trace)
        return Captured(analysis, found, tree, why)


def _taking(analysis: Analysis, also: Take | None) -> Take:
    if also is None:
        return lambda at, key, headers, body: analysis.take(sighting(at, key, headers, body))

    def take(at: float, key: str, headers: Any, body: bytes) -> None:
        also(at, key, headers, body)
        analysis.take(sighting(at, key, headers, body))

    return take


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
