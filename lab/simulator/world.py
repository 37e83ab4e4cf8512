"""The simulated cloud's state, its agenda of things to come, and its scheduler."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from itertools import count

from lab.simulator.index import Servers
from lab.simulator.ledger import Ledger
from lab.simulator.records import Act, Action, Aggregate, Fault, Group, Host, Migration, Server, new_id


class World:
    """Everything that the cloud knows, and what happens to it by itself as time goes by."""

    def __init__(self, now: Callable[[], datetime], *, cap: int, seconds: float) -> None:
        self.read_clock = now
        self.time = now()
        self.cap = cap
        self.seconds = seconds
        self.hosts: dict[str, Host] = {}
        self.servers = Servers()
        self.deleted: dict[str, Server] = {}
        self.groups: dict[str, Group] = {}
        self.aggregates: list[Aggregate] = []
        self.migrations: dict[int, Migration] = {}
        self.migrations_of: dict[str, list[Migration]] = {}
        """The same rows by server, oldest first."""
        self.actions: dict[str, list[Action]] = {}
        self.allocations = Ledger()
        self.faults: dict[str, Fault] = {}
        self.copies: dict[str, float] = {}
        """Servers whose copy takes a time of its own, in seconds."""
        self.tries: dict[tuple[str, str], int] = {}
        self.history: list[Act] = []
        self.watchers: list[Callable[[str], None]] = []
        """Who is told of a host that dies or comes back."""
        self.caller = "admin"
        """Who sent the request that is being answered."""
        self.request_id: str | None = None
        """Its number, "req-…", which becomes the number of the instance action."""
        self._groups_of: dict[str, list[Group]] = {}
        self._agenda: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = count()
        self._ids = count(1)

    # -- time -------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Let everything happen that is due by now."""
        now = self.read_clock()
        while self._agenda and self._agenda[0][0] <= now:
            self.time, _, happen = heapq.heappop(self._agenda)
            happen()
        self.time = max(now, self.time)

    def after(self, seconds: float, happen: Callable[[], None]) -> None:
        """Plan something."""
        heapq.heappush(self._agenda, (self.time + timedelta(seconds=seconds), next(self._order), happen))

    @property
    def next_due(self) -> datetime | None:
        """When the next thing happens by itself; None when nothing is planned."""
        return self._agenda[0][0] if self._agenda else None

    def act(self, verb: str, server: str | None, target: str | None) -> None:
        """Put an accepted change on record."""
        self.history.append(Act(self.time, verb, server, target, self.caller))

    # -- groups -----------------------------------------------------------------------------------------------

    def new_group(self, policy: str, name: str, project: str, max_per_host: int = 1, id: str | None = None) -> Group:
        """A new, empty server group."""
        group = Group(id or new_id(), name, policy, [], project, max_per_host)
        self.groups[group.id] = group
        return group

    def join(self, group: Group, server: str) -> None:
        """Make a server a member."""
        group.members.append(server)
        self._groups_of.setdefault(server, []).append(group)

    def groups_of(self, server: str) -> list[Group]:
        """The groups that a server is in and that still exist."""
        return [group for group in self._groups_of.get(server, ()) if group.id in self.groups]

    # -- the scheduler ----------------------------------------------------------------------------------------

    def select(self, server: Server, wanted: str | None) -> str | None:
        """The scheduler: the named host if it fits (else none), or the emptiest that does."""
        if wanted:
            return wanted if wanted in self.hosts and self._fits(server, self.hosts[wanted]) else None
        fits = (name for name, host in self.hosts.items() if self._fits(server, host))
        return min(fits, key=lambda name: self.allocations.used(name).get("MEMORY_MB", 0), default=None)

    def _fits(self, server: Server, host: Host) -> bool:
        return (
            host.accepts
            and host.name != server.host
            and server.pinned_zone in (None, host.zone)
            and required_traits(server.extra_specs.items()) <= host.traits
            and self.allocations.fits(host.name, host.capacity, server.uses)
            and self._groups_allow(server, host)
        )

    def _groups_allow(self, server: Server, host: Host) -> bool:
        """As Nova's filters: by where members are now, blind to what is on its way (lp#1821755)."""
        for group in self.groups_of(server.id):
            others = [self.servers[m].host for m in group.members if m in self.servers and m != server.id]
            if group.policy == "anti-affinity" and others.count(host.name) >= group.max_per_host:
                return False
            if group.policy == "affinity" and host.name not in others and (server.host or any(others)):
                return False  # Nova counts the server's own host as well, which is no target
        return True

    def force(self, server: Server, wanted: str) -> str | None:
        """Past the scheduler: only whether the named host is up and has room."""
        host = self.hosts[wanted]
        room = self.allocations.fits(wanted, host.capacity, server.uses)
        return wanted if host.up and room and wanted != server.host else None

    def violates(self, server: Server, target: str) -> bool:
        """What the target looks for itself: whether the other members of its hard affinity group are all elsewhere."""
        for group in self.groups_of(server.id):
            if group.policy == "affinity":
                others = {self.servers[m].host for m in group.members if m in self.servers and m != server.id} - {None}
                if others and target not in others:
                    return True
        return False

    # -- faults -----------------------------------------------------------------------------------------------

    def seconds_of(self, server: Server) -> float:
        """How long this server's move works."""
        fault = self.fault_of(server)
        if fault is not None and fault.seconds is not None:
            return fault.seconds
        return self.copies.get(server.id, self.seconds)

    def fault_of(self, server: Server) -> Fault | None:
        """What is wrong with this server: by its id, its name, or the first pattern that its name fits."""
        if not self.faults:
            return None
        exact = self.faults.get(server.id) or self.faults.get(server.name)
        if exact is not None:
            return exact
        return next((fault for key, fault in self.faults.items() if fnmatchcase(server.name, key)), None)

    def strikes(self, server: Server, target: str | None, kind: str) -> bool:
        """Whether the fault of this kind hits now; counts it."""
        fault = self.fault_of(server)
        if fault is None or not getattr(fault, kind) or (fault.targets and target not in fault.targets):
            return False
        done = self.tries.get((server.id, kind), 0)
        self.tries[server.id, kind] = done + 1
        return fault.times is None or done < fault.times

    # -- rows and actions -------------------------------------------------------------------------------------

    def new_row(self, server: Server, kind: str, status: str) -> Migration:
        """A new row of os-migrations."""
        number = next(self._ids)
        row = Migration(
            id=number,
            server=server.id,
            source=server.host or "",
            target=None,
            status=status,
            kind=kind,
            created=self.time,
            updated=self.time,
            memory_mb=server.uses.get("MEMORY_MB", 0),
            seconds=self.seconds_of(server),
            project=server.project,
        )
        self.migrations[number] = row
        self.migrations_of.setdefault(server.id, []).append(row)
        return row

    def set_row(self, row: Migration, status: str) -> None:
        """The row gets another status."""
        row.status, row.updated = status, self.time

    def end_row(self, row: Migration, status: str) -> None:
        """The row gets its last status, and the source's side of its allocation is freed."""
        self.set_row(row, status)
        self.allocations.drop(row.uuid)

    def claim(self, server: Server, row: Migration, target: str) -> None:
        """Hold room at both ends: the migration at the source, the server at the target."""
        row.target = target
        self.allocations[row.uuid] = (row.source, server.uses)
        self.allocations[server.id] = (target, server.uses)

    def new_action(self, server: Server, name: str) -> Action:
        """A new instance action."""
        action = Action(name, self.request_id or f"req-{new_id()}", self.time, self.time)
        self.actions.setdefault(server.id, []).append(action)
        return action

    def task(self, server: Server, task_state: str | None, status: str | None = None) -> None:
        """The server gets another task_state, and perhaps another status."""
        server.task_state = task_state
        if status is not None:
            server.status = status
        server.updated = self.time

    def break_server(self, server: Server, why: str) -> None:
        """The server's status is ERROR, and says why."""
        server.fault = why
        self.task(server, None, "ERROR")

    def remove(self, server: Server) -> None:
        """A server is deleted; lists with changes-since still show it, with the host where it was last."""
        self.servers.pop(server.id, None)
        self.deleted[server.id] = server
        self.task(server, None, "DELETED")
        self.allocations.drop(server.id)
        for row in self.migrations_of.get(server.id, ()):
            self.allocations.drop(row.uuid)


def required_traits(specs: Iterable[tuple[str, str]]) -> set[str]:
    """The traits that extra specs require."""
    return {key[6:] for key, value in specs if key.startswith("trait:") and value == "required"}
