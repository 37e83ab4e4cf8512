"""Reads a live cloud into a snapshot, in bulk: a handful of requests, however many servers there are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, Any

from shared.clouds.answers import readable
from shared.clouds.connection import PAGE
from shared.fleet import parse
from shared.fleet.fences import Fences
from shared.fleet.network import read_vnic_types
from shared.fleet.octavia import read_amphorae
from shared.fleet.snapshot import Fleet, Group, Host, Migration, Server

if TYPE_CHECKING:
    from shared.clouds.connection import Cloud

BEFORE_UPTIME = (2, 87)
"""From 2.88 on, Nova may ask every single nova-compute for its uptime to answer the list of hypervisors."""

NEGLECTED = timedelta(days=2)
"""A migration in flight whose row was not touched for so long is an orphan of a crash; it holds nothing back."""

Json = Mapping[str, Any]


@readable
def read_fleet(cloud: Cloud, around: str | Collection[str] | None = None) -> Fleet:
    """Read hosts, servers, groups and the migrations in flight.

    Nova gets 7 requests (its version, services, hypervisors, servers, groups, aggregates, migrations) and one more
    for each further 1000 entries of a list; Placement gets one. With `around`, in a cloud of over 1000 servers, only
    these hosts' servers are read (a request for each), and those of the projects whose server groups reach them, unless
    that takes more requests than all: what the others use is known to Placement. Of these hosts alone Neutron tells the
    ports (a request for each that has servers), and Octavia the amphorae, as `shared.fleet.octavia.read_amphorae` says.

    Args:
        cloud: an admin's connection.
        around: the host to be drained, or several.

    Raises:
        Refused, Retry: as `shared.clouds.api.Api`.
        Rejected: as `read_amphorae`.
    """
    hypervisors = list(cloud.compute.pages("/os-hypervisors/detail", "hypervisors", microversion=BEFORE_UPTIME))
    services = _services(cloud)
    aggregates = cloud.compute.get("/os-aggregates")["aggregates"]
    groups = _groups(cloud)
    hosts = [around] if isinstance(around, str) else around
    entries = _server_entries(cloud, hosts, hypervisors, groups)
    migrations = _in_flight(cloud, services)
    fences = Fences(aggregates, (service["host"] for service in services))
    servers = {entry["id"]: parse.server(entry, parse.requirements(entry, fences.shunned(entry))) for entry in entries}
    drained = frozenset(hosts or ())
    here = [server for server in servers.values() if server.host in drained]
    ports = read_vnic_types(cloud, {server.host for server in here if server.host})
    servers |= {one.id: replace(one, vnic_types=ports[one.id]) for one in here if one.id in ports}
    return Fleet(
        hosts=_hosts(cloud, services, hypervisors, fences),
        servers=servers,
        groups=groups,
        migrations=migrations,
        amphorae=read_amphorae(cloud, here),
        version=cloud.compute_version,
    )


@readable
def read_servers(cloud: Cloud, host: str | None = None, changes_since: datetime | None = None) -> list[Server]:
    """All projects' servers: one request for every 1000.

    Args:
        cloud: an admin's connection.
        host: only those that Nova counts to this host.
        changes_since: only those changed since, deleted ones (status DELETED) included.
    """
    query: dict[str, str | int] = {}
    if host is not None:
        query["host"] = host
    if changes_since is not None:
        query["changes-since"] = _text(changes_since)
    return [parse.server(entry) for entry in _entries(cloud, query)]


@readable
def read_migrations(cloud: Cloud, since: datetime | None = None, host: str | None = None) -> list[Migration]:
    """The cloud's migrations of every kind and status, newest first: one request for every 1000.

    Args:
        cloud: an admin's connection.
        since: only rows that were written since, by the cloud's clock; None is the whole history.
        host: only those from or to this host.
    """
    query: dict[str, str | int] = {}
    if since is not None:
        query["changes-since"] = _text(since)
    if host is not None:
        query["host"] = host
    return [parse.migration(entry) for entry in cloud.compute.pages("/os-migrations", "migrations", params=query)]


@readable
def find_hosts(cloud: Cloud) -> list[str]:
    """The names of all hosts that have a nova-compute, sorted; one request."""
    return sorted(service["host"] for service in _services(cloud))


def _services(cloud: Cloud) -> list[Json]:
    found: list[Json] = cloud.compute.get("/os-services", params={"binary": "nova-compute"})["services"]
    return found


def _groups(cloud: Cloud) -> dict[str, Group]:
    """All projects' server groups. This list has no next links: a page that may be full asks for another."""
    found: dict[str, Group] = {}
    while True:
        query: dict[str, str | int] = {"all_projects": "true", "limit": PAGE, "offset": len(found)}
        page, before = cloud.compute.get("/os-server-groups", params=query)["server_groups"], len(found)
        found.update((entry["id"], parse.group(entry)) for entry in page)
        if len(found) == before or len(page) % 100:  # max_limit is a round number, 1000 unless the operator changed it
            return found


def _server_entries(
    cloud: Cloud, around: Collection[str] | None, hypervisors: Iterable[Json], groups: Mapping[str, Group]
) -> list[Json]:
    whole = ceil(sum(entry.get("running_vms") or 0 for entry in hypervisors) / PAGE)
    if around is None or whole <= len(around):
        return _entries(cloud, {})
    here = [entry for host in around for entry in _entries(cloud, {"host": host})]
    ids = {entry["id"] for entry in here}
    partners = {member for group in groups.values() if not ids.isdisjoint(group.members) for member in group.members}
    projects = {entry["tenant_id"] for entry in here if entry["id"] in partners} if partners - ids else set()
    if len(projects) + len(around) - 1 > whole:
        return _entries(cloud, {})
    found = {entry["id"]: entry for entry in here}
    for project in sorted(projects):
        found.update((e["id"], e) for e in _entries(cloud, {"project_id": project}) if e["id"] in partners)
    return list(found.values())


def _entries(cloud: Cloud, query: Mapping[str, str | int]) -> list[Json]:
    return list(cloud.compute.pages("/servers/detail", "servers", params={"all_tenants": "true", **query}))


def _in_flight(cloud: Cloud, services: Iterable[Json]) -> tuple[Migration, ...]:
    """Migrations in flight, from the newest pages: on from one page only if it still had some."""
    cloud_time = max((t for s in services if (t := parse.moment(s.get("updated_at")))), default=None)
    found: list[Migration] = []
    fresh = 0
    for count, entry in enumerate(cloud.compute.pages("/os-migrations", "migrations"), start=1):
        row = parse.migration(entry)
        if row.in_flight and (cloud_time is None or cloud_time - row.updated < NEGLECTED):
            found.append(row)
            fresh += 1
        if count % PAGE == 0:
            if not fresh:
                break
            fresh = 0
    return tuple(found)


def _hosts(cloud: Cloud, services: Iterable[Json], hypervisors: Iterable[Json], fences: Fences) -> dict[str, Host]:
    nodes: dict[str, Json] = {}
    for entry in hypervisors:
        nodes.setdefault(entry["service"]["host"], entry)
    answer = cloud.placement.get("/allocation_candidates", params={"resources": "MEMORY_MB:1"})
    rooms = parse.rooms(answer["provider_summaries"])
    names = fences.names()
    return {
        name: parse.host(
            service,
            names.get(name, frozenset()),
            rooms.get(node.get("id", "")),
            registered=bool(node),
            hypervisor=node.get("hypervisor_type") or "",
        )
        for service in services
        for name, node in ((service["host"], nodes.get(service["host"], {})),)
    }


def _text(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
