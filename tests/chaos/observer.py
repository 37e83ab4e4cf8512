"""Somebody who watches the simulated cloud itself, at each step of its history, and believes no record of Drover's.

He sees each accepted change with who asked for it, each row of os-migrations and each server as it changes, and writes
down whatever must never be. Of Drover's store he reads one thing, the audit trail, to compare it with what he saw.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from lab.simulator.cloud import SimulatedCloud
from lab.simulator.records import Migration
from tests.chaos.nodes import NodeWatch

HAND = "hand"
"""Whoever is not Drover."""

MOVES = ("live-migrate", "cold-migrate", "evacuate")
OVER = ("completed", "confirmed", "done", "reverted", "error", "failed", "cancelled")
"""Statuses after which a migration does not work on its server any more."""
WELL = ("completed", "confirmed", "done")
AT_REST = ("ACTIVE", "SHUTOFF")
WORDS = {
    "disable": "disable service",
    "enable": "enable service",
    "force-down": "force service down",
    "confirm": "confirm cold migration",
    "abort": "abort migration",
    "force-complete": "force completion",
    "router-add": "add router",
    "router-remove": "remove router",
    "network-add": "add network",
    "network-remove": "remove network",
    "agent-disable": "disable agent",
    "agent-enable": "enable agent",
    "amphora-failover": "fail-over",
}
"""What the audit trail calls a change, where its word is another one than the cloud's."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much Drover may have in flight at once; the defaults are those of a drain."""

    per_source: int = 2
    per_target: int = 2
    per_cloud: int = 20


@dataclass(frozen=True, slots=True)
class Seen:
    """One accepted change."""

    time: datetime
    by: str
    verb: str
    server: str | None
    target: str | None

    def __str__(self) -> str:
        return f"{self.time:%H:%M:%S.%f} {self.by}: {self.verb} {self.server or ''} {self.target or ''}"


@dataclass(slots=True)
class Flight:
    """A server that is being moved."""

    source: str
    target: str | None
    by: str


class Observer:
    """Watches one cloud from when it is made."""

    def __init__(self, cloud: SimulatedCloud, store: Path, bounds: Bounds | None = None) -> None:
        self.cloud, self.world = cloud, cloud.world
        self.bounds = bounds or Bounds()
        self.wrong: list[str] = []
        """What must never be, and was."""
        self.seen: list[Seen] = []
        self.flights: dict[str, Flight] = {}
        self.arrived: Counter[tuple[str, str]] = Counter()
        """How often Drover has brought a server away from a host: (server, host)."""
        self.touched: set[str] = set()
        """Servers that others have moved, changed or deleted."""
        self.first: dict[str, str] = {}
        """Each server's status when it was first seen at rest."""
        self.may_start = True
        """Whether Drover may start something: not from a pause until the resume."""
        self._by = HAND
        self._store = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
        self.nodes = NodeWatch(cloud.network, self.rows, self.wrong)
        self._watch()

    @contextmanager
    def watching(self, name: str) -> Iterator[None]:
        """What is accepted meanwhile was asked for by this process."""
        self._by, before = name, self._by
        self.world.settle()  # what was due before is not this one's doing
        try:
            yield
        finally:
            self._by = before

    def close(self) -> None:
        """Look no more."""
        self._store.close()

    def rows(self, query: str, *values: Any) -> list[Any]:
        """A look into Drover's store, past Drover."""
        return self._store.execute(query, values).fetchall()

    # -- each step of the history -----------------------------------------------------------------------------

    def _watch(self) -> None:
        world = self.world
        act, set_row, task, remove, new_row = world.act, world.set_row, world.task, world.remove, world.new_row

        def watched_act(verb: str, server: str | None, target: str | None) -> None:
            act(verb, server, target)
            self._accepted(Seen(world.time, self._by, verb, server, target))

        def watched_set_row(row: Migration, status: str) -> None:
            set_row(row, status)
            self._row_changed(row)

        def watched_task(server: Any, *args: Any) -> None:
            task(server, *args)
            self._placed(server)

        def watched_remove(server: Any) -> None:
            remove(server)
            self.flights.pop(server.id, None)
            if server.id not in self.touched:
                self.wrong.append(f"{server.name} was deleted, and nobody had asked for it")

        def watched_new_row(server: Any, *args: Any) -> Migration:
            self.flights.setdefault(server.id, Flight(server.host or "", None, HAND))
            return new_row(server, *args)

        world.act, world.set_row, world.new_row = watched_act, watched_set_row, watched_new_row  # type: ignore[method-assign]
        world.task, world.remove = watched_task, watched_remove  # type: ignore[method-assign]

    def _accepted(self, seen: Seen) -> None:
        self.seen.append(seen)
        if seen.by == HAND:
            if seen.server:
                self.touched.add(seen.server)
        else:
            self._on_record(seen)
            self._allowed(seen)
            self.nodes.judge(seen.time, seen.verb, seen.server or "", str(seen))
        if seen.verb in MOVES and seen.server and seen.by != HAND:
            source = self.world.servers[seen.server].host or ""
            if seen.server in self.flights:
                self.wrong.append(f"asked to move while it is being moved: {seen}")
            self.flights[seen.server] = Flight(source, seen.target, seen.by)
            if not self.may_start:
                self.wrong.append(f"started while it was paused: {seen}")
            self._within_bounds(seen, source)

    def _on_record(self, seen: Seen) -> None:
        """Each change has its own row in the audit trail, committed before the cloud was asked."""
        word, subject = WORDS.get(seen.verb, seen.verb), seen.server or seen.target
        done = sum(1 for each in self.seen if each.by != HAND and self._same(each, seen))
        ((written, nobody),) = self.rows(
            "SELECT count(*), count(CASE WHEN '' IN (who, why) THEN 1 END) FROM audit WHERE act = ? AND subject = ?",
            word, subject,
        )  # fmt: skip
        if written < done:
            self.wrong.append(f"{done} times done and {written} times on record before: {seen}")
        if nobody:
            self.wrong.append(f"on record without who or why: {seen}")

    @staticmethod
    def _same(one: Seen, other: Seen) -> bool:
        return (one.verb, one.server or one.target) == (other.verb, other.server or other.target)

    def _allowed(self, seen: Seen) -> None:
        """A host is disabled with a drain's reason, and enabled by Drover only if a drain had disabled it."""
        reason = self.world.hosts[seen.target].disabled_reason if seen.target in self.world.hosts else None
        if seen.verb == "disable" and not (reason or "").startswith("drover drain "):
            self.wrong.append(f"disabled without a reason that tells who did it: {seen}, {reason!r}")
        if seen.verb == "enable":
            last = next((s for s in reversed(self.seen[:-1]) if s.verb == "disable" and s.target == seen.target), None)
            if last is None or last.by == HAND:
                self.wrong.append(f"enabled, though Drover had not disabled it: {seen}")

    def _within_bounds(self, seen: Seen, source: str) -> None:
        flights = self.flights.values()
        from_source = sum(flight.source == source for flight in flights)
        into = sum(flight.target == seen.target for flight in flights)
        if from_source > self.bounds.per_source and seen.verb != "evacuate":  # a dead source has no queue
            self.wrong.append(f"{from_source} in flight from {source}: {seen}")
        if into > self.bounds.per_target:
            self.wrong.append(f"{into} in flight into {seen.target}: {seen}")
        if len(self.flights) > self.bounds.per_cloud:
            self.wrong.append(f"{len(self.flights)} in flight in the cloud: {seen}")
        for group in self.world.groups_of(seen.server or ""):
            moving = [member for member in group.members if member in self.flights]
            if len(moving) > 1:
                self.wrong.append(f"{len(moving)} members of the group {group.name} in flight: {seen}")

    def _row_changed(self, row: Migration) -> None:
        if row.status not in OVER:
            return
        flight = self.flights.pop(row.server, None)
        if flight is None or flight.by == HAND or row.status not in WELL:
            return
        self.arrived[row.server, row.source] += 1
        if self.arrived[row.server, row.source] > 1 and row.server not in self.touched:
            self.wrong.append(f"{row.server} was brought away from {row.source} twice")

    def _placed(self, server: Any) -> None:
        if server.task_state is None and server.status in AT_REST:
            self.first.setdefault(server.id, server.status)
        for group in self.world.groups_of(server.id):
            if group.policy != "anti-affinity" or server.host is None:
                continue
            others = [self.world.servers[m] for m in group.members if m in self.world.servers and m != server.id]
            if any(other.host == server.host for other in others) and not self.touched & set(group.members):
                self.wrong.append(f"two members of {group.name} on {server.host}")

    # -- at the end -------------------------------------------------------------------------------------------

    def remember(self) -> None:
        """Note how the servers are before anything happens to them."""
        for server in self.world.servers.values():
            self.first.setdefault(server.id, server.status)

    def check_rest(self) -> None:
        """When all is quiet: no server lost, none in a half state, nothing left in Nova or Placement."""
        self.world.settle()
        self.nodes.check_rest()
        for id, status in self.first.items():
            server = self.world.servers.get(id)
            if server is None:
                if id not in self.touched:
                    self.wrong.append(f"the server {id} is lost")
            elif id not in self.touched and (server.task_state, server.status) != (None, status):
                self.wrong.append(f"{server.name} was {status}, is {server.status}, task_state {server.task_state}")
        dead = {host.name for host in self.world.hosts.values() if not host.up}
        for row in self.world.migrations.values():
            if row.status not in OVER and not dead & {row.source, row.target} and row.server not in self.touched:
                self.wrong.append(f"the migration of {row.server} is left in {row.status}")
        for server in self.world.servers.values():
            claim = self.world.allocations.get(server.id)
            if server.id not in self.touched and server.host and claim and claim[0] != server.host:
                self.wrong.append(f"{server.name} is on {server.host}, and Placement has it on {claim[0]}")

    def check_records(self, surplus: int) -> None:
        """The audit trail names no more changes than the cloud saw, but for those that an accident took away.

        Args:
            surplus: how many rows may stand for something that was not done: a process that dies, or is held up,
                between the row and the request leaves one; so does a request that the cloud does not take.
        """
        done = Counter((WORDS.get(s.verb, s.verb), s.server or s.target) for s in self.seen if s.by != HAND)
        acts = (*MOVES, *WORDS.values())
        marks = ",".join("?" * len(acts))
        written = Counter(
            {(act, subject): n for act, subject, n in self.rows(
                f"SELECT act, subject, count(*) FROM audit WHERE act IN ({marks}) GROUP BY act, subject", *acts
            )}
        )  # fmt: skip
        extra = written - done
        for act, subject in list(extra):  # the intent to move a router has two rows, of which it is one
            if act == "remove router" and extra["add router", subject]:
                del extra[act, subject]
        if sum(extra.values()) > surplus:
            self.wrong.append(f"{dict(extra)} on record and never done; at most {surplus} such rows can be explained")

    def check_hosts(self) -> None:
        """Each host that is disabled by Drover has an operation that says so, with a reason."""
        for host in self.world.hosts.values():
            if host.disabled and (host.disabled_reason or "").startswith("drover drain "):
                found = self.rows("SELECT reason FROM operation WHERE kind = 'drain' AND target = ?", host.name)
                if not any(reason and reason in (host.disabled_reason or "") for (reason,) in found):
                    self.wrong.append(f"{host.name} is disabled, and no drain has that on record: {found}")

    def places(self) -> dict[str, list[str]]:
        """Names of the servers by host."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for server in self.world.servers.values():
            found[server.host or ""].append(server.name)
        return {host: sorted(names) for host, names in found.items()}
