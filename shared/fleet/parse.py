"""Nova's and Placement's JSON, turned into the snapshot's records; no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from math import ceil
from types import NoneType
from typing import Any

from shared.clouds.answers import typed
from shared.fleet.snapshot import NO_METADATA, Group, Host, Migration, Requirements, Resources, Server

Json = Mapping[str, Any]
Specs = tuple[tuple[str, str], ...]
"""Extra specs in a form that can be a key."""


def moment(text: str | None) -> datetime | None:
    """A time of Nova's, with or without its zone, which is always UTC."""
    if not text:
        return None
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def server(entry: Json, requires: Requirements | None = None) -> Server:
    """One entry of servers/detail (microversion 2.47 or later: the flavor is embedded).

    Args:
        entry: as Nova shows it to an admin.
        requires: the demands; when None, those that the entry itself states (zone and traits).
    """
    image = entry.get("image") or {}
    volume_backed = not image
    specs: dict[str, str] = entry["flavor"].get("extra_specs") or {}
    properties = {str(k): str(v) for k, v in (image.get("properties") or {}).items()}
    found = Server(
        id=entry["id"],
        name=entry.get("name", entry["id"]),
        host=entry.get("OS-EXT-SRV-ATTR:host"),
        project=entry.get("tenant_id", ""),
        status=entry["status"],
        task_state=entry.get("OS-EXT-STS:task_state"),
        power_state=entry.get("OS-EXT-STS:power_state") or 0,
        locked=bool(entry.get("locked")),
        locked_reason=entry.get("locked_reason"),
        uses=flavor_uses(entry["flavor"], volume_backed),
        requires=requires or requirements(entry),
        extra_specs=specs,
        image_properties=properties,
        volume_backed=volume_backed,
        volumes=_volumes(entry),
        metadata=_metadata(entry),
        created=moment(entry.get("created")),
        fault=(entry.get("fault") or {}).get("message"),
        config_drive=str(entry.get("config_drive")).lower() == "true",
    )
    typed("a server", str, id=found.id, name=found.name, project=found.project, status=found.status)
    typed("a server", str, NoneType, host=found.host, task_state=found.task_state, locked_reason=found.locked_reason)
    return found


def _volumes(entry: Json) -> frozenset[str]:
    attached = entry.get("os-extended-volumes:volumes_attached")
    return frozenset(volume["id"] for volume in attached) if attached else _NO_VOLUMES


def _metadata(entry: Json) -> Mapping[str, str]:
    found = entry.get("metadata") or NO_METADATA
    return {key: value for key, value in found.items() if key.startswith("drover:")} or NO_METADATA


_NO_VOLUMES: frozenset[str] = frozenset()


def requirements(entry: Json, shunned_hosts: frozenset[str] = frozenset()) -> Requirements:
    """What a server's own entry demands: its pinned zone (2.96) and the traits of its flavor and image (2.98)."""
    image = entry.get("image") or {}
    specs = _key(entry["flavor"].get("extra_specs") or {})
    demands = {**dict(_traits(_key(image.get("properties") or {}))), **dict(_traits(specs))}
    return Requirements(
        zone=entry.get("pinned_availability_zone"),
        traits=frozenset(trait for trait, wish in demands.items() if wish == "required"),
        forbidden_traits=frozenset(trait for trait, wish in demands.items() if wish == "forbidden"),
        shunned_hosts=shunned_hosts,
    )


MOST = 2**53
"""No amount is larger: the planner reckons with 64 bits, and JSON's numbers are only exact up to here (RFC 8259, 6)."""


def amount(value: Any) -> int:
    """An amount of a resource.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(value, int) or abs(value) > MOST:
        raise TypeError(f"an amount is {str(value)[:40]}, expected a whole number of at most {MOST}")
    return value


def flavor_uses(flavor: Json, volume_backed: bool) -> Resources:
    """What Nova allocates in Placement for a flavor (nova/scheduler/utils.py, ResourceRequest).

    VCPU or PCPU by `hw:cpu_policy`, MEMORY_MB, DISK_GB of root (0 from a volume), ephemeral and swap; then
    `resources:CLASS=n` (also in numbered groups) overrides or adds, and 0 removes.
    """
    return _uses(
        flavor["vcpus"],
        flavor["ram"],
        (0 if volume_backed else flavor["disk"])
        + (flavor.get("ephemeral") or 0)
        + ceil((flavor.get("swap") or 0) / 1024),
        _key(flavor.get("extra_specs") or {}),
    )


@lru_cache(maxsize=4096)
def _uses(vcpus: int, memory_mb: int, disk_gb: int, specs: Specs) -> Resources:
    extra = dict(specs)
    uses = {**_processors(vcpus, extra), "MEMORY_MB": memory_mb, "DISK_GB": disk_gb}
    grouped: dict[str, int] = {}
    for key, value in specs:
        group, _, kind = key.partition(":")
        if not kind or not group.startswith("resources") or not value.isdigit():
            continue
        if group == "resources":
            uses[kind] = int(value)
        else:
            grouped[kind] = grouped.get(kind, 0) + int(value)
    for kind, number in grouped.items():
        uses[kind] = uses.get(kind, 0) + number
    return {kind: amount(number) for kind, number in uses.items() if number}


def _processors(vcpus: int, extra: Mapping[str, str]) -> dict[str, int]:
    policy = extra.get("hw:cpu_policy", "shared")
    if policy == "dedicated":
        isolated = extra.get("hw:emulator_threads_policy") == "isolate"
        return {"PCPU": vcpus + isolated}
    if policy == "mixed":
        dedicated = _mask_size(extra.get("hw:cpu_dedicated_mask", ""), vcpus)
        return {"VCPU": vcpus - dedicated, "PCPU": dedicated}
    return {"VCPU": vcpus}


def _mask_size(mask: str, vcpus: int) -> int:
    """How many processors a mask such as "0-3,^1,6" or "^0" names (Nova's hw:cpu_dedicated_mask)."""
    chosen: set[int] = set()
    removed: set[int] = set()
    for part in filter(None, mask.replace(" ", "").split(",")):
        first, _, last = part.lstrip("^").partition("-")
        if first.isdigit():
            (removed if part[0] == "^" else chosen).update(range(int(first), int(last or first) + 1))
    if not chosen and removed:
        chosen = set(range(vcpus))
    return len(chosen - removed)


@lru_cache(maxsize=4096)
def _traits(specs: Specs) -> tuple[tuple[str, str], ...]:
    found = []
    for key, value in specs:
        group, _, trait = key.partition(":")
        if trait and group.startswith("trait"):
            found.append((trait, value))
    return tuple(found)


def _key(specs: Mapping[str, Any]) -> Specs:
    return tuple(sorted((str(key), str(value)) for key, value in specs.items()))


def group(entry: Json) -> Group:
    """One entry of os-server-groups (microversion 2.64 or later)."""
    rules = entry.get("rules") or {}
    typed("a server group", str, id=entry["id"], name=entry.get("name", ""), policy=entry.get("policy") or "")
    return Group(
        id=entry["id"],
        policy=entry.get("policy") or next(iter(entry.get("policies") or ()), ""),
        members=frozenset(entry.get("members") or ()),
        name=entry.get("name", ""),
        max_per_host=int(rules.get("max_server_per_host", 1)),
    )


def migration(entry: Json) -> Migration:
    """One row of os-migrations (microversion 2.59 or later)."""
    created = moment(entry["created_at"])
    if created is None:
        raise ValueError(f"migration {entry['id']} has no created_at")
    source, target = entry.get("source_compute"), entry.get("dest_compute")
    typed("a migration", str, uuid=entry["uuid"], instance_uuid=entry["instance_uuid"], status=entry["status"])
    typed("a migration", str, NoneType, source_compute=source, dest_compute=target)
    typed("a migration", int, id=entry["id"])
    return Migration(
        id=entry["id"],
        uuid=entry["uuid"],
        server=entry["instance_uuid"],
        source=source,
        target=target,
        status=entry["status"],
        kind=entry.get("migration_type", ""),
        created=created,
        updated=moment(entry.get("updated_at")) or created,
    )


def host(service: Json, aggregates: frozenset[str], room: Room | None, registered: bool, hypervisor: str = "") -> Host:
    """A compute service of os-services with what Placement says of its hypervisor.

    Args:
        service: as Nova shows it; a service in a cell that does not answer has little more than its name.
        aggregates: names of those that the host is in.
        room: None when Placement shows no free memory there: nothing fits.
        registered: whether the service has a hypervisor at all.
        hypervisor: its type, as Nova calls it.
    """
    state, status = service.get("state", "down"), service.get("status", "UNKNOWN")
    forced_down = bool(service.get("forced_down"))
    capacity, used, traits = room or ({}, {}, frozenset())
    zone, reason = service.get("zone", ""), service.get("disabled_reason")
    typed("a service", str, host=service["host"], zone=zone, state=state, status=status)
    typed("a service", str, NoneType, disabled_reason=reason)
    return Host(
        name=service["host"],
        zone=zone,
        capacity=capacity,
        used=used,
        accepts=registered and state == "up" and status == "enabled" and not forced_down,
        aggregates=aggregates,
        traits=traits,
        service_id=service.get("id"),
        state=state,
        status=status,
        disabled_reason=reason,
        forced_down=forced_down,
        hypervisor=hypervisor,
    )


Room = tuple[dict[str, int], dict[str, int], frozenset[str]]
"""Capacity and used amounts by resource class, and traits, of one hypervisor with all its nested providers."""


def rooms(summaries: Mapping[str, Json]) -> dict[str, Room]:
    """The provider_summaries of allocation candidates, added up by root provider (its uuid is the hypervisor's)."""
    found: dict[str, Room] = {}
    for provider, summary in summaries.items():
        root = summary.get("root_provider_uuid") or provider
        capacity, used, traits = found.get(root, ({}, {}, frozenset()))
        for kind, amounts in summary["resources"].items():
            capacity[kind] = capacity.get(kind, 0) + amount(amounts["capacity"])
            used[kind] = used.get(kind, 0) + amount(amounts["used"])
        found[root] = (capacity, used, traits | frozenset(summary.get("traits") or ()))
    return found
