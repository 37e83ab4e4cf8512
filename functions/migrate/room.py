"""What fits where: the capacity of all hosts as one matrix, with everything that a plan has placed so far.

numpy costs 0.2 s and 20 MB to import: only modules that need the matrix import this one, and they are imported late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import numpy.typing as npt

from shared.fleet.snapshot import Fleet, Host, Resources

Amounts = npt.NDArray[np.int64]
"""Either one row of amounts (one column a resource class), or one row a host."""
Mask = npt.NDArray[np.bool_]
"""One truth a host, in the order of `Room.names`."""
Scores = npt.NDArray[np.float64]
"""One number a host, in the order of `Room.names`."""


class Room:
    """The hosts of a fleet by name, what each can hold, and what it holds after the placements so far."""

    def __init__(self, fleet: Fleet, uses: Iterable[Resources]) -> None:
        """`uses`: what will be asked for, so that a class which no host offers has its column too."""
        hosts = [fleet.hosts[name] for name in sorted(fleet.hosts)]
        self.hosts: tuple[Host, ...] = tuple(hosts)
        self.names: tuple[str, ...] = tuple(host.name for host in hosts)
        self.index: Mapping[str, int] = {name: number for number, name in enumerate(self.names)}
        self.kinds: tuple[str, ...] = tuple(
            sorted({kind for amounts in (*uses, *(host.capacity for host in hosts)) for kind in amounts})
        )
        self._capacity = self._matrix([host.capacity for host in hosts])
        self._used = self._matrix([host.used for host in hosts])
        self.inbound: Amounts = self._inbound(fleet)
        self._masks: dict[tuple[str, str | frozenset[str] | None], Mask] = {}

    def _matrix(self, rows: list[Resources]) -> Amounts:
        cells = [[row.get(kind, 0) for kind in self.kinds] for row in rows]
        return np.array(cells, dtype=np.int64).reshape(len(rows), len(self.kinds))

    def _inbound(self, fleet: Fleet) -> Amounts:
        arrivals = np.zeros(len(self.names), dtype=np.int64)
        for migration in fleet.migrations:
            number = self.index.get(migration.target) if migration.in_flight and migration.target else None
            if number is not None:
                arrivals[number] += 1
        return arrivals

    def row(self, amounts: Resources) -> Amounts:
        """`amounts` as one row of the matrix."""
        return np.array([amounts.get(kind, 0) for kind in self.kinds], dtype=np.int64)

    def put(self, uses: Resources, host: str) -> None:
        """Let a server that uses so much be on the host."""
        self._used[self.index[host]] += self.row(uses)
        self.inbound[self.index[host]] += 1

    def take(self, uses: Resources, host: str) -> None:
        """Undo `put`."""
        self._used[self.index[host]] -= self.row(uses)
        self.inbound[self.index[host]] -= 1

    def missing(self, need: Amounts) -> Amounts:
        """How much every host lacks of every class; 0 where it fits, and for classes that are not asked for."""
        lacking: Amounts = np.maximum(self._used + need - self._capacity, 0)
        lacking[:, need <= 0] = 0
        return lacking

    def fits(self, need: Amounts) -> Mask:
        """The hosts that have room in every class that is asked for."""
        asked = need > 0
        fitting: Mask = np.all(self._used[:, asked] + need[asked] <= self._capacity[:, asked], axis=1)
        return fitting

    def fullness(self, need: Amounts) -> Scores:
        """How full the fullest of the classes asked for would be with `need` on top: 1.0 is full.

        Classes that are not asked for say nothing about how well the host serves this server.
        """
        asked = need > 0
        if not asked.any():
            return np.zeros(len(self.names))
        capacity = np.maximum(self._capacity[:, asked], 1)
        fullest: Scores = ((self._used[:, asked] + need[asked]) / capacity).max(axis=1)
        return fullest

    def mask(self, about: str, value: str | frozenset[str] | None, holds: Callable[[Host], bool]) -> Mask:
        """The hosts for which `holds`; remembered under (`about`, `value`)."""
        key = (about, value)
        if key not in self._masks:
            self._masks[key] = np.fromiter((holds(host) for host in self.hosts), bool, len(self.hosts))
        return self._masks[key]

    def only(self, names: Iterable[str]) -> Mask:
        """The hosts of these names; names that are not hosts are ignored."""
        chosen: Mask = np.zeros(len(self.names), dtype=np.bool_)
        chosen[[self.index[name] for name in names if name in self.index]] = True
        return chosen
