"""What the simulated cloud knows: plain records of hosts, servers, migrations and their actions.

There may be hundreds of thousands of servers, so what they have in common (flavors, times) is shared between them.
"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

Amounts = dict[str, int]
"""Amounts by resource class."""

_entropy = random.Random()


def new_id() -> str:
    """A fresh uuid; quicker than `uuid.uuid4`, which asks the kernel for each."""
    return str(uuid.UUID(int=_entropy.getrandbits(128), version=4))


@dataclass
class Fault:
    """What goes wrong with one server's migrations; a field at its default does nothing."""

    seconds: float | None = None
    """The copy takes this long instead of the cloud's usual time."""
    stalled: bool = False
    """Memory never becomes less, until it is aborted or forced to complete."""
    precheck: bool = False
    """The target's pre-check refuses: NoValidHost."""
    prepare: bool = False
    """The target fails to prepare: `error`, then `failed`, the server where it was."""
    fails: bool = False
    """The driver fails after the copy: `failed`, without a reason anywhere."""
    kills_source: bool = False
    """The source's nova-compute dies half-way through the copy."""
    kills_target: bool = False
    """The target's nova-compute dies while it prepares."""
    spawn: str | None = None
    """`fail` or `hang`: what becomes of a boot, or of the rebuild on another host."""
    spawn_seconds: float = 0.0
    """A boot takes this much longer."""
    times: int | None = None
    """Only the first so many attempts; None is always."""
    targets: frozenset[str] = frozenset()
    """Only towards these hosts; empty is all."""


@dataclass(slots=True)
class Host:
    """A hypervisor, its compute service and its resource provider."""

    name: str
    capacity: Amounts
    zone: str = "nova"
    traits: set[str] = field(default_factory=set)
    disabled: bool = False
    disabled_reason: str | None = None
    forced_down: bool = False
    dead: bool = False
    """The compute process does not report any more."""
    id: str = field(default_factory=new_id)
    service_id: str = field(default_factory=new_id)
    rack: str | None = None
    last_seen: datetime | None = None
    """When a dead compute reported for the last time."""
    changed: datetime | None = None
    """When somebody changed its service last."""
    hypervisor: str = "fake"
    """Nova's hypervisor_type: fake is the lab's; QEMU, ironic, …"""

    @property
    def up(self) -> bool:
        """What Nova calls the state."""
        return not self.dead and not self.forced_down

    @property
    def accepts(self) -> bool:
        """Whether the scheduler would take it."""
        return self.up and not self.disabled


class Watcher(Protocol):
    """Whoever keeps servers in order: by host, and by their last change."""

    def moved(self, server: Server, old: str | None) -> None:
        """The server's host has changed."""
        ...

    def changed(self, server: Server) -> None:
        """The server's `updated` has changed."""
        ...


class Server:
    """A server; `status` is the API's word for it. Setting `host` and `updated` keeps the indexes right."""

    __slots__ = (
        "_host", "_updated", "before", "config_drive", "created", "extra_specs", "fault", "flavor", "id",
        "image_properties", "locked", "locked_reason", "metadata", "name", "number", "pinned_zone", "power", "project",
        "status", "task_state", "uses", "vnic_type", "volume_backed", "volumes", "watcher",
    )  # fmt: skip

    def __init__(
        self,
        id: str,
        name: str,
        host: str | None,
        project: str,
        created: datetime,
        updated: datetime,
        *,
        status: str = "ACTIVE",
        task_state: str | None = None,
        uses: Amounts | None = None,
        extra_specs: dict[str, str] | None = None,
        image_properties: dict[str, str] | None = None,
        volume_backed: bool = False,
        locked: bool = False,
        locked_reason: str | None = None,
        pinned_zone: str | None = None,
        fault: str | None = None,
        flavor: str = "any",
        metadata: dict[str, str] | None = None,
        volumes: tuple[str, ...] = (),
        config_drive: bool = False,
        vnic_type: str = "normal",
    ) -> None:
        self.id = id
        self.name = name
        self._host = host
        self.project = project
        self.created = created
        self._updated = updated
        self.status = status
        self.task_state = task_state
        self.uses: Amounts = uses if uses is not None else {}
        """VCPU, MEMORY_MB and DISK_GB of its flavor."""
        self.extra_specs = extra_specs if extra_specs is not None else NOTHING
        self.image_properties = image_properties if image_properties is not None else NOTHING
        self.volume_backed = volume_backed
        self.locked = locked
        self.locked_reason = locked_reason
        self.pinned_zone = pinned_zone
        self.fault = fault
        self.flavor = flavor
        self.metadata = metadata if metadata is not None else NOTHING
        self.volumes = volumes
        """Ids of the volumes that are attached to it."""
        self.config_drive = config_drive
        self.vnic_type = vnic_type
        """What its port is: normal, direct, vdpa, …"""
        self.before = "ACTIVE"
        """The status to come back to after a cold migration is confirmed, or a rescue ended."""
        self.number = 0
        """Nova's own number of the row: servers are listed newest first."""
        self.watcher: Watcher | None = None

    @property
    def host(self) -> str | None:
        """Where it is; None when nowhere (not scheduled yet, or shelved and offloaded)."""
        return self._host

    @host.setter
    def host(self, host: str | None) -> None:
        old, self._host = self._host, host
        if self.watcher is not None and old != host:
            self.watcher.moved(self, old)

    @property
    def updated(self) -> datetime:
        """When the record was written last."""
        return self._updated

    @updated.setter
    def updated(self, time: datetime) -> None:
        self._updated = time
        if self.watcher is not None:
            self.watcher.changed(self)


NOTHING: dict[str, str] = {}
"""Shared by all servers that have no extra specs, properties or metadata; never written to."""


@dataclass
class Migration:
    """A row of os-migrations."""

    id: int
    server: str
    source: str
    target: str | None
    status: str
    kind: str
    created: datetime
    updated: datetime
    memory_mb: int = 0
    started: datetime | None = None
    """When the copy began."""
    runs: bool = False
    """It has one of its source's places."""
    seconds: float = 0.0
    """How long the copy takes."""
    stalled: bool = False
    copied: bool = False
    """Its guest is on the target already, so that an abort comes too late."""
    project: str = ""
    uuid: str = field(default_factory=new_id)

    def remaining(self, now: datetime) -> int:
        """Bytes of memory still to be copied; a stalled copy keeps half of them."""
        total = self.memory_mb * 2**20
        if self.started is None:
            return total
        share = min(1.0, (now - self.started).total_seconds() / max(self.seconds, 0.001))
        return int(total * (1 - (0.5 if self.stalled else share)))

    def processed(self, now: datetime) -> int:
        """Bytes that have been copied; more than there are, when the same pages are copied again and again."""
        if self.started is None:
            return 0
        return int(self.memory_mb * 2**20 * (now - self.started).total_seconds() / max(self.seconds, 0.001))


@dataclass(slots=True)
class Event:
    """One event of an instance action."""

    event: str
    result: str
    start: datetime
    details: str | None = None


@dataclass(slots=True)
class Action:
    """One instance action with its events."""

    action: str
    request_id: str
    start: datetime
    updated: datetime
    events: list[Event] = field(default_factory=list)

    @property
    def message(self) -> str | None:
        """Nova's word for an action with a failed event."""
        return "Error" if any(event.result == "Error" for event in self.events) else None

    def note(self, event: str, time: datetime, error: str | None = None) -> None:
        """Record an event; `error` is its details."""
        self.events.append(Event(event, "Error" if error else "Success", time, error))
        self.updated = time


@dataclass(slots=True)
class Group:
    """A server group."""

    id: str
    name: str
    policy: str
    members: list[str]
    project: str
    max_per_host: int = 1


@dataclass(slots=True)
class Aggregate:
    """A host aggregate."""

    id: int
    name: str
    hosts: list[str]
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class Act:
    """One change that the cloud has accepted."""

    time: datetime
    verb: str
    """live-migrate, cold-migrate, confirm, revert, evacuate, abort, force-complete, start, stop, disable, enable,
    force-down (which is also the word for taking it back), and the words of the other services."""
    server: str | None
    """The server's id; None when a service is meant."""
    target: str | None
    """The named host, or the service's host."""
    by: str = "admin"
    """Who asked: the user's name."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request, by its token."""

    name: str
    project: str
    roles: frozenset[str]

    @property
    def admin(self) -> bool:
        """Whether the services' policies count it as an administrator."""
        return "admin" in self.roles


Json = Any
"""Parsed JSON, or what becomes JSON."""
