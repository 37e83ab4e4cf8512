"""One slice of a drain: the operation under lease, its moves, and what the cloud shows right now."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

from functions.migrate.events import DrainRequested
from functions.migrate.model import DrainPolicy
from functions.migrate.moves import ServerMove
from functions.migrate.nova import Nova
from shared.clouds import Cloud
from shared.fleet.reader import read_fleet, read_migrations
from shared.fleet.snapshot import Fleet, Group, Migration
from shared.operations import Act, Work

LOOK_BACK = timedelta(hours=1)
"""How far before the drain's start migrations are looked at; also what Nova's clock may differ from ours."""

FLEET_SECONDS = 20.0
"""How long a snapshot of the fleet is good enough to choose a target on; Nova checks the choice again."""


@dataclass
class Link:
    """A process's connection to one cloud, with what was read from it last. Losing it costs a few requests."""

    cloud: Cloud
    nova: Nova
    fleet: Fleet | None = None
    fleet_of: str = ""
    fleet_at: float = 0.0
    rows: Sequence[Migration] = ()
    rows_since: datetime | None = None
    rows_at: float = 0.0
    uncounted: Counter[str] = field(default_factory=Counter)
    """Requests that the look before an operation took, until its first slice counts them."""

    def read_fleet(self, host: str, now: float, max_age: float) -> Fleet:
        """The fleet around a host, at most `max_age` seconds old."""
        if self.fleet is None or self.fleet_of != host or now - self.fleet_at > max_age:
            self.fleet = read_fleet(self.cloud, around=host)
            self.fleet_of, self.fleet_at = host, now
        return self.fleet

    def read_migrations(self, since: datetime, now: float, max_age: float) -> Sequence[Migration]:
        """The whole cloud's migrations since a time: one poll, shared by all the drains of this process."""
        known = self.rows_since is not None and self.rows_since <= since
        if not known or now - self.rows_at > max_age:
            self.rows, self.rows_since, self.rows_at = read_migrations(self.cloud, since=since), since, now
        return self.rows


class Slice:
    """What the parts of a drain work on. `now` is the time at the slice's begin."""

    def __init__(self, work: Work, link: Link) -> None:
        self.work = work
        self.link = link
        self.nova = link.nova
        self.now = work.clock.now()
        self.host = work.operation.target
        self.request = DrainRequested.model_validate(work.operation.parameters)
        self.policy: DrainPolicy = self.request.policy()
        if work.memo.get("deadline_lifted"):
            self.policy = replace(self.policy, deadline=None)
        self.moves = {subject: ServerMove(step) for subject, step in work.steps.items()}

    @cached_property
    def rows(self) -> Sequence[Migration]:
        """The cloud's migrations since shortly before the drain began."""
        since = self.work.operation.created_at - LOOK_BACK
        return self.link.read_migrations(since, self.work.clock.monotonic(), max_age=1.0)

    @cached_property
    def rows_of(self) -> Mapping[str, list[Migration]]:
        """The same by server."""
        found: defaultdict[str, list[Migration]] = defaultdict(list)
        for row in self.rows:
            found[row.server].append(row)
        return found

    @property
    def groups_of(self) -> Mapping[str, tuple[Group, ...]]:
        """The server groups that have members on the host, by member, as they were when the drain began."""
        found: defaultdict[str, list[Group]] = defaultdict(list)
        for name, members in self.work.memo.get("groups", {}).items():
            group = Group(id=name, policy="", members=frozenset(members))
            for member in members:
                found[member].append(group)
        return {member: tuple(groups) for member, groups in found.items()}

    def fleet(self, max_age: float = FLEET_SECONDS) -> Fleet:
        """The fleet around the host."""
        return self.link.read_fleet(self.host, self.work.clock.monotonic(), max_age)

    def avoided(self) -> frozenset[str]:
        """Hosts that other drains of this cloud empty right now."""
        return frozenset(self.work.other_targets())

    def save(self, *moves: ServerMove, acts: Iterable[Act] = (), facts: Iterable[str] = ()) -> None:
        """Write these moves, and the memo."""
        self.work.save(*(move.stored() for move in moves), acts=acts, facts=facts)

    def unfinished(self) -> list[ServerMove]:
        """The moves that something is still to come of."""
        return [move for move in self.moves.values() if move.unfinished]

    def active(self) -> list[ServerMove]:
        """The moves that hold a place at both ends."""
        return [move for move in self.moves.values() if move.active]
