"""The whole analysis of one capture, live or from a file: each event goes in once, the verdicts and counts come out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from functions.rpc_trace.call import Call, Cast
from functions.rpc_trace.correlate import Correlator
from functions.rpc_trace.coverage import Coverage
from functions.rpc_trace.own import OWN_QUEUES
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
        self.gaps: list[tuple[float, float]] = []
        """Times, in order, from which to which nothing was seen, in seconds since 1970."""
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
        """Events that came after `close_to_new`, and those of Drover's own queues."""
        self._closing = False
        self._until: float | None = None
        self._ended = True

    def take(self, seen: Sighting) -> None:
        """Take one event."""
        if seen.queue in OWN_QUEUES or (self._closing and not self.correlator.knows(seen.message)):
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
    def gap(self) -> float:
        """Seconds in which nothing was seen."""
        return sum(end - begin for begin, end in self.gaps)

    @property
    def percent_seen(self) -> float:
        """Coverage in percent."""
        percent = self.coverage.percent(self.statistics.events, self.dropped)
        gap = self.gap
        if not gap:
            return percent
        whole = max(self.statistics.seconds, gap)
        return round(percent * (whole - gap) / whole, 3)

    def missed_until(self, now: float) -> None:
        """Nobody read: from the last event that is known of until now everything was missed."""
        begin = max(self.statistics.last, self.gaps[-1][1] if self.gaps else 0.0)
        if self.statistics.events and now > begin:
            self.gaps.append((begin, now))

    def _call(self, call: Call) -> None:
        verdict = judge(call, self._seen_until(call), ended=self._ended) if self.judging else None
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

    def _seen_until(self, call: Call) -> float:
        """Up to when everything was seen that could have come of a call: what came in a gap after it is not known."""
        until = self.correlator.now if self._until is None else self._until
        return min([until, *(begin for begin, end in self.gaps if end > call.seen)])

    def _cast(self, cast: Cast) -> None:
        self.statistics.cast(cast)
        self.coverage.cast(cast, self.statistics.first or 0.0)
        if self.trace is not None:
            self.trace.cast(cast)
