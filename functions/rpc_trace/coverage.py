"""Which share of the messages a capture has seen: what must have happened and was not seen is counted."""

from __future__ import annotations

from functions.rpc_trace.call import Call, Cast

BEFORE = 5.0
"""Seconds from the capture's begin in which a delivery may belong to something that was published before it."""


class Coverage:
    """Counts what is missing. A reply proves that its request was published and delivered, a delivery that something
    was published; what may have been before the capture's begin is not missing.
    """

    def __init__(self) -> None:
        self.missing = 0

    def call(self, call: Call, begin: float) -> None:
        """Count what of a call was not seen."""
        if call.published is None:
            began_before = call.delivered is None or call.seen < begin + BEFORE
            self.missing += not began_before
        elif call.delivered is None and call.replied is not None:
            self.missing += 1
        if call.answered is not None and call.replied is None:
            self.missing += call.published is not None or call.seen >= begin + BEFORE

    def cast(self, cast: Cast, begin: float) -> None:
        """Count what of a cast was not seen."""
        self.missing += cast.published is None and cast.seen >= begin + BEFORE

    def percent(self, seen: int, dropped: int) -> float:
        """The share of what was seen, of that and what was missed, in percent, rounded down to three digits.

        Args:
            seen: events.
            dropped: events of which the capture itself knows that it missed them; what is missing is among them.
        """
        missed = max(self.missing, dropped)
        return 100.0 if not missed else int(100_000 * seen / (seen + missed)) / 1000
