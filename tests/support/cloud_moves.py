"""How the double's servers move, as Nova 34 was seen to: queues, copies, failures and confirmations."""

from __future__ import annotations

from collections import deque

from tests.support.cloud_model import FakeAction, FakeMigration, FakeServer
from tests.support.cloud_state import World

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


def no_valid_host(wanted: str | None) -> str:
    """The scheduler's words, which differ a little with a named host."""
    return "No valid host was found. " + ("" if wanted else "There are not enough hosts available.")


class LiveMigrations(World):
    """Live migrations: `cap` at a time per source, the others queued there."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._queues: dict[str, deque[tuple[FakeMigration, FakeAction]]] = {}

    def live_migrate(self, server: FakeServer, host: str | None, *, force: bool = False) -> None:
        """Nova has answered 202."""
        server.task_state = "migrating"
        action = self.new_action(server, "live-migration")

        def conduct() -> None:
            if server.id in self.servers:
                row = self.new_row(server, "live-migration", "accepted")
                self.after(SCHEDULER, lambda: self._schedule(server, row, host, action, force))

        self.after(CONDUCTOR, conduct)

    def _schedule(
        self, server: FakeServer, row: FakeMigration, host: str | None, action: FakeAction, force: bool
    ) -> None:
        if self._orphan(row):
            return
        error = None
        target = self.force(server, host) if force and host else self.select(server, host)
        if not self.hosts[row.source].up:
            error = f"Compute service of {row.source} is unavailable at this time."
        elif target is None:
            error = no_valid_host(host)
        elif self.strikes(server, target, "precheck"):
            check = f"Migration pre-check error: the fault of {server.name} on {target}"
            action.note("compute_check_can_live_migrate_destination", self.time, check)
            error = no_valid_host(None)
        action.note("conductor_live_migrate_instance", self.time, error)
        if error or target is None:
            self.end_row(row, "error")
            self.after(LAG, lambda: self._rest(server))
            return
        if self.violates(server, target):
            row.target = target
            action.note("compute_check_can_live_migrate_destination", self.time, VIOLATED)
            self.end_row(row, "error")
            server.status, server.task_state, server.fault = "ERROR", None, VIOLATED
            return
        self.claim(server, row, target)
        self.set_row(row, "queued")
        self._queues.setdefault(row.source, deque()).append((row, action))
        self.start_queued(row.source)

    def start_queued(self, source: str) -> None:
        """Give the source's free places to the first in its queue."""
        queue = self._queues.get(source, deque())
        while queue and self.hosts[source].up and self._places(source) < self.cap:
            row, action = queue.popleft()
            row.runs = True
            self.set_row(row, "preparing")
            self.after(PREPARE, lambda row=row, action=action: self._copy(row, action))  # type: ignore[misc]

    def _places(self, source: str) -> int:
        return sum(row.runs for row in self.migrations.values() if row.source == source)

    def _copy(self, row: FakeMigration, action: FakeAction) -> None:
        if row.status != "preparing" or self._orphan(row):
            return
        server = self.servers[row.server]
        if self.strikes(server, row.target, "prepare"):
            check = f"Migration pre-check error: the fault of {server.name} on {row.target}"
            action.note("compute_pre_live_migration", self.time, check)
            self.set_row(row, "error")
            self.after(LAG, lambda: self._roll_back(row, "failed"))
            return
        action.note("compute_pre_live_migration", self.time)
        self.set_row(row, "running")
        row.started = self.time
        row.stalled = self.strikes(server, row.target, "stalled")
        if not row.stalled:
            self.after(row.seconds, lambda: self.copied(row))

    def copied(self, row: FakeMigration) -> None:
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
        server.host, server.task_state, server.updated = row.target, None, self.time
        self.after(LAG, lambda: self._complete(row))

    def _complete(self, row: FakeMigration) -> None:
        self._free(row)
        self.end_row(row, "completed")

    def _stranded(self, row: FakeMigration) -> None:
        """The guest is on a target whose nova-compute never took it over."""
        if not self._orphan(row):
            server = self.servers[row.server]
            server.host, server.status, server.task_state, server.updated = row.target, "ERROR", None, self.time
            self.end_row(row, "error")
            self._free(row)

    def _roll_back(self, row: FakeMigration, status: str) -> None:
        if self._orphan(row):
            return
        server = self.servers[row.server]
        self.allocations[server.id] = (row.source, server.uses)
        self.end_row(row, status)
        self._free(row)
        self.after(LAG, lambda: self._rest(server))

    def _rest(self, server: FakeServer) -> None:
        server.task_state, server.updated = None, self.time

    def _free(self, row: FakeMigration) -> None:
        row.runs = False
        self.start_queued(row.source)

    def _orphan(self, row: FakeMigration) -> bool:
        """End the row of a server that was deleted on the way."""
        if row.server in self.servers:
            return False
        if row.status in WORKING:
            self.end_row(row, "error")
        self._free(row)
        return True

    def abort(self, row: FakeMigration) -> None:
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

    def force_complete(self, row: FakeMigration) -> None:
        """Nova has answered 202 to the force-complete."""
        row.stalled = False
        self.new_action(self.servers[row.server], "live_migration_force_complete")
        self.after(LAG, lambda: self.copied(row))


class Moves(LiveMigrations):
    """All ways to move a server."""

    def cold_migrate(self, server: FakeServer, host: str | None) -> None:
        """Nova has answered 202."""
        server.before, server.task_state = server.status, "resize_prep"
        action = self.new_action(server, "migrate")

        def conduct() -> None:
            row = self.new_row(server, "migration", "pre-migrating")
            self.after(SCHEDULER, lambda: self._prepare(server, row, host, action))

        self.after(CONDUCTOR, conduct)

    def _prepare(self, server: FakeServer, row: FakeMigration, host: str | None, action: FakeAction) -> None:
        target = self.select(server, host)
        if target is None or self.strikes(server, target, "precheck"):
            action.note("cold_migrate", self.time, "No valid host was found. No valid host found for cold migrate")
            self.end_row(row, "error")
            server.task_state = None
            return
        action.note("cold_migrate", self.time)
        self.claim(server, row, target)
        server.task_state = "resize_migrating"
        self.set_row(row, "migrating")
        self.after(row.seconds / 2, lambda: self._carry(row))

    def _carry(self, row: FakeMigration) -> None:
        server = self.servers.get(row.server)
        if server is None:
            self.end_row(row, "error")
            return
        if self.strikes(server, row.target, "fails"):
            self.allocations[server.id] = (row.source, server.uses)
            self.end_row(row, "error")
            server.task_state, server.status, server.fault = None, "ERROR", "the copy of the disk failed"
            return
        server.host, server.task_state = row.target, "resize_migrated"
        self.set_row(row, "post-migrating")
        self.after(row.seconds / 2, lambda: self._finish(server, row))

    def _finish(self, server: FakeServer, row: FakeMigration) -> None:
        server.status, server.task_state, server.updated = "VERIFY_RESIZE", None, self.time
        self.set_row(row, "finished")

    def confirm(self, row: FakeMigration) -> None:
        """Nova has answered 204."""
        server = self.servers[row.server]
        self.new_action(server, "confirmResize")
        self.set_row(row, "confirming")

        def restored() -> None:
            server.status, server.task_state, server.updated = server.before, None, self.time

        def confirmed() -> None:
            self.end_row(row, "confirmed")
            self.after(LAG, restored)

        self.after(LAG, confirmed)

    def evacuate(self, server: FakeServer, host: str | None, *, stopped: bool, force: bool = False) -> None:
        """Nova has answered 200; `stopped` is what microversion 2.95 does."""
        stays_off = stopped or server.status == "SHUTOFF"
        server.task_state = "rebuilding"
        action = self.new_action(server, "evacuate")
        row = self.new_row(server, "evacuation", "accepted")
        row.target = host

        def give_up(status: str, why: str) -> None:
            action.note("rebuild_server", self.time, why)
            self.end_row(row, status)
            server.status, server.task_state, server.fault = "ERROR", None, why

        def conduct() -> None:
            target = self.force(server, host) if force and host else self.select(server, host)
            if target is None or self.strikes(server, target, "precheck"):
                give_up("error", no_valid_host(host))
                return
            if self.violates(server, target):
                give_up("failed", VIOLATED)
                return
            action.note("rebuild_server", self.time)
            self.claim(server, row, target)
            self.set_row(row, "pre-migrating")
            self.after(row.seconds, built)

        def built() -> None:
            server.task_state = "rebuild_spawning"
            self.set_row(row, "done")
            self.after(LAG, rests)

        def rests() -> None:
            server.host, server.task_state, server.updated = row.target, None, self.time
            server.status = "SHUTOFF" if stays_off else "ACTIVE"

        self.after(CONDUCTOR, conduct)

    def revive(self, host: str) -> None:
        """The compute process comes back: it ends what it had left, and starts what waits."""
        self.hosts[host].dead = False
        for row in list(self.migrations.values()):
            if row.source == host and row.kind == "evacuation" and row.status == "done":
                self.end_row(row, "completed")
            if row.source == host and row.kind == "live-migration" and row.runs:
                self._roll_back(row, "error")
        self.start_queued(host)
