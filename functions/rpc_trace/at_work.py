"""What a process was at work on when it sent something, for thousands of RPCs of one request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from functions.rpc_trace.call import Call

if TYPE_CHECKING:
    from functions.rpc_trace.request import Node

DISORDER = 0.005
"""Seconds by which two channels of the broker may show things in the wrong order."""


class AtWork:
    """The RPCs that were delivered to one process; asked for later and later moments, it forgets what is over.

    Args:
        nodes: in the order in which they began.
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._coming = sorted((node for node in nodes if node.rpc.delivered is not None), key=_delivered)[::-1]
        self._open: list[Node] = []
        """Those that may still be asked for, in the order of their delivery."""

    def last(self, begin: float) -> Node | None:
        """The last that was delivered before `begin` and not answered then; when a cast is through is not seen."""
        while self._coming and _delivered(self._coming[-1]) <= begin + DISORDER:
            self._open.append(self._coming.pop())
        self._forget(begin)
        found: Node | None = None
        for node in reversed(self._open):
            if found is not None and _delivered(node) < _delivered(found):
                break
            if node.begin < begin:
                found = node  # of those that were delivered at one time the first
        return found

    def _forget(self, begin: float) -> None:
        """Calls that were answered, and what never ends and has something that never ends after it."""
        kept: list[Node] = []
        later: float | None = None
        for node in reversed(self._open):
            answered = node.rpc.replied if isinstance(node.rpc, Call) else None
            if answered is None:  # a cast, or a call whose server may be at work on it for ever
                if later is not None and _delivered(node) < later:
                    continue
                if node.begin < begin:
                    later = _delivered(node)
            elif answered < begin - DISORDER:
                continue
            kept.append(node)
        self._open = kept[::-1]


def _delivered(node: Node) -> float:
    return node.rpc.delivered or 0.0
