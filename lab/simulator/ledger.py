"""What Placement holds as allocated, with the totals of every host kept up to date."""

from __future__ import annotations

from lab.simulator.records import Amounts

Claim = tuple[str, Amounts]
"""A host, and what is held there."""


class Ledger(dict[str, Claim]):
    """Claims by consumer: a server's id, or a migration's uuid for the source's side of a move."""

    def __init__(self) -> None:
        super().__init__()
        self.totals: dict[str, Amounts] = {}
        """What is used, by host and resource class."""

    def __setitem__(self, consumer: str, claim: Claim) -> None:
        self._take_back(self.get(consumer))
        super().__setitem__(consumer, claim)
        host, amounts = claim
        there = self.totals.setdefault(host, {})
        for kind, amount in amounts.items():
            there[kind] = there.get(kind, 0) + amount

    def __delitem__(self, consumer: str) -> None:
        self._take_back(self.get(consumer))
        super().__delitem__(consumer)

    def drop(self, consumer: str) -> None:
        """Free what a consumer holds, if it holds anything."""
        if consumer in self:
            del self[consumer]

    def used(self, host: str) -> Amounts:
        """What is used on a host."""
        return self.totals.get(host, {})

    def fits(self, host: str, capacity: Amounts, wanted: Amounts) -> bool:
        """Whether the host has room for it as well."""
        used = self.used(host)
        return all(used.get(kind, 0) + amount <= capacity.get(kind, 0) for kind, amount in wanted.items())

    def _take_back(self, claim: Claim | None) -> None:
        if claim is not None:
            host, amounts = claim
            there = self.totals[host]
            for kind, amount in amounts.items():
                there[kind] -= amount
