"""How long a move and a whole drain will take: an assumption at first, then what was seen."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from functions.migrate.model import AWAY, Action
from shared.fleet.snapshot import Server

MIB_PER_GIB = 1024


@dataclass(frozen=True, slots=True)
class Pace:
    """What a move costs.

    The defaults assume a migration network of 10 Gbit/s: one stream carries about 8 Gbit/s, that is 1.1 s per GiB, and
    a guest that works dirties about half of its pages again meanwhile, which makes 1.6 s per GiB.
    """

    overhead: float = 5.0
    """Seconds of every move, however small: pre-checks, port bindings, the switch-over, cleaning up."""
    seconds_per_gib: float = 1.6
    """Live migration, per GiB of guest memory."""
    seconds_per_disk_gib: float = 1.1
    """Cold migration, per GiB of local disk: a volume stays where it is."""
    rebuild: float = 30.0
    """Seconds of an evacuation beside the overhead: fetch the image, plug, boot."""
    failover: float = 90.0
    """Seconds of an amphora's failover beside the overhead: boot, plug the networks one by one, configure."""

    def seconds(self, server: Server, action: Action) -> float:
        """Forecast of one move; 0.0 for an action that moves nothing."""
        if action not in AWAY:
            return 0.0
        if action is Action.FAIL_OVER:
            return self.overhead + self.failover
        if action is Action.EVACUATE:
            return self.overhead + self.rebuild
        if action is Action.COLD_MIGRATE:
            local = 0 if server.volume_backed else server.uses.get("DISK_GB", 0)
            return self.overhead + local * self.seconds_per_disk_gib
        return self.overhead + server.memory_mb / MIB_PER_GIB * self.seconds_per_gib


DEFAULT_PACE = Pace()


@dataclass(frozen=True, slots=True)
class Finished:
    """One live migration that has ended well."""

    memory_mb: int
    seconds: float


def learn(finished: Iterable[Finished], pace: Pace = DEFAULT_PACE) -> Pace:
    """`pace`, with what the finished moves tell: the median of their seconds per GiB beyond the overhead.

    Where moves were quicker than the assumed overhead, the quickest one becomes the overhead. Without any usable move
    (one with memory and a duration above 0) the pace is returned as it is.
    """
    seen = [move for move in finished if move.memory_mb > 0 and move.seconds > 0]
    if not seen:
        return pace
    overhead = min(pace.overhead, min(move.seconds for move in seen))
    rates = [(move.seconds - overhead) / (move.memory_mb / MIB_PER_GIB) for move in seen]
    return replace(pace, overhead=overhead, seconds_per_gib=median(rates))


def makespan(seconds: Sequence[float], at_a_time: int) -> float:
    """Seconds until all moves are through, `at_a_time` running, each next one the longest left (list scheduling).

    At least one runs at a time. Limits of targets and server groups are not looked at: they rarely bind one source.
    """
    lanes = [0.0] * max(1, at_a_time)
    for duration in sorted(seconds, reverse=True):
        heapq.heapreplace(lanes, lanes[0] + duration)
    return max(lanes)
