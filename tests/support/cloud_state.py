"""The double's state, its agenda of things to come, and its scheduler."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count

from tests.support.cloud_model import (
    Act,
    Amounts,
    FakeAction,
    FakeAggregate,
    FakeGroup,
    FakeHost,
    FakeMigration,
    FakeServer,
    Fault,
    new_id,
)


class World:
    """Everything that the cloud knows, and what happens to it by itself as time goes by."""

    def __init__(self, now: Callable[[], datetime], *, cap: int, seconds: float) -> None:
        self.read_clock = now
        self.time = now()
        self.cap = cap
        self.seconds = seconds
        self.hosts: dict[str, FakeHost] = {}
        self.servers: dict[str, FakeServer] = {}
        self.deleted: dict[str, FakeServer] = {}
        self.groups: dict[str, FakeGroup] = {}
        self.aggregates: list[FakeAggregate] = []
        self.migrations: dict[int, FakeMigration] = {}
        self.actions: dict[str, list[FakeAction]] = {}
        self.allocations: dict[str, tuple[str, Amounts]] = {}
        """By consumer: a server's id, or a migration's uuid for the source's side of a move."""
        self.faults: dict[str, Fault] = {}
        self.tries: dict[tuple[str, str], int] = {}
        self.history: list[Act] = []
        self._agenda: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = count()
        self._ids = count(1)

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

    def act(self, verb: str, server: str | None, target: str | None) -> None:
        """Put an accepted change on record."""
        self.history.append(Act(self.time, verb, server, target))

    def used(self, host: str) -> Amounts:
        """What Placement holds as allocated on a host."""
        return self.usages().get(host, {})

    def usages(self) -> dict[str, Amounts]:
        """What Placement holds as allocated, by host."""
        total: dict[str, Amounts] = {}
        for host, amounts in self.allocations.values():
            there = total.setdefault(host, {})
            for kind, amount in amounts.items():
                there[kind] = there.get(kind, 0) + amount
        return total

    def select(self, server: FakeServer, wanted: str | None) -> str | None:
        """The scheduler: the named host if it fits (else none), or the emptiest that does."""
        usages = self.usages()
        by_room = sorted(self.hosts, key=lambda name: usages.get(name, {}).get("MEMORY_MB", 0))
        names = [wanted] if wanted else by_room
        return next((name for name in names if self._fits(server, self.hosts[name], usages.get(name, {}))), None)

    def _fits(self, server: FakeServer, host: FakeHost, used: Amounts) -> bool:
        specs = server.extra_specs.items()
        required = {key[6:] for key, value in specs if key.startswith("trait:") and value == "required"}
        return (
            host.accepts
            and host.name != server.host
            and server.pinned_zone in (None, host.zone)
            and required <= host.traits
            and all(used.get(kind, 0) + n <= host.capacity.get(kind, 0) for kind, n in server.uses.items())
            and self._groups_allow(server, host)
        )

    def _groups_allow(self, server: FakeServer, host: FakeHost) -> bool:
        """As Nova's filters: by where members are now, blind to what is on its way (lp#1821755)."""
        for group in self.groups.values():
            if server.id not in group.members:
                continue
            others = [self.servers[m].host for m in group.members if m in self.servers and m != server.id]
            if group.policy == "anti-affinity" and others.count(host.name) >= group.max_per_host:
                return False
            if group.policy == "affinity" and host.name not in others:
                return False  # Nova counts the server's own host as well, which is no target
        return True

    def force(self, server: FakeServer, wanted: str) -> str | None:
        """Past the scheduler: only whether the named host is up and has room."""
        host, used = self.hosts[wanted], self.used(wanted)
        room = all(used.get(kind, 0) + n <= host.capacity.get(kind, 0) for kind, n in server.uses.items())
        return wanted if host.up and room and wanted != server.host else None

    def violates(self, server: FakeServer, target: str) -> bool:
        """What the target looks for itself: whether the other members of its hard affinity group are all elsewhere."""
        for group in self.groups.values():
            if group.policy == "affinity" and server.id in group.members:
                others = {self.servers[m].host for m in group.members if m in self.servers and m != server.id} - {None}
                if others and target not in others:
                    return True
        return False

    def seconds_of(self, server: FakeServer) -> float:
        """How long this server's move works."""
        fault = self.fault_of(server)
        return self.seconds if fault is None or fault.seconds is None else fault.seconds

    def fault_of(self, server: FakeServer) -> Fault | None:
        """What is wrong with this server."""
        return self.faults.get(server.id) or self.faults.get(server.name)

    def strikes(self, server: FakeServer, target: str | None, kind: str) -> bool:
        """Whether the fault of this kind hits now; counts it."""
        fault = self.fault_of(server)
        if fault is None or not getattr(fault, kind) or (fault.targets and target not in fault.targets):
            return False
        done = self.tries.get((server.id, kind), 0)
        self.tries[server.id, kind] = done + 1
        return fault.times is None or done < fault.times

    def new_row(self, server: FakeServer, kind: str, status: str) -> FakeMigration:
        """A new row of os-migrations."""
        number = next(self._ids)
        row = FakeMigration(
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
        )
        self.migrations[number] = row
        return row

    def set_row(self, row: FakeMigration, status: str) -> None:
        """The row gets another status."""
        row.status, row.updated = status, self.time

    def end_row(self, row: FakeMigration, status: str) -> None:
        """The row gets its last status, and the source's side of its allocation is freed."""
        self.set_row(row, status)
        self.allocations.pop(row.uuid, None)

    def claim(self, server: FakeServer, row: FakeMigration, target: str) -> None:
        """Hold room at both ends: the migration at the source, the server at the target."""
        row.target = target
        self.allocations[row.uuid] = (row.source, server.uses)
        self.allocations[server.id] = (target, server.uses)

    def new_action(self, server: FakeServer, name: str) -> FakeAction:
        """A new instance action."""
        action = FakeAction(name, f"req-{new_id()}", self.time, self.time)
        self.actions.setdefault(server.id, []).append(action)
        return action
