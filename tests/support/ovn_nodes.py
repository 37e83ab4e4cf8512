"""Network drains with a real OVN beside the simulated Neutron: time is stepped, and what OVN does is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from functions.migrate.drain import Drain, Links
from functions.migrate.network.drain import NetworkDrain
from functions.migrate.network.ovn import Ovn
from functions.migrate.network.restore import FindOvn, find_ovn
from functions.migrate.network.undrain import NetworkUndrain
from functions.migrate.undrain import Undrain
from shared.operations import Engine, Limits
from shared.sink import Nowhere
from shared.store import Database
from tests.support.drains import LEASE
from tests.support.nodes import Nodes

SETTLE = 0.3
"""Seconds of real time for each slice: OVN has its own clock."""


class OvnNodes(Nodes):
    """The nodes of `Nodes`, some of which are chassis of an OVN as well.

    Args:
        find: how the workers find the OVN of a cloud; the settings' way, if none is given.
        settle: seconds of real time to wait before each slice.
    """

    def __init__(
        self, database: Database, find: FindOvn = find_ovn, settle: float = SETTLE, nodes: int = 3, **cloud: Any
    ) -> None:
        self._find, self._settle = find, settle
        super().__init__(database, nodes=nodes, **cloud)

    def worker(self, database: Database | None = None) -> Engine:
        """A fresh process."""
        links = Links(lambda name: self.fake.cloud(name))

        def find(cloud: str) -> Ovn | None:
            time.sleep(self._settle)
            return self._find(cloud)

        return Engine(
            database or self.database,
            [
                Drain(links, self.clock),
                Undrain(links),
                NetworkDrain(links, self.clock, find),
                NetworkUndrain(links, find),
            ],
            source="/drover/migrate",
            clock=self.clock,
            sink=Nowhere(),
            limits=Limits(slice_seconds=25, lease_seconds=LEASE, hops=6),
            new_id=lambda: f"id-{next(self._numbers):06}",
        )

    def before(self, verb: str, then: Callable[[], object]) -> None:
        """Call `then` once, when a worker has stored its intent and is about to call this method of its OVN."""
        self._around(verb, then, None)

    def after(self, verb: str, then: Callable[[], object]) -> None:
        """Call `then` once, when OVN's database has taken what this method wrote, and nobody knows it yet."""
        self._around(verb, None, then)

    def _around(self, verb: str, before: Callable[[], object] | None, after: Callable[[], object] | None) -> None:
        find = self._find

        def watched(cloud: str) -> Ovn | None:
            ovn = find(cloud)
            real = getattr(ovn, verb)

            def call(*args: Any) -> Any:
                if self._find is not watched:  # it has happened
                    return real(*args)
                self._find = find
                vars(ovn).pop(verb)
                if before:
                    before()
                result = real(*args)
                if after:
                    after()
                return result

            setattr(ovn, verb, call)
            return ovn

        self._find = watched
