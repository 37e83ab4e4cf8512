"""How the records look in Nova's JSON, by microversion."""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime
from functools import lru_cache
from typing import Any

from lab.simulator.records import Action, Group, Host, Migration, Server

Version = tuple[int, int]

POWER = {"ACTIVE": 1, "PAUSED": 3, "SUSPENDED": 7, "BUILD": 0, "ERROR": 0, "DELETED": 0, "VERIFY_RESIZE": 1}
"""Nova's power_state by status; 4, shut down, for all others."""
VM_STATES = {"SHUTOFF": "stopped", "RESCUE": "rescued", "VERIFY_RESIZE": "resized", "BUILD": "building"}
IMAGE = "5a6e1c1e-0000-4000-8000-000000000001"
"""The image of all servers that do not boot from a volume."""
SPACE = uuid.UUID("5a6e1c1e-0000-4000-8000-0000000000f0")
"""Where the ids of volumes are made that servers boot from."""


@lru_cache(maxsize=4096)
def stamp(time: datetime | None) -> str | None:
    """A time as os-migrations, os-services and the actions print it: UTC, microseconds, no zone."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.%f") if time else None


@lru_cache(maxsize=4096)
def second(time: datetime) -> str:
    """A time as the servers print it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def server_view(server: Server, zone: str, version: Version) -> dict[str, Any]:
    """A server of servers/detail, as Nova shows it to an admin in this microversion."""
    view: dict[str, Any] = {
        "id": server.id,
        "name": server.name,
        "status": shown(server),
        "tenant_id": server.project,
        "user_id": "user",
        "created": second(server.created),
        "updated": second(server.updated),
        "addresses": {},
        "metadata": server.metadata,
        "hostId": _host_id(server.project, server.host),
        "image": "" if server.volume_backed else {"id": IMAGE},
        "flavor": _flavor(server, version),
        "OS-EXT-SRV-ATTR:host": server.host,
        "OS-EXT-SRV-ATTR:hypervisor_hostname": server.host,
        "OS-EXT-AZ:availability_zone": zone,
        "OS-EXT-STS:task_state": server.task_state,
        "OS-EXT-STS:vm_state": vm_state(server.status),
        "OS-EXT-STS:power_state": POWER.get(server.status, 4),
        "os-extended-volumes:volumes_attached": _volumes(server, version),
        "config_drive": "True" if server.config_drive else "",
    }
    if version >= (2, 9):
        view["locked"] = server.locked
    if version >= (2, 73):
        view["locked_reason"] = server.locked_reason
    if server.fault and server.status == "ERROR":
        view["fault"] = {"code": 500, "message": server.fault, "created": view["updated"]}
    if version >= (2, 96):
        view["pinned_availability_zone"] = server.pinned_zone
    if version >= (2, 98) and view["image"]:
        view["image"]["properties"] = server.image_properties
    if version >= (2, 100):
        view["scheduler_hints"] = {}
    return view


def _volumes(server: Server, version: Version) -> list[dict[str, Any]]:
    """What is attached; a server that boots from a volume has at least that one."""
    ids = server.volumes or ((str(uuid.uuid5(SPACE, server.id)),) if server.volume_backed else ())
    more = {"delete_on_termination": False} if version >= (2, 3) else {}
    return [{"id": volume, **more} for volume in ids]


def _flavor(server: Server, version: Version) -> dict[str, Any]:
    if version < (2, 47):
        return {"id": server.flavor}
    return {
        "vcpus": server.uses.get("VCPU", 1),
        "ram": server.uses.get("MEMORY_MB", 512),
        "disk": server.uses.get("DISK_GB", 1),
        "ephemeral": 0,
        "swap": 0,
        "original_name": server.flavor,
        "extra_specs": server.extra_specs,
    }


@lru_cache(maxsize=65536)
def _host_id(project: str, host: str | None) -> str:
    """Nova hides the host's name from users behind a hash of it and the project."""
    return hashlib.sha224(f"{project}{host}".encode()).hexdigest() if host else ""


def shown(server: Server) -> str:
    """Nova's status follows the task: a server that moves is MIGRATING, RESIZE or REBUILD, not ACTIVE."""
    task = server.task_state or ""
    if task == "migrating":
        return "MIGRATING"
    if task == "resize_reverting":
        return "REVERT_RESIZE"
    return "RESIZE" if task.startswith("resize_") else "REBUILD" if task.startswith("rebuild") else server.status


def vm_state(status: str) -> str:
    """Nova's internal word for a status."""
    return VM_STATES.get(status, status.lower())


def service_view(host: Host, now: datetime, version: Version) -> dict[str, Any]:
    """A nova-compute of os-services."""
    view = {
        "binary": "nova-compute",
        "host": host.name,
        "id": host.service_id if version >= (2, 53) else int(host.service_id[:6], 16),
        "zone": host.zone,
        "status": "disabled" if host.disabled else "enabled",
        "state": "up" if host.up else "down",
        "updated_at": stamp(_written(host, now)),
        "disabled_reason": host.disabled_reason,
    }
    if version >= (2, 11):
        view["forced_down"] = host.forced_down
    return view


def _written(host: Host, now: datetime) -> datetime:
    """When the service's record was written last: by each report, and by whoever changed it (a column of the table)."""
    if not host.dead:
        return now
    return max(filter(None, (host.last_seen, host.changed)), default=now)


def hypervisor_view(host: Host, running: int) -> dict[str, Any]:
    """An entry of os-hypervisors/detail."""
    return {
        "id": host.id,
        "hypervisor_hostname": host.name,
        "state": "up" if host.up else "down",
        "status": "disabled" if host.disabled else "enabled",
        "hypervisor_type": host.hypervisor,
        "hypervisor_version": 1000,
        "host_ip": "127.0.0.1",
        "running_vms": running,
        "service": {"id": host.service_id, "host": host.name, "disabled_reason": host.disabled_reason},
    }


def group_view(group: Group, members: list[str], version: Version) -> dict[str, Any]:
    """A server group."""
    view: dict[str, Any] = {
        "id": group.id,
        "name": group.name,
        "members": members,
        "project_id": group.project,
        "user_id": "user",
    }
    if version < (2, 64):
        return view | {"policies": [group.policy], "metadata": {}}
    rules = {"max_server_per_host": group.max_per_host} if group.max_per_host > 1 else {}
    return view | {"policy": group.policy, "rules": rules}


def migration_view(row: Migration, version: Version) -> dict[str, Any]:
    """A row of os-migrations."""
    cold = row.kind == "migration"
    view = {
        "id": row.id,
        "instance_uuid": row.server,
        "source_compute": row.source,
        "source_node": row.source,
        "dest_compute": row.target,
        "dest_node": row.target,
        "dest_host": "127.0.0.1" if cold and row.target else None,
        "status": row.status,
        "old_instance_type_id": 1,
        "new_instance_type_id": 1,
        "created_at": stamp(row.created),
        "updated_at": stamp(row.updated),
    }
    if version >= (2, 23):
        view["migration_type"] = row.kind
    if version >= (2, 59):
        view["uuid"] = row.uuid
    if version >= (2, 80):
        view |= {"user_id": "user", "project_id": row.project}
    return view


def progress_view(row: Migration, now: datetime, version: Version) -> dict[str, Any]:
    """A row of servers/ID/migrations."""
    total, remaining = row.memory_mb * 2**20, row.remaining(now)
    known = row.started is not None
    view = {
        "id": row.id,
        "server_uuid": row.server,
        "source_compute": row.source,
        "source_node": row.source,
        "dest_compute": row.target,
        "dest_node": row.target,
        "dest_host": None,
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
    if version >= (2, 59):
        view["uuid"] = row.uuid
    if version >= (2, 80):
        view |= {"user_id": "user", "project_id": row.project}
    return view


def action_view(action: Action, server: str, project: str) -> dict[str, Any]:
    """An instance action, without its events."""
    return {
        "action": action.action,
        "instance_uuid": server,
        "request_id": action.request_id,
        "user_id": "user",
        "project_id": project,
        "start_time": stamp(action.start),
        "message": action.message,
        "updated_at": stamp(action.updated),
    }


def events_view(action: Action, version: Version) -> list[dict[str, Any]]:
    """The events of an action, newest first; the details are told from 2.84 on."""
    return [
        {
            "event": event.event,
            "start_time": stamp(event.start),
            "finish_time": stamp(event.start),
            "result": event.result,
            "traceback": "  File …\n    raise result\n" if event.details else None,
            "host": "controller",
            "hostId": "",
            **({"details": event.details} if version >= (2, 84) else {}),
        }
        for event in reversed(action.events)
    ]
