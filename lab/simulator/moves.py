"""How servers move cold: cold migration with confirm and revert, and the evacuation of a dead host."""

from __future__ import annotations

from lab.simulator.live import CONDUCTOR, LAG, SCHEDULER, VIOLATED, LiveMigrations, no_valid_host
from lab.simulator.records import Action, Migration, Server


class Moves(LiveMigrations):
    """All ways to move a server."""

    def cold_migrate(self, server: Server, host: str | None) -> None:
        """Nova has answered 202."""
        server.before = server.status
        self.task(server, "resize_prep")
        action = self.new_action(server, "migrate")

        def conduct() -> None:
            if server.id in self.servers:
                row = self.new_row(server, "migration", "pre-migrating")
                self.after(SCHEDULER, lambda: self._prepare(server, row, host, action))

        self.after(CONDUCTOR, conduct)

    def _prepare(self, server: Server, row: Migration, host: str | None, action: Action) -> None:
        if server.id not in self.servers:
            self.end_row(row, "error")
            return
        target = self.select(server, host)
        if target is None or self.strikes(server, target, "precheck"):
            action.note("cold_migrate", self.time, "No valid host was found. No valid host found for cold migrate")
            self.end_row(row, "error")
            self.task(server, None)
            return
        action.note("cold_migrate", self.time)
        self.claim(server, row, target)
        self.task(server, "resize_migrating")
        self.set_row(row, "migrating")
        self.after(row.seconds / 2, lambda: self._carry(row))

    def _carry(self, row: Migration) -> None:
        server = self.servers.get(row.server)
        if server is None:
            self.end_row(row, "error")
            return
        if self.strikes(server, row.target, "fails"):
            self.allocations[server.id] = (row.source, server.uses)
            self.end_row(row, "error")
            self.break_server(server, "the copy of the disk failed")
            return
        server.host = row.target
        self.task(server, "resize_migrated")
        self.set_row(row, "post-migrating")
        self.after(row.seconds / 2, lambda: self._finish(server, row))

    def _finish(self, server: Server, row: Migration) -> None:
        if server.id not in self.servers:
            self.end_row(row, "error")
            return
        if self.strikes(server, row.target, "spawn") and (fault := self.fault_of(server)) is not None:
            if fault.spawn == "fail":
                self.set_row(row, "error")
                self.break_server(server, "the server could not be started on its new host")
            return
        self.task(server, None, "VERIFY_RESIZE")
        self.set_row(row, "finished")

    def confirm(self, row: Migration) -> None:
        """Nova has answered 204."""
        server = self.servers[row.server]
        self.new_action(server, "confirmResize")
        self.set_row(row, "confirming")

        def restored() -> None:
            if server.id in self.servers:
                self.task(server, None, server.before)

        def confirmed() -> None:
            self.end_row(row, "confirmed")
            self.after(LAG, restored)

        self.after(LAG, confirmed)

    def revert(self, row: Migration) -> None:
        """Nova has answered 202."""
        server = self.servers[row.server]
        self.new_action(server, "revertResize")
        self.set_row(row, "reverting")
        self.task(server, "resize_reverting")

        def returned() -> None:
            self.end_row(row, "reverted")
            if server.id in self.servers:
                self.allocations[server.id] = (row.source, server.uses)
                server.host = row.source
                self.after(LAG, lambda: self.task(server, None, server.before))

        self.after(LAG + row.seconds / 2, returned)

    def evacuate(self, server: Server, host: str | None, *, stopped: bool, force: bool = False) -> None:
        """Nova has answered 200; `stopped` is what microversion 2.95 does."""
        stays_off = stopped or server.status == "SHUTOFF"
        self.task(server, "rebuilding")
        action = self.new_action(server, "evacuate")
        row = self.new_row(server, "evacuation", "accepted")
        row.target = host
        self.after(CONDUCTOR, lambda: self._rebuild(server, row, host, action, force, stays_off))

    def _rebuild(
        self, server: Server, row: Migration, host: str | None, action: Action, force: bool, stays_off: bool
    ) -> None:
        if server.id not in self.servers:
            self.end_row(row, "error")
            return
        target = self.force(server, host) if force and host else self.select(server, host)
        if target is None or self.strikes(server, target, "precheck"):
            self._give_up(server, row, action, "error", no_valid_host(host))
            return
        if self.violates(server, target):
            self._give_up(server, row, action, "failed", VIOLATED)
            return
        fault = self.fault_of(server)
        if fault is not None and fault.spawn and self.strikes(server, target, "spawn"):
            if fault.spawn == "fail":
                self._give_up(server, row, action, "failed", "the server could not be started on its new host")
            return
        action.note("rebuild_server", self.time)
        self.claim(server, row, target)
        self.set_row(row, "pre-migrating")
        self.after(row.seconds, lambda: self._built(server, row, stays_off))

    def _give_up(self, server: Server, row: Migration, action: Action, status: str, why: str) -> None:
        action.note("rebuild_server", self.time, why)
        self.end_row(row, status)
        self.break_server(server, why)

    def _built(self, server: Server, row: Migration, stays_off: bool) -> None:
        if server.id not in self.servers:
            self.end_row(row, "error")
            return
        self.task(server, "rebuild_spawning")
        self.set_row(row, "done")

        def rests() -> None:
            if server.id in self.servers:
                server.host = row.target
                self.task(server, None, "SHUTOFF" if stays_off else "ACTIVE")

        self.after(LAG, rests)
