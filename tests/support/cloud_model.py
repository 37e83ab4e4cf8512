"""What the double of a cloud knows: plain records, and how they look in Nova's and Placement's JSON."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Amounts = dict[str, int]


def new_id() -> str:
    """A fresh uuid."""
    return str(uuid.uuid4())


def stamp(time: datetime | None) -> str | None:
    """A time as os-migrations, os-services and the actions print it: UTC, microseconds, no zone."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.%f") if time else None


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
    times: int | None = None
    """Only the first so many attempts; None is always."""
    targets: frozenset[str] = frozenset()
    """Only towards these hosts; empty is all."""


@dataclass
class FakeHost:
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

    @property
    def up(self) -> bool:
        """What Nova calls the state."""
        return not self.dead and not self.forced_down

    @property
    def accepts(self) -> bool:
        """Whether the scheduler would take it."""
        return self.up and not self.disabled


@dataclass
class FakeServer:
    """A server; `status` is the API's word for it."""

    id: str
    name: str
    host: str | None
    project: str
    created: datetime
    updated: datetime
    status: str = "ACTIVE"
    task_state: str | None = None
    uses: Amounts = field(default_factory=dict)
    """VCPU, MEMORY_MB and DISK_GB of its flavor."""
    extra_specs: dict[str, str] = field(default_factory=dict)
    image_properties: dict[str, str] = field(default_factory=dict)
    volume_backed: bool = False
    locked: bool = False
    locked_reason: str | None = None
    pinned_zone: str | None = None
    fault: str | None = None
    before: str = "ACTIVE"
    """The status to come back to after a cold migration is confirmed."""


@dataclass
class FakeMigration:
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
    wanted: str | None = None
    """The host that was named in the request."""
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


@dataclass
class FakeEvent:
    """One event of an instance action."""

    event: str
    result: str
    start: datetime
    details: str | None = None


@dataclass
class FakeAction:
    """One instance action with its events."""

    action: str
    request_id: str
    start: datetime
    updated: datetime
    events: list[FakeEvent] = field(default_factory=list)

    @property
    def message(self) -> str | None:
        """Nova's word for an action with a failed event."""
        return "Error" if any(event.result == "Error" for event in self.events) else None

    def note(self, event: str, time: datetime, error: str | None = None) -> None:
        """Record an event; `error` is its details."""
        self.events.append(FakeEvent(event, "Error" if error else "Success", time, error))
        self.updated = time


@dataclass
class FakeGroup:
    """A server group."""

    id: str
    name: str
    policy: str
    members: list[str]
    project: str
    max_per_host: int = 1


@dataclass
class FakeAggregate:
    """A host aggregate."""

    id: int
    name: str
    hosts: list[str]
    metadata: dict[str, str]


@dataclass(frozen=True)
class Act:
    """One change that the cloud has accepted."""

    time: datetime
    verb: str
    """live-migrate, cold-migrate, confirm, evacuate, abort, force-complete, start, stop, disable, enable or
    force-down (which is also the word for taking it back)."""
    server: str | None
    """The server's id; None when a service is meant."""
    target: str | None
    """The named host, or the service's host."""


def server_view(server: FakeServer, zone: str, version: tuple[int, int]) -> dict[str, Any]:
    """A server of servers/detail, as Nova shows it to an admin in this microversion (2.73 and later)."""
    view: dict[str, Any] = {
        "id": server.id,
        "name": server.name,
        "status": _shown(server),
        "tenant_id": server.project,
        "user_id": "user",
        "created": server.created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "updated": server.updated.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "image": "" if server.volume_backed else {"id": new_id()},
        "flavor": {
            "vcpus": server.uses.get("VCPU", 1),
            "ram": server.uses.get("MEMORY_MB", 512),
            "disk": server.uses.get("DISK_GB", 1),
            "ephemeral": 0,
            "swap": 0,
            "original_name": "any",
            "extra_specs": server.extra_specs,
        },
        "OS-EXT-SRV-ATTR:host": server.host,
        "OS-EXT-SRV-ATTR:hypervisor_hostname": server.host,
        "OS-EXT-AZ:availability_zone": zone,
        "OS-EXT-STS:task_state": server.task_state,
        "OS-EXT-STS:vm_state": _vm_state(server.status),
        "OS-EXT-STS:power_state": {"ACTIVE": 1, "PAUSED": 3}.get(server.status, 4),
        "os-extended-volumes:volumes_attached": [],
        "locked": server.locked,
        "locked_reason": server.locked_reason,
        "server_groups": [],
    }
    if server.fault and server.status == "ERROR":
        view["fault"] = {"code": 500, "message": server.fault, "created": view["updated"]}
    if version >= (2, 96):
        view["pinned_availability_zone"] = server.pinned_zone
    if version >= (2, 98) and view["image"]:
        view["image"]["properties"] = server.image_properties
    if version >= (2, 100):
        view["scheduler_hints"] = {}
    return view


def migration_view(row: FakeMigration) -> dict[str, Any]:
    """A row of os-migrations."""
    return {
        "id": row.id,
        "uuid": row.uuid,
        "instance_uuid": row.server,
        "source_compute": row.source,
        "source_node": row.source,
        "dest_compute": row.target,
        "dest_node": row.target,
        "dest_host": row.target and "127.0.0.1",
        "status": row.status,
        "migration_type": row.kind,
        "old_instance_type_id": 1,
        "new_instance_type_id": 1,
        "created_at": stamp(row.created),
        "updated_at": stamp(row.updated),
    }


def progress_view(row: FakeMigration, now: datetime) -> dict[str, Any]:
    """A row of servers/ID/migrations."""
    total, remaining = row.memory_mb * 2**20, row.remaining(now)
    known = row.started is not None
    return {
        "id": row.id,
        "uuid": row.uuid,
        "server_uuid": row.server,
        "source_compute": row.source,
        "dest_compute": row.target,
        "status": row.status,
        "memory_total_bytes": total if known else None,
        "memory_processed_bytes": row.processed(now) if known else None,
        "memory_remaining_bytes": remaining if known else None,
        "disk_total_bytes": 0 if known else None,
        "disk_processed_bytes": 0 if known else None,
        "disk_remaining_bytes": 0 if known else None,
        "created_at": stamp(row.created),
        "updated_at": stamp(row.updated),
    }


def _shown(server: FakeServer) -> str:
    """Nova's status follows the task: a server that moves is MIGRATING, RESIZE or REBUILD, not ACTIVE."""
    task = server.task_state or ""
    if task == "migrating":
        return "MIGRATING"
    return "RESIZE" if task.startswith("resize_") else "REBUILD" if task.startswith("rebuild") else server.status


def _vm_state(status: str) -> str:
    return {"SHUTOFF": "stopped", "RESCUE": "rescued", "VERIFY_RESIZE": "resized"}.get(status, status.lower())
