"""The whole analysis of one capture, live or from a file: each event goes in once, the verdicts and counts come out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from functions.rpc_trace.call import Call, Cast
from functions.rpc_trace.correlate import Correlator
from functions.rpc_trace.coverage import Coverage
from functions.rpc_trace.request import RequestTrace
from functions.rpc_trace.sighting import Sighting
from functions.rpc_trace.statistics import Statistics
from functions.rpc_trace.verdict import Cause, Verdict, judge

MOST_VERDICTS = 10_000
"""Verdicts that are kept one by one; `causes` counts all."""


class Analysis:
    """Takes every event of a capture once, then `end`.

    Args:
        request_id: of one user request, its own or its global id: its calls and casts are kept for a tree.
        judging: whether replies are seen at all; else nothing can be said of calls without one.
    """

    def __init__(self, request_id: str | None = None, *, judging: bool = True) -> None:
        self.judging = judging
        self._missed_until = 0.0
        self.gap = 0.0
        """Seconds in which nothing was seen."""
        self.statistics = Statistics()
        self.coverage = Coverage()
        self.correlator = Correlator(self._call, self._cast)
        self.verdicts: list[Verdict] = []
        self.causes: Counter[Cause] = Counter()
        self.trace = RequestTrace(request_id) if request_id else None
        self.dropped = 0
        """Events that the capture itself has missed, as far as it knows."""
        self.in_flight = 0
        """Calls that were still in time when the capture ended."""
        self.connections: Mapping[str, str] = {}
        """What connections call themselves, where RabbitMQ was asked."""
        self.ignored = 0
        """Events that came after `close_to_new`."""
        self._closing = False
        self._until: float | None = None
        self._ended = True

    def take(self, seen: Sighting) -> None:
        """Take one event."""
        if self._closing and not self.correlator.knows(seen.message):
            self.ignored += 1
            return
        self.statistics.see(seen)
        entry = self.correlator.take(seen)
        if self.trace is not None and entry is not None:
            self.trace.see(seen, entry)

    def name_connections(self, connections: Mapping[str, str]) -> None:
        """Say what connections call themselves, by their names in the firehose."""
        self.connections = connections
        if self.trace is not None:
            self.trace.processes.name(connections)

    def close_to_new(self) -> None:
        """From now on only what belongs to the calls and casts that are open counts: their replies may still come."""
        self._closing = True

    def end(self, until: float | None = None, dropped: int = 0) -> None:
        """Judge what is open.

        Args:
            until: when the capture ended, in seconds since 1970; None if nobody knows, as of a file that was cut off.
            dropped: events that the capture itself has missed, as far as it knows.
        """
        self._until, self._ended, self.dropped = until, until is not None, dropped
        self.correlator.end()

    @property
    def percent_seen(self) -> float:
        """Coverage in percent."""
        percent = self.coverage.percent(self.statistics.events, self.dropped)
        if not self.gap:
            return percent
        whole = max(self.statistics.seconds, self.gap)
        return round(percent * (whole - self.gap) / whole, 3)

    def missed_until(self, now: float) -> None:
        """Nobody read: from the last event that is known of until now everything was missed."""
        if self.statistics.events:
            self.gap += max(0.0, now - max(self.statistics.last, self._missed_until))
            self._missed_until = now

    def _call(self, call: Call) -> None:
        until = self.correlator.now if self._until is None else self._until
        verdict = judge(call, until, ended=self._ended) if self.judging else None
        self.statistics.call(call, verdict)
        self.coverage.call(call, self.statistics.first or 0.0)
        if verdict is not None:
            self.causes[verdict.cause] += 1
            if len(self.verdicts) < MOST_VERDICTS:
                self.verdicts.append(verdict)
        elif self.judging and call.replied is None and call.published is not None:
            self.in_flight += 1
        if self.trace is not None:
            self.trace.call(call, verdict)

    def _cast(self, cast: Cast) -> None:
        self.statistics.cast(cast)
        self.coverage.cast(cast, self.statistics.first or 0.0)
        if self.trace is not None:
            self.trace.cast(cast)
