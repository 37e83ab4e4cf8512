"""The simulated network's state: agents, routers, networks, and which agent carries what."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lab.simulator.records import new_id
from lab.simulator.world import World

FAILOVER = 3.0
"""Seconds until another agent carries a HA router whose active agent has gone (VRRP: three advertisements lost, 2 s
apart by default, and the agents' report)."""
SYNC = 1.0
"""Seconds until an agent has done what was written down for it."""
KINDS = {
    "l3": ("L3 agent", "neutron-l3-agent"),
    "dhcp": ("DHCP agent", "neutron-dhcp-agent"),
    "metadata": ("Metadata agent", "neutron-metadata-agent"),
    "ovs": ("Open vSwitch agent", "neutron-openvswitch-agent"),
    "ovn": ("OVN Controller agent", "ovn-controller"),
    "ovn-gateway": ("OVN Controller Gateway agent", "ovn-controller"),
}
"""Agent type and binary of each kind."""
NETWORK = "5a6e1c1e-0000-4000-8000-0000000000ff"
"""The network of all servers."""
SPACE = uuid.UUID("5a6e1c1e-0000-4000-8000-00000000f00d")


@dataclass(slots=True)
class Agent:
    """A Neutron agent."""

    id: str
    kind: str
    host: str
    created: datetime
    admin_up: bool = True
    dead: bool = False
    """It does not report, whatever its host's nova-compute does."""
    mute: bool = False
    """It reports, but does nothing of what it is told: Neutron writes a router down for it, and answers 500."""
    description: str | None = None
    zone: str | None = None
    mode: str = "legacy"
    """Of an L3 agent: legacy, dvr or dvr_snat."""


@dataclass(slots=True)
class Router:
    """A router. Legacy: at most one agent. HA: several, of which one carries it."""

    id: str
    name: str
    project: str
    ha: bool = False
    agents: list[str] = field(default_factory=list)
    """Ids of the agents that it is bound to."""
    active: str | None = None
    """The agent that carries it in truth."""
    last: str | None = None
    """The agent that was active last."""
    ready: set[str] = field(default_factory=set)
    """Agents that have it set up, of a HA router also those that stand by."""
    distributed: bool = False
    admin_up: bool = True
    """Its owner has not switched it off: of one that is nobody carries anything."""
    hints: list[str] = field(default_factory=list)
    """The availability zones that its agents must be in."""


@dataclass(slots=True)
class Network:
    """A network, with the DHCP agents that serve it."""

    id: str
    name: str
    agents: list[str] = field(default_factory=list)
    serving: set[str] = field(default_factory=set)
    """Agents that answer DHCP requests in truth: a moment after they were bound."""
    details: dict[str, Any] = field(default_factory=dict)
    hints: list[str] = field(default_factory=list)


class Networking:
    """The agents and what they carry. Every compute has an Open vSwitch agent of its own, made when it is asked for."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.agents: dict[str, Agent] = {}
        self.routers: dict[str, Router] = {}
        self.networks: dict[str, Network] = {NETWORK: Network(NETWORK, "lab")}
        self._with_agent: set[str] = set()
        world.watchers.append(self._host_changed)

    # -- setting up -------------------------------------------------------------------------------------------

    def add_agent(self, kind: str, host: str, zone: str | None = None, **details: Any) -> Agent:
        """Add an agent of one of `KINDS`."""
        agent = Agent(new_id(), kind, host, self.world.time, zone=zone, **details)
        self.agents[agent.id] = agent
        return agent

    def add_router(
        self, name: str, agents: list[Agent], *, ha: bool = False, project: str = "admin", **details: Any
    ) -> Router:
        """Add a router that is bound already; the first agent carries it."""
        router = Router(new_id(), name, project, ha, [agent.id for agent in agents], **details)
        router.ready = {agent.id for agent in agents if self.serves(agent)}
        router.active = router.last = next((id for id in router.agents if id in router.ready), None)
        self.routers[router.id] = router
        return router

    def add_network(self, name: str, agents: list[Agent], hints: list[str] | None = None) -> Network:
        """Add a network that is served already."""
        ids = [agent.id for agent in agents]
        serving = {agent.id for agent in agents if self.serves(agent)}
        network = Network(new_id(), name, ids, serving, hints=hints or [])
        self.networks[network.id] = network
        return network

    # -- agents -----------------------------------------------------------------------------------------------

    def all_agents(self) -> list[Agent]:
        """All agents, those of the computes among them."""
        if len(self._with_agent) != len(self.world.hosts):
            for name in self.world.hosts:
                if name not in self._with_agent:
                    self._with_agent.add(name)
                    id = str(uuid.uuid5(SPACE, f"ovs {name}"))
                    self.agents[id] = Agent(id, "ovs", name, self.world.time)
        return list(self.agents.values())

    def agent(self, id: str) -> Agent | None:
        """An agent by its id."""
        self.all_agents()
        return self.agents.get(id)

    def forget(self, agent: Agent) -> None:
        """The agent's record is deleted, with its bindings."""
        for router in self.routers.values():
            if agent.id in router.agents:
                self.unbind_router(router, agent)
        for network in self.networks.values():
            if agent.id in network.agents:
                self.unbind_network(network, agent)
        del self.agents[agent.id]

    def alive(self, agent: Agent) -> bool:
        """Whether it reports."""
        host = self.world.hosts.get(agent.host)
        return not agent.dead and not (host is not None and host.dead)

    def set_dead(self, agent: Agent, dead: bool) -> None:
        """The agent falls silent, or is back."""
        agent.dead = dead
        self.world.after(SYNC, lambda: self.resync(agent))

    def _host_changed(self, host: str) -> None:
        for agent in [agent for agent in self.agents.values() if agent.host == host]:
            self.world.after(SYNC, lambda agent=agent: self.resync(agent))  # type: ignore[misc]

    def serves(self, agent: Agent) -> bool:
        """Whether it carries anything at all (`enable_services_on_agents_with_admin_state_down` is off by default)."""
        return agent.admin_up and self.alive(agent) and not agent.mute

    def set_admin(self, agent: Agent, up: bool) -> None:
        """admin_state_up: a disabled L3 agent drops all its routers, HA or not; only HA ones have another agent."""
        if agent.admin_up == up:
            return
        agent.admin_up = up
        self.world.act("agent-enable" if up else "agent-disable", agent.id, agent.host)
        self.world.after(SYNC, lambda: self.resync(agent))

    def resync(self, agent: Agent) -> None:
        """The agent does what is written down, or is found dead by the others."""
        for router in self.routers.values():
            if agent.id in router.agents:
                self._settle(router)
        for network in self.networks.values():
            if agent.id in network.agents and self.serves(agent):
                network.serving.add(agent.id)
            else:
                network.serving.discard(agent.id)

    def _settle(self, router: Router) -> None:
        """If who carries the router can't any more, another of its agents takes over, a HA router's only."""
        able = [id for id in router.agents if router.admin_up and id in self.agents and self.serves(self.agents[id])]
        router.ready = set(able)
        if router.active in able:
            return
        router.active = None
        if able and not router.ha:
            router.active = router.last = able[0]
        elif able:
            self.world.after(FAILOVER, lambda: self._take_over(router))

    def _take_over(self, router: Router) -> None:
        able = [id for id in router.agents if router.admin_up and id in self.agents and self.serves(self.agents[id])]
        if router.active is None and able:
            router.active = router.last = able[0]

    def ha_state(self, router: Router, agent: Agent) -> str | None:
        """What Neutron shows of a HA router on an agent (neutron/db/l3_hamode_db.py: agents that are dead or disabled
        count as standby as long as another one is neither, else the last active one is unknown)."""
        if not router.ha:
            return None
        if any(self._fit(id) for id in router.agents):
            return "active" if router.active == agent.id and self._fit(agent.id) else "standby"
        return "unknown" if router.last == agent.id else "standby"

    def _fit(self, id: str) -> bool:
        agent = self.agents.get(id)
        return agent is not None and agent.admin_up and self.alive(agent)

    # -- bindings ---------------------------------------------------------------------------------------------

    def bind_router(self, router: Router, agent: Agent) -> None:
        """The router is written down for the agent, which carries it a moment later."""
        router.agents.append(agent.id)
        self.world.act("router-add", router.id, agent.host)
        self.world.after(SYNC, lambda: self._settle(router))

    def unbind_router(self, router: Router, agent: Agent) -> None:
        """The agent drops the router at once."""
        router.agents.remove(agent.id)
        router.ready.discard(agent.id)
        self.world.act("router-remove", router.id, agent.host)
        if router.active == agent.id:
            router.active = None
            self._settle(router)

    def bind_network(self, network: Network, agent: Agent) -> None:
        """The agent serves the network a moment later."""
        network.agents.append(agent.id)
        self.world.act("network-add", network.id, agent.host)
        self.world.after(SYNC, lambda: self.resync(agent))

    def unbind_network(self, network: Network, agent: Agent) -> None:
        """The agent stops serving it."""
        network.agents.remove(agent.id)
        network.serving.discard(agent.id)
        self.world.act("network-remove", network.id, agent.host)

    # -- what the agents say of themselves --------------------------------------------------------------------

    def configurations(self, agent: Agent) -> dict[str, Any]:
        """An agent's report, as far as somebody may want to know it."""
        if agent.kind == "l3":
            carried = sum(agent.id in router.ready for router in self.routers.values())
            return {"agent_mode": agent.mode, "handle_internal_only_routers": True, "routers": carried}
        if agent.kind == "dhcp":
            return {"networks": sum(agent.id in each.serving for each in self.networks.values())}
        return {}
