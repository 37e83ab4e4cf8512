"""How servers migrate live, as Nova 34 was seen to do it: queues, copies, failures, aborts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime

from lab.simulator.records import Action, Migration, Server
from lab.simulator.world import World

CONDUCTOR = 0.2
"""Seconds from Nova's 202 to the row in os-migrations: the conductor is asked by a cast."""
SCHEDULER = 0.3
"""Seconds from the row to the choice of the target, or to its failure."""
PREPARE = 0.3
"""Seconds for which a live migration prepares its target."""
LAG = 0.3
"""Seconds between the server's last change and its migration's, whichever comes first."""
RPC = 30.0
"""Seconds after which a call to a dead nova-compute is given up."""
VIOLATED = "Affinity instance group policy was violated"
"""What a target says that finds the other members of the server's affinity group elsewhere."""
WORKING = frozenset({"accepted", "queued", "preparing", "running"})
"""Statuses of a live migration under way."""
SHARED = "is on shared storage"
"""What the target's check says when block migration is demanded: all disks here count as shared."""


def no_valid_host(wanted: str | None) -> str:
    """The scheduler's words, which differ a little with a named host."""
    return "No valid host was found. " + ("" if wanted else "There are not enough hosts available.")


class LiveMigrations(World):
    """Live migrations: `cap` at a time per source, the others queued there."""

    def __init__(self, now: Callable[[], datetime], *, cap: int, seconds: float) -> None:
        super().__init__(now, cap=cap, seconds=seconds)
        self._queues: dict[str, deque[tuple[Migration, Action]]] = {}
        self._running: dict[str, set[int]] = {}
        """Numbers of the rows that have one of their source's places, by source."""

    def live_migrate(self, server: Server, host: str | None, *, force: bool = False, block: bool = False) -> None:
        """Nova has answered 202; `block` demands that the disks are copied."""
        self.task(server, "migrating")
        action = self.new_action(server, "live-migration")

        def conduct() -> None:
            if server.id in self.servers:
                row = self.new_row(server, "live-migration", "accepted")
                self.after(SCHEDULER, lambda: self._schedule(server, row, host, action, force, block))

        self.after(CONDUCTOR, conduct)

    def _schedule(
        self, server: Server, row: Migration, host: str | None, action: Action, force: bool, block: bool
    ) -> None:
        if self._orphan(row):
            return
        target, error = self._target(server, row, host, action, force, block)
        action.note("conductor_live_migrate_instance", self.time, error)
        if error or target is None:
            self.end_row(row, "error")
            self.after(LAG, lambda: self._rest(server))
            return
        if self.violates(server, target):
            row.target = target
            action.note("compute_check_can_live_migrate_destination", self.time, VIOLATED)
            self.end_row(row, "error")
            self.break_server(server, VIOLATED)
            return
        self.claim(server, row, target)
        self.set_row(row, "queued")
        self._queues.setdefault(row.source, deque()).append((row, action))
        self.start_queued(row.source)

    def _target(
        self, server: Server, row: Migration, host: str | None, action: Action, force: bool, block: bool
    ) -> tuple[str | None, str | None]:
        """The host to go to, or what is wrong."""
        if not self.hosts[row.source].up:
            return None, f"Compute service of {row.source} is unavailable at this time."
        target = self.force(server, host) if force and host else self.select(server, host)
        if target is None:
            return None, no_valid_host(host)
        refuses = f"{target} {SHARED}" if block else f"the fault of {server.name} on {target}"
        if block or self.strikes(server, target, "precheck"):
            check = f"Migration pre-check error: {refuses}"
            action.note("compute_check_can_live_migrate_destination", self.time, check)
            return None, no_valid_host(None)
        return target, None

    def start_queued(self, source: str) -> None:
        """Give the source's free places to the first in its queue."""
        queue = self._queues.get(source, deque())
        running = self._running.setdefault(source, set())
        while queue and self.hosts[source].up and len(running) < self.cap:
            row, action = queue.popleft()
            row.runs = True
            running.add(row.id)
            self.set_row(row, "preparing")
            self.after(PREPARE, lambda row=row, action=action: self._copy(row, action))  # type: ignore[misc]

    def _copy(self, row: Migration, action: Action) -> None:
        if row.status != "preparing" or self._orphan(row):
            return
        server = self.servers[row.server]
        if self.strikes(server, row.target, "kills_target"):
            self.die(row.target or "")
        if self.strikes(server, row.target, "prepare") or self.hosts[row.target or ""].dead:
            check = f"Migration pre-check error: the fault of {server.name} on {row.target}"
            action.note("compute_pre_live_migration", self.time, check)
            self.set_row(row, "error")
            self.after(LAG, lambda: self._roll_back(row, "failed"))
            return
        action.note("compute_pre_live_migration", self.time)
        self.set_row(row, "running")
        row.started = self.time
        if self.strikes(server, row.target, "kills_source"):
            self.after(row.seconds / 2, lambda: self.die(row.source))
        row.stalled = self.strikes(server, row.target, "stalled")
        if not row.stalled:
            self.after(row.seconds, lambda: self.copied(row))

    def copied(self, row: Migration) -> None:
        """All memory is on the target."""
        if row.status != "running" or self._orphan(row) or self.hosts[row.source].dead:
            return
        server = self.servers[row.server]
        if self.strikes(server, row.target, "fails"):
            self._roll_back(row, "failed")
            return
        if self.hosts[row.target or ""].dead:
            row.copied = True
            self.after(RPC, lambda: self._stranded(row))
            return
        server.host = row.target
        self.task(server, None)
        self.after(LAG, lambda: self._complete(row))

    def _complete(self, row: Migration) -> None:
        self._free(row)
        self.end_row(row, "completed")

    def _stranded(self, row: Migration) -> None:
        """The guest is on a target whose nova-compute never took it over."""
        if not self._orphan(row):
            server = self.servers[row.server]
            server.host = row.target
            self.task(server, None, "ERROR")
            self.end_row(row, "error")
            self._free(row)

    def _roll_back(self, row: Migration, status: str) -> None:
        if self._orphan(row):
            return
        server = self.servers[row.server]
        self.allocations[server.id] = (row.source, server.uses)
        self.end_row(row, status)
        self._free(row)
        self.after(LAG, lambda: self._rest(server))

    def _rest(self, server: Server) -> None:
        if server.id in self.servers:
            self.task(server, None)

    def _free(self, row: Migration) -> None:
        row.runs = False
        self._running.setdefault(row.source, set()).discard(row.id)
        self.start_queued(row.source)

    def _orphan(self, row: Migration) -> bool:
        """End the row of a server that was deleted on the way."""
        if row.server in self.servers:
            return False
        if row.status in WORKING:
            self.end_row(row, "error")
        self._free(row)
        return True

    def abort(self, row: Migration) -> None:
        """Nova has answered 202 to the abort."""

        def aborted() -> None:
            if row.status not in WORKING or row.copied or self.hosts[row.source].dead:
                return
            queue = self._queues.get(row.source, deque())
            for entry in [entry for entry in queue if entry[0] is row]:
                queue.remove(entry)
            self._roll_back(row, "cancelled")

        self.new_action(self.servers[row.server], "live_migration_cancel")
        self.after(LAG, aborted)

    def force_complete(self, row: Migration) -> None:
        """Nova has answered 202 to the force-complete."""
        row.stalled = False
        self.new_action(self.servers[row.server], "live_migration_force_complete")
        self.after(LAG, lambda: self.copied(row))

    def die(self, host: str) -> None:
        """The compute process stops reporting."""
        record = self.hosts[host]
        if not record.dead:
            record.dead, record.last_seen = True, self.time
            self._tell(host)

    def revive(self, host: str) -> None:
        """The compute process comes back: it ends what it had left, and starts what waits."""
        self.hosts[host].dead = False
        for row in list(self.migrations.values()):
            if row.source == host and row.kind == "evacuation" and row.status == "done":
                self.end_row(row, "completed")
            if row.source == host and row.kind == "live-migration" and row.runs:
                self._roll_back(row, "error")
        self.start_queued(host)
        self._tell(host)

    def _tell(self, host: str) -> None:
        for watch in self.watchers:
            watch(host)
