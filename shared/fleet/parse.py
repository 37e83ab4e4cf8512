"""Nova's and Placement's JSON, turned into the snapshot's records; no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from math import ceil
from typing import Any

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
    return Server(
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
    )


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
    for kind, amount in grouped.items():
        uses[kind] = uses.get(kind, 0) + amount
    return {kind: amount for kind, amount in uses.items() if amount}


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
    return Migration(
        id=entry["id"],
        uuid=entry["uuid"],
        server=entry["instance_uuid"],
        source=entry.get("source_compute"),
        target=entry.get("dest_compute"),
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
    return Host(
        name=service["host"],
        zone=service.get("zone", ""),
        capacity=capacity,
        used=used,
        accepts=registered and state == "up" and status == "enabled" and not forced_down,
        aggregates=aggregates,
        traits=traits,
        service_id=service.get("id"),
        state=state,
        status=status,
        disabled_reason=service.get("disabled_reason"),
        forced_down=forced_down,
        hypervisor=hypervisor,
    )


_COMPARISONS = frozenset({"=", "<in>", "<all-in>", "==", "!=", ">=", "<=", "s==", "s!=", "s<", "s<=", "s>", "s>="})
"""Operators of Nova's extra_specs_ops other than <or>."""

Room = tuple[dict[str, int], dict[str, int], frozenset[str]]
"""Capacity and used amounts by resource class, and traits, of one hypervisor with all its nested providers."""


def rooms(summaries: Mapping[str, Json]) -> dict[str, Room]:
    """The provider_summaries of allocation candidates, added up by root provider (its uuid is the hypervisor's)."""
    found: dict[str, Room] = {}
    for provider, summary in summaries.items():
        root = summary.get("root_provider_uuid") or provider
        capacity, used, traits = found.get(root, ({}, {}, frozenset()))
        for kind, amounts in summary["resources"].items():
            capacity[kind] = capacity.get(kind, 0) + amounts["capacity"]
            used[kind] = used.get(kind, 0) + amounts["used"]
        found[root] = (capacity, used, traits | frozenset(summary.get("traits") or ()))
    return found


class Fences:
    """Which hosts the metadata of aggregates forbids to a server.

    Two rules that only have a meaning for the scheduler's filters, so that whoever writes them means them:
    `filter_tenant_id…` lets only the named projects in (AggregateMultiTenancyIsolation), and a flavor's
    `aggregate_instance_extra_specs:KEY=VALUE` wants an aggregate with it (AggregateInstanceExtraSpecsFilter).
    """

    PREFIX = "aggregate_instance_extra_specs:"

    def __init__(self, aggregates: Iterable[Json], hosts: Iterable[str]) -> None:
        self._aggregates = list(aggregates)
        self._hosts = frozenset(hosts)
        self._known: dict[tuple[str, Specs], frozenset[str]] = {}
        self._tenants = self._isolated()

    def names(self) -> dict[str, frozenset[str]]:
        """The names of every host's aggregates."""
        found: dict[str, set[str]] = {}
        for aggregate in self._aggregates:
            for name in aggregate["hosts"]:
                found.setdefault(name, set()).add(aggregate["name"])
        return {name: frozenset(aggregates) for name, aggregates in found.items()}

    def shunned(self, entry: Json) -> frozenset[str]:
        """The forbidden hosts of an entry of servers/detail."""
        extra = entry["flavor"].get("extra_specs") or {}
        wishes = tuple(
            sorted((key.removeprefix(self.PREFIX), str(v)) for key, v in extra.items() if key.startswith(self.PREFIX))
        )
        key = (entry.get("tenant_id", ""), wishes)
        if key not in self._known:
            self._known[key] = self._find(*key)
        return self._known[key]

    def _find(self, project: str, wishes: Specs) -> frozenset[str]:
        forbidden = {name for name, projects in self._tenants.items() if project not in projects}
        for key, value in wishes:
            forbidden |= self._hosts - self._with(key, value)
        return frozenset(forbidden)

    def _with(self, key: str, value: str) -> set[str]:
        """Hosts with this metadata; `value` may be "<or> a <or> b". Comparisons exclude nothing."""
        if value.split(maxsplit=1)[:1] and value.split(maxsplit=1)[0] in _COMPARISONS:
            return set(self._hosts)
        choices = {part.strip() for part in value.split("<or>") if part.strip()}
        return {
            name
            for aggregate in self._aggregates
            if choices & {part.strip() for part in str(aggregate["metadata"].get(key, "")).split(",")}
            for name in aggregate["hosts"]
        }

    def _isolated(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for aggregate in self._aggregates:
            projects = {
                project.strip()
                for key, value in aggregate["metadata"].items()
                if key.startswith("filter_tenant_id")
                for project in str(value).split(",")
            }
            for name in aggregate["hosts"] if projects else ():
                found.setdefault(name, set()).update(projects)
        return found
