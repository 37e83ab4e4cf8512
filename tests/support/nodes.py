"""Network drains on the simulated cloud: the real engine and kinds, network nodes, and time that a test lets pass."""

from __future__ import annotations

from typing import Any

from functions.migrate.drain import Drain, Links
from functions.migrate.network.drain import NetworkDrain
from functions.migrate.network.undrain import NetworkUndrain
from functions.migrate.undrain import Undrain
from lab.simulator.network import Agent, Network, Router
from shared.operations import Engine, Limits
from shared.sink import Nowhere
from shared.store import Database
from tests.support.drains import LEASE, Drains


class Nodes(Drains):
    """net01, which is drained, net02 and net03, each with an L3 and a DHCP agent; and the hypervisors of `Drains`."""

    def __init__(self, database: Database, *, nodes: int = 3, **cloud: Any) -> None:
        super().__init__(database, **cloud)
        self.l3: dict[str, Agent] = {}
        self.dhcp: dict[str, Agent] = {}
        for number in range(1, nodes + 1):
            self.node(f"net{number:02}")

    def worker(self, database: Database | None = None) -> Engine:
        """A fresh process."""
        links = Links(lambda name: self.fake.cloud(name))
        return Engine(
            database or self.database,
            [Drain(links, self.clock), Undrain(links), NetworkDrain(links, self.clock), NetworkUndrain(links)],
            source="/drover/migrate",
            clock=self.clock,
            sink=Nowhere(),
            limits=Limits(slice_seconds=25, lease_seconds=LEASE, hops=6),
            new_id=lambda: f"id-{next(self._numbers):06}",
        )

    # -- setting up -------------------------------------------------------------------------------------------

    def node(self, host: str, zone: str | None = None, **details: Any) -> None:
        """Add a network node."""
        self.l3[host] = self.fake.network.add_agent("l3", host, zone, **details)
        self.dhcp[host] = self.fake.network.add_agent("dhcp", host, zone)

    def router(self, name: str, *hosts: str, **details: Any) -> Router:
        """Add a router that the first of these carries."""
        return self.fake.network.add_router(name, [self.l3[host] for host in hosts or ("net01",)], **details)

    def ha_router(self, name: str, *hosts: str, **details: Any) -> Router:
        """Add a HA router that the first of these carries."""
        return self.router(name, *(hosts or ("net01", "net02")), ha=True, **details)

    def network(self, name: str, *hosts: str, **details: Any) -> Network:
        """Add a network that these serve."""
        return self.fake.network.add_network(name, [self.dhcp[host] for host in hosts or ("net01",)], **details)

    # -- asking -----------------------------------------------------------------------------------------------

    def plan(self, host: str = "net01", **options: Any) -> dict[str, Any]:
        """A dry run's answer."""
        reply = self.ask(host, "network-drain", dry_run=True, **options)
        assert reply.type == "io.drover.network-drain.planned", reply.data
        return dict(reply.data)

    def start(self, host: str = "net01", **options: Any) -> str:
        """Ask for a network drain that is accepted; gives the operation's id."""
        return self.begin(host, "network-drain", **options)

    def empty(self, host: str = "net01", **options: Any) -> dict[str, Any]:
        """A whole network drain; gives its document."""
        return self.run(self.start(host, **options))

    def give_back(self, host: str = "net01", **options: Any) -> dict[str, Any]:
        """A whole undrain; gives its document."""
        return self.run(self.begin(host, "network-undrain", **options))

    # -- looking ----------------------------------------------------------------------------------------------

    def hosts_of(self, thing: Router | Network) -> list[str]:
        """Where a router or network is bound."""
        self.fake.world.settle()
        return sorted(self.fake.network.agents[id].host for id in thing.agents)

    def carrier(self, router: Router) -> str | None:
        """The host that carries a router in truth."""
        self.fake.world.settle()
        return self.fake.network.agents[router.active].host if router.active else None

    def servers_of(self, network: Network) -> list[str]:
        """The hosts that answer a network's DHCP requests in truth."""
        self.fake.world.settle()
        return sorted(self.fake.network.agents[id].host for id in network.serving)

    def verbs(self, thing: Router | Network | Agent) -> list[str]:
        """What the cloud was asked to do with something: "router-add net02"."""
        return [f"{act.verb} {act.target}" for act in self.acts(server=thing.id)]
