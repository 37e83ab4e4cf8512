"""What a decision sees of a cloud: hosts, servers, server groups and migrations at one moment.

Everything here is frozen and free of I/O: a live cloud (`shared.fleet.reader`) and a file give the same snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

Resources = Mapping[str, int]
"""Amounts by Placement resource class: `{"VCPU": 4, "MEMORY_MB": 8192, "DISK_GB": 40}`. A class that is absent is 0."""

NOTHING: Resources = {}

NO_METADATA: Mapping[str, str] = {}
"""Shared by all servers that have none: there may be hundreds of thousands."""

NO_PORTS: frozenset[str] = frozenset()

IN_FLIGHT = frozenset(
    {
        "accepted", "queued", "preparing", "running", "post-migrating",  # live migration
        "pre-migrating", "migrating",  # cold migration
    }
)  # fmt: skip
"""Statuses of a migration that still works on a server (Nova, `nova/objects/migration.py`).

Evacuations in `done` still wait for the source to come back, but nothing moves any more; a cold migration in
`finished` waits to be confirmed and is known by its server's status VERIFY_RESIZE.
"""


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a server demands of its host: it must have the zone, all the aggregates and all the traits."""

    zone: str | None = None
    """The zone that the server was pinned to at its creation; None when it may live in any."""
    aggregates: frozenset[str] = frozenset()
    """The target must be in all of these aggregates."""
    traits: frozenset[str] = frozenset()
    forbidden_traits: frozenset[str] = frozenset()
    shunned_hosts: frozenset[str] = frozenset()
    """Hosts that an aggregate's own metadata forbids to this server (tenant or image isolation)."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server (Nova's word for a virtual machine) as the bulk list shows it."""

    id: str
    name: str
    host: str | None
    project: str
    status: str
    """Nova's status: ACTIVE, SHUTOFF, PAUSED, ERROR, RESCUE, VERIFY_RESIZE, …"""
    task_state: str | None = None
    power_state: int = 1
    locked: bool = False
    locked_reason: str | None = None
    uses: Resources = field(default_factory=dict)
    requires: Requirements = field(default_factory=Requirements)
    extra_specs: Mapping[str, str] = field(default_factory=dict)
    image_properties: Mapping[str, str] = field(default_factory=dict)
    """Only from microversion 2.98 on; empty on older clouds."""
    volume_backed: bool = False
    volumes: frozenset[str] = frozenset()
    """Ids of the volumes that are attached to it."""
    metadata: Mapping[str, str] = field(default_factory=lambda: NO_METADATA)
    """What its owner tells Drover: of its metadata the keys that begin with `drover:`."""
    created: datetime | None = None
    fault: str | None = None
    vnic_types: frozenset[str] = NO_PORTS
    """The kinds of its Neutron ports other than "normal", of the hosts that the fleet was read around."""
    config_drive: bool = False
    """Whether it has a config drive, as every amphora has (`octavia/compute/drivers/nova_driver.py`)."""

    @property
    def memory_mb(self) -> int:
        """Guest memory in MiB, which decides how long a live migration takes."""
        return self.uses.get("MEMORY_MB", 0)


@dataclass(frozen=True, slots=True)
class Host:
    """A hypervisor with its compute service."""

    name: str
    zone: str
    capacity: Resources
    """Ratios and reserves are applied already: what Placement lets be allocated."""
    used: Resources
    """What Placement holds as allocated: servers, and both ends of every migration in flight."""
    accepts: bool
    """Whether it may receive servers: its service is up, enabled and not forced down."""
    aggregates: frozenset[str] = frozenset()
    traits: frozenset[str] = frozenset()
    rack: str | None = None
    service_id: str | None = None
    state: str = "up"
    status: str = "enabled"
    disabled_reason: str | None = None
    forced_down: bool = False
    hypervisor: str = ""
    """Nova's hypervisor_type: QEMU, ironic, …; empty when the host has no hypervisor."""

    def free(self) -> dict[str, int]:
        """What can still be allocated here, by resource class; never below 0."""
        return {kind: max(0, total - self.used.get(kind, 0)) for kind, total in self.capacity.items()}


@dataclass(frozen=True, slots=True)
class Group:
    """A server group: `policy` is affinity, anti-affinity, soft-affinity or soft-anti-affinity."""

    id: str
    policy: str
    members: frozenset[str]
    name: str = ""
    max_per_host: int = 1
    """The anti-affinity rule max_server_per_host (microversion 2.64)."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One row of Nova's os-migrations."""

    id: int
    uuid: str
    server: str
    source: str | None
    target: str | None
    """None until a target has been chosen, and for ever when the scheduler found none."""
    status: str
    kind: str
    """live-migration, migration (cold), resize or evacuation."""
    created: datetime
    updated: datetime

    @property
    def in_flight(self) -> bool:
        """Whether it still works on the server (and so holds capacity at both ends)."""
        return self.status in IN_FLIGHT


@dataclass(frozen=True, slots=True)
class Amphora:
    """A server of Octavia's that carries a load balancer, as GET /v2/octavia/amphorae shows it."""

    id: str
    server: str
    """Id of the server that it is."""
    role: str = ""
    """MASTER, BACKUP or STANDALONE; empty as long as it has none."""
    status: str = "ALLOCATED"
    """PENDING_CREATE, BOOTING, ALLOCATED, READY (a spare), PENDING_DELETE, DELETED or ERROR."""
    balancer: str | None = None
    """Id of its load balancer; None when it carries none."""
    balancer_name: str = ""
    balancer_status: str = ""
    """The balancer's provisioning_status: ACTIVE, PENDING_…, ERROR; empty when Octavia does not list the balancer."""


@dataclass(frozen=True)
class Fleet:
    """One moment of a cloud."""

    hosts: Mapping[str, Host]
    servers: Mapping[str, Server]
    groups: Mapping[str, Group] = field(default_factory=dict)
    migrations: tuple[Migration, ...] = ()
    """At least those in flight."""
    amphorae: Mapping[str, Amphora] = field(default_factory=dict)
    """By server id, of the hosts that the fleet was read around."""
    version: tuple[int, int] | None = None
    """Nova's newest compute microversion, as far as Drover knows it; None when the fleet comes from a file."""

    @cached_property
    def by_host(self) -> Mapping[str, tuple[Server, ...]]:
        """The servers of every host that has any, in the order of `servers`."""
        lists: dict[str, list[Server]] = {}
        for server in self.servers.values():
            if server.host is not None:
                lists.setdefault(server.host, []).append(server)
        return {host: tuple(servers) for host, servers in lists.items()}

    @cached_property
    def groups_of(self) -> Mapping[str, tuple[Group, ...]]:
        """The groups of every server that is in one."""
        lists: dict[str, list[Group]] = {}
        for group in self.groups.values():
            for member in group.members:
                lists.setdefault(member, []).append(group)
        return {server: tuple(groups) for server, groups in lists.items()}

    def on(self, host: str) -> tuple[Server, ...]:
        """The servers of one host."""
        return self.by_host.get(host, ())
