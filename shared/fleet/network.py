"""What Neutron knows of a hypervisor: the ports of its servers, and the agents that run there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from shared.errors import Permanent, Retry

if TYPE_CHECKING:
    from shared.clouds.connection import Cloud


def read_vnic_types(cloud: Cloud, hosts: Iterable[str]) -> dict[str, frozenset[str]]:
    """By server id the kinds of its ports (`binding:vnic_type`), of those that have others than "normal".

    One request for every 1000 ports of each host. A Neutron that does not tell is no obstacle: Nova looks itself at the
    ports of what it moves.
    """
    found: dict[str, set[str]] = {}
    try:
        for host in sorted(hosts):
            for port in cloud.network.pages("/v2.0/ports", "ports", params={"binding:host_id": host}):
                if (kind := port.get("binding:vnic_type", "normal")) != "normal" and port.get("device_id"):
                    found.setdefault(port["device_id"], set()).add(kind)
    except (Permanent, Retry):
        return {}
    return {server: frozenset(kinds) for server, kinds in found.items()}


def read_agents(cloud: Cloud, host: str) -> list[str]:
    """The kinds of Neutron's agents on a host that carry routers or networks, sorted; one request.

    Empty also when Neutron does not tell.
    """
    try:
        agents = cloud.network.get("/v2.0/agents", params={"host": host})["agents"]
    except (Permanent, Retry):
        return []
    return sorted({agent["agent_type"] for agent in agents} & CARRIERS)


CARRIERS = frozenset({"L3 agent", "DHCP agent", "OVN Controller Gateway agent"})
"""Neutron's names of the agents that others depend on; a hypervisor's own agent serves its own servers only."""
