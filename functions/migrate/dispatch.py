"""Which held moves start now, within every limit of the policy, whoever started what is already in flight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from functions.migrate.model import ACTIVE_MOVES, MOVES, Action, Dispatch, DrainPolicy, Move, MoveState
from shared.fleet.snapshot import Group, Migration

NO_GROUPS: Mapping[str, tuple[Group, ...]] = {}


def dispatch(
    moves: Sequence[Move],
    in_flight: Sequence[Migration],
    policy: DrainPolicy,
    source: str,
    now: datetime,
    groups_of: Mapping[str, tuple[Group, ...]] = NO_GROUPS,
) -> Dispatch:
    """The held moves of `moves` to start at `now`, and why each of the others waits.

    The most urgent start first, and of those that are equally urgent the longest.

    `in_flight`: the migrations of the whole cloud; those that are through are ignored, and one of a move of ours counts
    once. `groups_of`: `Fleet.groups_of`, so that foreign migrations of a group's members are seen; without it only the
    groups that the moves name are known. Times are aware or naive, but all alike.

    Only one member of a server group, hard or soft, is in flight at a time: Nova checks the group before the move and
    not at its end, so that two of them may land on one host (https://bugs.launchpad.net/nova/+bug/1821755).

    Failovers of amphorae are no migrations, and not started here: `functions.migrate.failover` does.
    """
    moves = [move for move in moves if move.action is not Action.FAIL_OVER]
    held = [move for move in moves if move.state is MoveState.HELD]
    load = _Load(policy, source, _occupants(moves, in_flight, source, groups_of))
    others_left = any(_pending(move) for move in moves if not move.put_last)
    start: list[Move] = []
    waiting: dict[str, str] = {}
    for move in sorted(held, key=lambda move: (move.rank, -move.seconds, move.name, move.server)):
        groups = move.groups | {group.id for group in groups_of.get(move.server, ())}
        if why := _not_yet(move, policy, now, others_left) or load.refuses(move, groups):
            waiting[move.server] = why
        else:
            start.append(move)
            load.add(_Occupant(move.server, True, move.to, groups))
    return Dispatch(tuple(start), waiting)


@dataclass(frozen=True, slots=True)
class _Occupant:
    """One server in flight."""

    server: str
    from_source: bool
    target: str | None
    groups: frozenset[str]


def _occupants(
    moves: Sequence[Move], in_flight: Sequence[Migration], source: str, groups_of: Mapping[str, tuple[Group, ...]]
) -> Iterable[_Occupant]:
    """Every server in flight once, whether Nova shows its migration, or a move of ours is active, or both."""
    active = {move.server: move for move in moves if move.state in ACTIVE_MOVES}
    seen = {migration.server: migration for migration in in_flight if migration.in_flight}
    groups = {move.server: move.groups for move in moves}
    for server in {**active, **seen}:
        migration, move = seen.get(server), active.get(server)
        yield _Occupant(
            server,
            from_source=move is not None or (migration is not None and migration.source == source),
            target=(migration.target if migration else None) or (move.to if move else None),
            groups=groups.get(server, frozenset()) | {group.id for group in groups_of.get(server, ())},
        )


class _Load:
    """What is in flight, and whether one more move would be too many."""

    def __init__(self, policy: DrainPolicy, source: str, occupants: Iterable[_Occupant]) -> None:
        self._policy = policy
        self._source = source
        self._servers: set[str] = set()
        self._from_source = 0
        self._into: Counter[str] = Counter()
        self._groups: set[str] = set()
        for occupant in occupants:
            self.add(occupant)

    def add(self, occupant: _Occupant) -> None:
        self._servers.add(occupant.server)
        self._from_source += occupant.from_source
        if occupant.target is not None:
            self._into[occupant.target] += 1
        self._groups |= occupant.groups

    def refuses(self, move: Move, groups: frozenset[str]) -> str:
        """Why the move would break a limit; empty when it would not."""
        policy, into = self._policy, self._into[move.to or ""]
        if move.server in self._servers:
            return "already migrating: somebody else has started it"
        if len(self._servers) >= policy.per_cloud:
            return f"{len(self._servers)} migrations are in flight in the cloud, {policy.per_cloud} are allowed"
        if self._from_source >= policy.per_source:
            return f"{self._from_source} moves from {self._source} are in flight, {policy.per_source} are allowed"
        if into >= policy.per_target:
            return f"{into} servers are in flight to {move.to}, {policy.per_target} are allowed"
        if groups & self._groups:
            return "another member of its server group is in flight"
        return ""


def _not_yet(move: Move, policy: DrainPolicy, now: datetime, others_left: bool) -> str:
    """Why the move must wait whatever is in flight; empty when it need not."""
    if move.action not in MOVES or move.to is None:
        return "it has no target yet"
    if policy.deadline is not None and now >= policy.deadline:
        return f"the deadline {policy.deadline.isoformat(timespec='seconds')} has passed"
    if move.not_before is not None and now < move.not_before:
        return f"tried again at {move.not_before.isoformat(timespec='seconds')}"
    if move.put_last and others_left:
        return "it stalled before: put last, until the others are through"
    return ""


def _pending(move: Move) -> bool:
    """Whether the move is under way or will be tried again, which ends: its tries are counted.

    One that waits for somebody else's work on its server may do so for long, and keeps nobody.
    """
    return move.state in ACTIVE_MOVES or (move.state is MoveState.HELD and move.action in MOVES)
