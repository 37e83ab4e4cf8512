"""The words of OVN's gateways: who may carry one, who carries it, and what a drain has written into a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

BEFORE, WRITTEN = "drover-priority-before", "drover-priority-written"
LOWERED, HOST = "drover-lowered-by", "drover-lowered-host"
"""Keys in a row's `external_ids`: its priority before the first drain, the last one that a drain wrote, the operation
that lowered it, and the host that it is of. A row that only made room for a lowered one has the first two."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a drain has written beside a priority."""

    before: int
    written: int
    lowered_by: str | None = None
    host: str | None = None
    """Of the chassis that was lowered: when its ovn-controller has ended, no other table says so any more."""

    @property
    def ids(self) -> dict[str, str]:
        """As `external_ids`."""
        ids = {BEFORE: str(self.before), WRITTEN: str(self.written)}
        ids |= {LOWERED: self.lowered_by} if self.lowered_by else {}
        return ids | ({HOST: self.host} if self.host else {})

    @staticmethod
    def of(ids: Mapping[str, str]) -> Mark | None:
        """The mark in a row's `external_ids`; one that a person made unreadable counts as none."""
        try:
            return Mark(int(ids[BEFORE]), int(ids[WRITTEN]), ids.get(LOWERED), ids.get(HOST))
        except (KeyError, ValueError):
            return None


@dataclass(frozen=True)
class Candidate:
    """One row of Gateway_Chassis or HA_Chassis: a chassis that may carry a gateway; the highest living one does."""

    row: str
    """Its UUID."""
    chassis: str
    """The chassis' name, which is its system-id."""
    priority: int
    """0 … 32767."""
    ids: Mapping[str, str]
    """All of the row's external_ids."""
    host: str | None
    """None: no such chassis has registered itself."""
    alive: bool

    @cached_property
    def mark(self) -> Mark | None:
        """What a drain wrote."""
        return Mark.of(self.ids)

    @property
    def original(self) -> int:
        """The priority without drains; what somebody else wrote since is what counts."""
        return self.mark.before if self.mark and self.mark.written == self.priority else self.priority

    @property
    def lowered(self) -> bool:
        """Whether a drain lowered it, and nobody else changed that since."""
        return bool(self.mark and self.mark.lowered_by and self.mark.written == self.priority)

    def overridden(self, operation: str) -> bool:
        """Whether this drain lowered it, and somebody else changed that since."""
        return bool(self.mark and self.mark.lowered_by == operation and self.mark.written != self.priority)


@dataclass(frozen=True)
class Gateway:
    """What one list of candidates is for: a gateway port of a router, or all ports of an HA_Chassis_Group."""

    name: str
    """`Logical_Router_Port:lrp-…` or `HA_Chassis_Group:…`."""
    parent: str
    """The UUID of that row."""
    candidates: tuple[Candidate, ...]
    """The highest priority first."""
    carriers: Mapping[str, str | None]
    """Each port of it in the southbound database, and the chassis that it is bound to (None: to none)."""

    @property
    def priorities(self) -> dict[str, int]:
        """Each candidate's, by chassis: what goes on record before and after a change."""
        return {candidate.chassis: candidate.priority for candidate in self.candidates}

    @property
    def parent_table(self) -> str:
        """Which table lists the candidates."""
        return self.name.partition(":")[0]

    @property
    def table(self) -> str:
        """Where the candidates are."""
        return "HA_Chassis" if self.parent_table == "HA_Chassis_Group" else "Gateway_Chassis"

    @property
    def column(self) -> str:
        """In which column of the parent."""
        return self.table.lower()


@dataclass(frozen=True)
class Look:
    """OVN as it was at one moment, as far as one host may carry something."""

    host: str
    chassis: frozenset[str]
    """The chassis of the host: usually one; none, if it is no part of OVN."""
    alive: frozenset[str]
    """All chassis that live."""
    gateways: tuple[Gateway, ...]
    """Those that the host is a candidate for; those that it does not carry now first: they can be lowered unnoticed."""
    pinned: tuple[str, ...]
    """Ports that are bound to the host by a router's or a port's own option, and by no priority."""

    def gateway(self, name: str) -> Gateway | None:
        """The one of that name; None: it is gone, or the host is no candidate any more."""
        return next((gateway for gateway in self.gateways if gateway.name == name), None)

    def mine(self, gateway: Gateway) -> tuple[Candidate, ...]:
        """The host's own places in it: usually one."""
        return tuple(candidate for candidate in gateway.candidates if candidate.chassis in self.chassis)

    def others(self, gateway: Gateway) -> tuple[Candidate, ...]:
        """The other hosts' places in it."""
        return tuple(candidate for candidate in gateway.candidates if candidate.chassis not in self.chassis)

    def carried_here(self, gateway: Gateway) -> tuple[str, ...]:
        """The ports of it that the host carries."""
        return tuple(port for port, chassis in gateway.carriers.items() if chassis in self.chassis)
