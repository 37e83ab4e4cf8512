"""OVN's rows in memory, for tests in which databases and chassis are not the matter (tests/integration has real ones).

What is decided and what is written is Drover's own; only reading and carrying out a transaction is done here.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace

from functions.migrate.network.ovn import Ovn
from functions.migrate.network.ovn_model import Candidate, Gateway, Look
from functions.migrate.network.ovn_plan import Write
from functions.migrate.network.ovn_wire import Changed, Database


class MemoryOvn(Ovn):
    """Chassis are called as their hosts; each gateway goes to the living candidate of the highest priority at once."""

    def __init__(self, *hosts: str) -> None:
        nowhere = Database("nowhere", ())
        super().__init__(nowhere, nowhere)
        self.hosts = set(hosts)
        self.dead: set[str] = set()
        self.stuck = False
        """ovn-northd does nothing: who carries what stays as it is."""
        self.pinned: list[str] = []
        self._rows: dict[str, dict[str, Candidate]] = {}
        self._carriers: dict[str, str | None] = {}
        self.reads = 0

    def gateway(self, name: str, **priorities: int) -> str:
        """Add one with these candidates, or give them other priorities; its full name."""
        full, ids = f"Logical_Router_Port:lrp-{name}", {}
        self._rows[full] = {host: Candidate(host, host, number, ids, host, True) for host, number in priorities.items()}
        self.follow()
        return full

    def write(self, name: str, host: str, priority: int) -> None:
        """Somebody else sets a priority."""
        self._rows[name][host] = replace(self._rows[name][host], priority=priority)
        self.follow()

    def remove(self, name: str) -> None:
        """Its router is deleted."""
        del self._rows[name]

    def priorities(self, name: str) -> dict[str, int]:
        """By host."""
        return {host: row.priority for host, row in self._rows[name].items()}

    def marks(self, name: str) -> int:
        """How many rows say that a drain has changed them."""
        return sum(row.mark is not None for row in self._rows[name].values())

    def carrier(self, name: str) -> str | None:
        """Who carries it."""
        self.follow()
        return self._carriers.get(name)

    def follow(self) -> None:
        """What ovn-northd and the chassis do."""
        if self.stuck:
            return
        for name, rows in self._rows.items():
            living = [row for row in rows.values() if row.chassis not in self.dead]
            self._carriers[name] = max(living, key=lambda row: row.priority).chassis if living else None

    def gateways(self, host: str, remembered: Set[str] = frozenset()) -> Look:
        """What the host is a candidate for."""
        self.reads += 1
        self.follow()
        found = [self._gateway(name, rows) for name, rows in self._rows.items() if host in rows]
        found.sort(key=lambda gateway: (host in gateway.carriers.values(), gateway.name))
        alive = frozenset(self.hosts - self.dead)
        return Look(host, frozenset({host} & self.hosts), alive, tuple(found), tuple(self.pinned))

    def _gateway(self, name: str, rows: dict[str, Candidate]) -> Gateway:
        candidates = [replace(row, alive=row.chassis not in self.dead) for row in rows.values()]
        candidates.sort(key=lambda row: -row.priority)
        port = f"cr-{name.partition(':')[2]}"
        return Gateway(name, name, tuple(candidates), {port: self._carriers[name]})

    def _carry_out(self, gateway: Gateway, writes: Sequence[Write], comment: str) -> bool:
        rows = self._rows.get(gateway.name, {})
        if gateway.priorities != {row.chassis: row.priority for row in rows.values()}:
            raise Changed("somebody else changed it meanwhile", after=2.0)
        for write in writes:
            ids = write.mark.ids if write.mark else {}
            row = write.candidate
            rows[row.chassis] = replace(rows[row.chassis], priority=write.priority, ids=ids)
        self.follow()
        return bool(writes)
