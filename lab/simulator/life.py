"""What becomes of a server apart from moving: boot, delete, pause, suspend, rescue, shelve, lock, start and stop."""

from __future__ import annotations

from dataclasses import dataclass

from lab.simulator.live import CONDUCTOR, LAG, no_valid_host
from lab.simulator.moves import Moves
from lab.simulator.records import Server

SPAWN = 1.0
"""Seconds from the choice of the host until a booted server is ACTIVE."""
SHELVE = 0.5
"""Seconds until a shelved server is offloaded (`shelved_offload_time` 0, as is usual)."""


@dataclass(frozen=True)
class Change:
    """A change of status: the statuses that allow it, what is shown meanwhile, and where it ends."""

    allowed: tuple[str, ...]
    task: str
    ends: str
    action: str
    seconds: float
    verb: str
    answer: int = 202


CHANGES = {
    "os-start": Change(("SHUTOFF",), "powering-on", "ACTIVE", "start", 1.0, "start"),
    "os-stop": Change(("ACTIVE", "ERROR"), "powering-off", "SHUTOFF", "stop", 1.0, "stop"),
    "pause": Change(("ACTIVE",), "pausing", "PAUSED", "pause", LAG, "pause"),
    "unpause": Change(("PAUSED",), "unpausing", "ACTIVE", "unpause", LAG, "unpause"),
    "suspend": Change(("ACTIVE",), "suspending", "SUSPENDED", "suspend", LAG, "suspend"),
    "resume": Change(("SUSPENDED",), "resuming", "ACTIVE", "resume", LAG, "resume"),
    "rescue": Change(("ACTIVE", "SHUTOFF", "ERROR"), "rescuing", "RESCUE", "rescue", LAG, "rescue", 200),
    "unrescue": Change(("RESCUE",), "unrescuing", "ACTIVE", "unrescue", LAG, "unrescue"),
}
"""By the name of the action in the API (nova/compute/api.py, the `check_instance_state` of each)."""


class Life(Moves):
    """Servers come, change and go."""

    def change(self, server: Server, verb: str) -> int:
        """Nova has accepted one of `CHANGES`; gives the answer's status."""
        what = CHANGES[verb]
        self.act(what.verb, server.id, None)
        self.new_action(server, what.action)
        self.task(server, what.task)

        def changed() -> None:
            if server.id in self.servers:
                self.task(server, None, what.ends)

        self.after(what.seconds, changed)
        return what.answer

    def lock(self, server: Server, locked: bool, reason: str | None) -> None:
        """Lock or unlock it."""
        self.act("lock" if locked else "unlock", server.id, None)
        server.locked, server.locked_reason = locked, reason if locked else None
        server.updated = self.time

    def boot(self, server: Server, host: str | None) -> None:
        """Nova has answered 202 to a new server."""
        server.status = "BUILD"
        self.servers.add(server)
        self.act("boot", server.id, host)
        self.new_action(server, "create")
        self.task(server, "scheduling")
        self.after(CONDUCTOR, lambda: self._place(server, host))

    def _place(self, server: Server, host: str | None) -> None:
        if server.id not in self.servers:
            return
        target = self.select(server, host)
        if target is None:
            self.actions[server.id][0].note("conductor_schedule_and_build_instances", self.time, no_valid_host(None))
            self.break_server(server, no_valid_host(None))
            return
        self.allocations[server.id] = (target, server.uses)
        server.host = target
        self.task(server, "spawning")
        fault = self.fault_of(server)
        if fault is not None and fault.spawn and self.strikes(server, target, "spawn"):
            if fault.spawn == "fail":
                self.after(SPAWN, lambda: self.break_server(server, "Exceeded maximum number of retries."))
            return
        self.after(SPAWN + (fault.spawn_seconds if fault else 0), lambda: self._spawned(server))

    def _spawned(self, server: Server) -> None:
        if server.id in self.servers:
            self.actions[server.id][0].note("compute__do_build_and_run_instance", self.time)
            self.task(server, None, "ACTIVE")

    def delete(self, server: Server) -> None:
        """Nova has answered 204."""
        self.act("delete", server.id, None)
        self.new_action(server, "delete")
        self.task(server, "deleting")

        def deleted() -> None:
            if server.id in self.servers:
                self.remove(server)

        self.after(LAG, deleted)

    def shelve(self, server: Server) -> None:
        """Nova has answered 202: the server is stopped, its image kept, and its host left."""
        self.act("shelve", server.id, None)
        self.new_action(server, "shelve")
        self.task(server, "shelving")

        def shelved() -> None:
            if server.id in self.servers:
                self.task(server, "shelving_offloading", "SHELVED")
                self.after(SHELVE, offloaded)

        def offloaded() -> None:
            if server.id in self.servers:
                self.allocations.drop(server.id)
                server.host = None
                self.task(server, None, "SHELVED_OFFLOADED")

        self.after(SHELVE, shelved)

    def unshelve(self, server: Server) -> None:
        """Nova has answered 202: the scheduler looks for a host."""
        self.act("unshelve", server.id, None)
        action = self.new_action(server, "unshelve")
        self.task(server, "unshelving")

        def spawn() -> None:
            if server.id not in self.servers:
                return
            target = self.select(server, None)
            if target is None:
                action.note("unshelve_instance", self.time, no_valid_host(None))
                self.task(server, None)
                return
            self.allocations[server.id] = (target, server.uses)
            server.host = target
            self.task(server, "spawning")
            self.after(SPAWN, lambda: self.task(server, None, "ACTIVE"))

        self.after(CONDUCTOR, spawn)
