"""The ports of the simulated network: those of servers, of routers, and of DHCP agents."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from lab.simulator.network import NETWORK, SPACE, Agent, Networking, Router
from lab.simulator.records import Server

Row = dict[str, Any]


def port_of(network: Networking, server: Server) -> Row:
    """The only port of a server: bound where the server is."""
    hosts = network.world.hosts
    alive = server.host in hosts and not hosts[server.host].dead
    return _view(
        id=str(uuid.uuid5(SPACE, server.id)), device=server.id, owner="compute:nova", project=server.project,
        host=server.host or "", active=server.host is not None and alive,
    ) | {"binding:vnic_type": server.vnic_type}  # fmt: skip


def agents_ports(network: Networking) -> Iterator[Row]:
    """The ports of all routers, and those of DHCP agents: one for each network that an agent serves."""
    for router in network.routers.values():
        yield from _ports_of_router(network, router)
    for each in network.networks.values():
        for agent in [network.agents[id] for id in each.agents if id in each.serving]:
            device = f"dhcp{uuid.uuid5(SPACE, agent.host)}-{each.id}"
            yield _agents_port(device, agent.id, "network:dhcp", agent, True, each.id)


def _ports_of_router(network: Networking, router: Router) -> Iterator[Row]:
    """One inner port, bound to the host whose agent asked for the router last (Neutron writes that down when it answers
    the agent: `L3RpcCallback._ensure_host_set_on_ports`); of a HA router besides one for each of its agents."""
    owner = "network:ha_router_replicated_interface" if router.ha else "network:router_interface"
    last = network.agents.get(router.last or "")
    yield _agents_port(router.id, "inner", owner, last, router.active is not None)
    for id in router.agents if router.ha else ():
        yield _agents_port(router.id, id, "network:router_ha_interface", network.agents[id], id in router.ready)


def _agents_port(device: str, name: str, owner: str, agent: Agent | None, active: bool, network: str = NETWORK) -> Row:
    return _view(
        id=str(uuid.uuid5(SPACE, f"{device} {name}")), device=device, owner=owner, project="", network=network,
        host=agent.host if agent is not None else "", active=active,
    )  # fmt: skip


def _view(*, id: str, device: str, owner: str, project: str, host: str, active: bool, network: str = NETWORK) -> Row:
    return {
        "id": id,
        "name": "",
        "network_id": network,
        "project_id": project,
        "tenant_id": project,
        "admin_state_up": True,
        "status": "ACTIVE" if active else "DOWN",
        "device_id": device,
        "device_owner": owner,
        "fixed_ips": [],
        "binding:vnic_type": "normal",
        "binding:host_id": host,
        "binding:vif_type": "ovs" if host else "unbound",
        "binding:profile": {},
    }
