"""What is looked at before a drain is accepted, and what its plan is made of beside the fleet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from functions.migrate.events import DrainRequested
from functions.migrate.obstacles import IRONIC
from shared.clouds import Cloud
from shared.errors import Rejected
from shared.fleet.network import read_agents
from shared.fleet.snapshot import Fleet


def as_fenced(fleet: Fleet, hosts: Iterable[str], fenced: str | None) -> Fleet:
    """The fleet as it will be when the hosts that are stated to be dead are forced down, to be planned on before."""
    if not fenced:
        return fleet
    dead = {
        name: replace(fleet.hosts[name], state="down", forced_down=True, accepts=False)
        for name in hosts
        if name in fleet.hosts
    }
    return replace(fleet, hosts={**fleet.hosts, **dead})


def net_services(cloud: Cloud, host: str) -> str:
    """What is to be said of a host on which agents of Neutron carry routers or networks; one request."""
    agents = " and ".join(read_agents(cloud, host))
    return f"the {agents} on {host} stays as it is: drover drain-network {host} moves what it carries" if agents else ""


def refuse_bare_metal(fleet: Fleet, hosts: Iterable[str]) -> None:
    """Before anything is stored; the dry run lists their servers.

    Raises:
        Rejected: one of the hosts is Ironic's.
    """
    metal = [host for host in hosts if fleet.hosts[host].hypervisor.lower() == IRONIC]
    if metal:
        raise Rejected(
            f"the servers of {', '.join(metal)} are bare metal (hypervisor type ironic), which no drain can move: the "
            "server is the machine itself. A dry run lists them; their owners create them again on other nodes, and "
            "openstack baremetal node maintenance set keeps new ones from a node"
        )


def check(request: DrainRequested, now: datetime) -> None:
    """What cannot be told from the request alone, or is not asked of drains that were accepted earlier.

    A host whose servers may still run must not be evacuated: their disks would be written twice. Neither that it is
    down nor that it is forced down says that it is off; only somebody can who has made sure.
    """
    if request.deadline is not None and request.deadline <= now:
        raise Rejected(f"the deadline {request.deadline.isoformat()} has passed already; it is {now.isoformat()} now")
    if request.evacuate and not request.fenced:
        raise Rejected(
            "an evacuation needs a statement that the host is off, and found none: a host that is only cut off still "
            "runs its servers, whose disks would then be written twice. Make sure that it is off, then say who did "
            "what: --fenced 'WHO switched it off, HOW'"
        )
