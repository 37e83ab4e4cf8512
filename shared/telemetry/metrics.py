"""Prometheus metrics of one process, in a registry of their own (`shared.telemetry.scraping` serves them).

Names follow Prometheus' conventions: base units, `_total` for counters. Every label has few values: an
event's type or a service's name, which come from outside, are counted as `other` beyond LABEL_LIMIT.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from shared.telemetry.families import Families, Family

LABEL_LIMIT = 100
"""Distinct values of a label that comes from outside."""
SLICE_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 30.0, 45.0, 60.0)
"""Seconds; a slice is to stay under 60."""


class Metrics:
    """What is counted; the methods are called where it happens."""

    def __init__(self) -> None:
        here = self.registry = CollectorRegistry()
        self._seen: dict[str, set[str]] = {}
        text = "Events by type and what became of them."
        self._events = Counter("drover_events_received", text, ["type", "result"], registry=here)
        text = "Requests that were turned away, by the means that refused and why."
        self._refused = Counter("drover_refused", text, ["door", "reason"], registry=here)
        text = "Duration of one slice of an operation."
        self._slices = Histogram("drover_slice_seconds", text, ["kind"], registry=here, buckets=SLICE_BUCKETS)
        text = "Slices that ended with an error, which will be tried again."
        self._errors = Counter("drover_slice_errors", text, ["kind", "result"], registry=here)
        text = "Operations in the store by kind and state."
        self._operations = Gauge("drover_operations", text, ["kind", "state"], registry=here)
        text = "Events that are stored and not sent yet."
        self._outbox = Gauge("drover_outbox_waiting", text, registry=here)
        text = "Events that a broker could not deliver, and that nobody has had sent again."
        self._dead_letters = Gauge("drover_dead_letters_waiting", text, registry=here)
        self._told = Families()
        here.register(self._told)

    def event_received(self, type: str, result: str) -> None:
        """An event of a type was `accepted`, `duplicate`, `rejected`, put off (`later`) or a dead letter (`dead`)."""
        self._events.labels(self._bounded("type", type), result).inc()

    def refused(self, door: str, reason: str) -> None:
        """A request was turned away: by which means, and why, in one word or two (`shared.access`)."""
        self._refused.labels(door, reason).inc()

    def slice_ended(self, kind: str, seconds: float) -> None:
        """One invocation worked on an operation for so many seconds."""
        self._slices.labels(kind).observe(seconds)

    def slice_erred(self, kind: str, result: str) -> None:
        """A slice was `put off` because something outside was not ready, or met something `unexpected`: a bug."""
        self._errors.labels(kind, result).inc()

    def operations(self, numbers: Mapping[tuple[str, str], int]) -> None:
        """How many operations the store has of each kind in each state; what is not named has none."""
        self._operations.clear()
        for (kind, state), number in numbers.items():
            self._operations.labels(kind, state).set(number)

    def outbox_waiting(self, number: int) -> None:
        """So many events wait to be sent."""
        self._outbox.set(number)

    def dead_letters_waiting(self, number: int) -> None:
        """So many dead letters wait for somebody to look at them."""
        self._dead_letters.set(number)

    def told(self, families: Iterable[Family]) -> None:
        """What living operations tell of themselves in numbers; what was told before is forgotten."""
        self._told.put(families)

    def _bounded(self, label: str, value: str) -> str:
        seen = self._seen.setdefault(label, set())
        if value not in seen and len(seen) >= LABEL_LIMIT:
            return "other"
        seen.add(value)
        return value
