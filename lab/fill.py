"""Boot servers on chosen hosts, many in one request, and wait for them with one shared list."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab import cloud
from lab.errors import LabError
from lab.layout import Lab
from lab.processes import tail

if TYPE_CHECKING:
    from openstack.connection import Connection

MICROVERSION = "2.90"
"""`host` in a boot request needs 2.74, server groups with a single policy 2.64."""
POLL = 0.5
BASE_SECONDS = 120
SECONDS_EACH = 6
"""A boot costs a few seconds of CPU; after BASE_SECONDS plus this for each server it counts as stuck."""
DETAIL = "/servers/detail?all_tenants=1&limit=1000"


@dataclass(frozen=True)
class Wish:
    """What to boot: `count` servers on each of the hosts."""

    hosts: tuple[str, ...]
    count: int
    flavor: str = "small"
    name: str | None = None
    """Base of the names; with several servers on a host Nova adds -1, -2 and so on."""
    project: str = "admin"
    group: str | None = None
    policy: str | None = None
    """anti-affinity, affinity, soft-anti-affinity or soft-affinity: all servers join one group."""


@dataclass(frozen=True)
class Booted:
    """A server that is ACTIVE."""

    id: str
    name: str
    host: str


POLICIES = ("anti-affinity", "affinity", "soft-anti-affinity", "soft-affinity")


def fill(lab: Lab, wish: Wish, tell: Callable[[str], None] = lambda _text: None) -> list[Booted]:
    """Boot the servers and wait until all are ACTIVE.

    Raises:
        LabError: the wish can't be met, or a server did not become ACTIVE; says which and why.
    """
    _check(lab, wish)
    admin = cloud.connect(lab)
    conn = admin if wish.project == "admin" else admin.connect_as_project(wish.project)
    group = _group(conn, wish)
    flavor, image, network = _ingredients(conn, wish)
    present = {str(row["name"]) for row in servers(admin)}
    reservations = []
    for host in wish.hosts:
        server = {
            "name": _name(wish, host, present),
            "flavorRef": flavor,
            "imageRef": image,
            "networks": [{"uuid": network}],
            "host": host,
            "min_count": wish.count,
            "max_count": wish.count,
            "return_reservation_id": True,
        }
        body: dict[str, Any] = {"server": server}
        if group:
            body["os:scheduler_hints"] = {"group": group}
        answer = _post(conn, "/servers", body)
        reservations.append(str(answer["reservation_id"]))
    return _wait(lab, admin, reservations, wish.count * len(wish.hosts), tell)


def servers(conn: Connection) -> list[dict[str, Any]]:
    """All servers of all projects as Nova's own dictionaries."""
    rows: list[dict[str, Any]] = []
    address = DETAIL
    while True:
        page = conn.compute.get(address, microversion=MICROVERSION).json()["servers"]
        rows += page
        if len(page) < 1000:
            return rows
        address = f"{DETAIL}&marker={page[-1]['id']}"


def _check(lab: Lab, wish: Wish) -> None:
    unknown = [host for host in wish.hosts if host not in lab.options.hosts]
    if unknown or not wish.hosts:
        hosts = lab.options.hosts
        raise LabError(f"the lab has no host {', '.join(unknown) or '(none given)'}: it has {hosts[0]} to {hosts[-1]}")
    if not 1 <= wish.count <= 1000:
        raise LabError(f"{wish.count} servers a host were asked for: expected 1 to 1000")
    if wish.policy and wish.policy not in POLICIES:
        raise LabError(f"no group policy {wish.policy!r}: choose one of {', '.join(POLICIES)}")
    if wish.policy == "anti-affinity" and wish.count > 1:
        raise LabError("anti-affinity allows one server of the group a host: give more hosts (cmp01,cmp02) and count 1")
    if wish.policy == "affinity" and len(wish.hosts) > 1:
        raise LabError("affinity keeps the group on one host: give one host")


def _group(conn: Connection, wish: Wish) -> str | None:
    """Id of the server group: the one of this name, or a new one."""
    if not wish.policy:
        return None
    name = wish.group or f"{wish.name or 'vm'}-{wish.policy}"
    for row in conn.compute.get("/os-server-groups", microversion=MICROVERSION).json()["server_groups"]:
        if row["name"] == name:
            return str(row["id"])
    body = {"server_group": {"name": name, "policy": wish.policy}}
    return str(_post(conn, "/os-server-groups", body)["server_group"]["id"])


def _ingredients(conn: Connection, wish: Wish) -> tuple[str, str, str]:
    flavors = {str(flavor.name): str(flavor.id) for flavor in conn.compute.flavors()}
    if wish.flavor not in flavors:
        raise LabError(f"no flavor {wish.flavor!r}: choose one of {', '.join(sorted(flavors))}")
    image = conn.image.find_image(cloud.IMAGE, ignore_missing=False)
    network = conn.network.find_network(cloud.NETWORK, ignore_missing=False)
    return flavors[wish.flavor], str(image.id), str(network.id)


def _name(wish: Wish, host: str, present: set[str]) -> str:
    """A base that no server's name begins with yet, unless the name was given."""
    if wish.name:
        return wish.name if len(wish.hosts) == 1 else f"{wish.name}-{host}"
    base, batch = f"vm-{host}", 1
    while any(name == base or name.startswith(f"{base}-") for name in present):
        batch += 1
        base = f"vm{batch}-{host}"
    return base


def _post(conn: Connection, path: str, body: dict[str, Any]) -> dict[str, Any]:
    response = conn.compute.post(path, json=body, microversion=MICROVERSION)
    if response.status_code >= 400:
        raise LabError(f"Nova refuses POST {path}: {response.status_code} {response.text[:300]}")
    content: dict[str, Any] = response.json()
    return content


def _wait(
    lab: Lab, conn: Connection, reservations: Sequence[str], count: int, tell: Callable[[str], None]
) -> list[Booted]:
    deadline = time.monotonic() + BASE_SECONDS + SECONDS_EACH * count
    while True:
        rows = [row for row in servers(conn) if row.get("OS-EXT-SRV-ATTR:reservation_id") in reservations]
        broken = [row for row in rows if row["status"] == "ERROR"]
        if broken:
            raise LabError(_why(lab, broken))
        active = [row for row in rows if row["status"] == "ACTIVE" and row["OS-EXT-STS:task_state"] is None]
        tell(f"{len(active)} of {count} ACTIVE")
        if len(active) == count:
            booted = [Booted(row["id"], row["name"], row["OS-EXT-SRV-ATTR:host"]) for row in active]
            return sorted(booted, key=lambda server: (server.host, server.name))
        if time.monotonic() > deadline:
            raise LabError(f"only {len(active)} of {count} servers are ACTIVE; see {lab.log}/nova-conductor.log")
        time.sleep(POLL)


def _why(lab: Lab, broken: list[dict[str, Any]]) -> str:
    first = broken[0]
    message = (first.get("fault") or {}).get("message", "no reason given")
    host = first.get("OS-EXT-SRV-ATTR:host")
    log = f"\n{tail(lab.log / f'{host}.log')}" if host else ""
    return f"{len(broken)} servers went to ERROR, {first['name']} because: {message}{log}"
