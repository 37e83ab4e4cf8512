"""Make the lab's cloud as it was when it came up: no servers, no faults, every host enabled."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from lab import cloud, computes, database, faults, health
from lab.errors import LabError
from lab.fill import servers
from lab.layout import Lab

if TYPE_CHECKING:
    from openstack.connection import Connection

SECONDS = 150
"""After this long the cloud counts as stuck."""
AGAIN = 15.0
"""Seconds after which a server that is still there is deleted once more."""
POLL = 0.5
MICROVERSION = "2.90"
ABORTABLE = ("queued", "preparing", "running")


def reset(lab: Lab, tell: Callable[[str], None] = lambda _text: None) -> int:
    """Clean the cloud. Returns the number of servers deleted.

    Raises:
        LabError: something could not be cleaned in time; says what.
    """
    tell("faults")
    fallen = computes.fallen(lab)
    faults.save(lab.faults_yaml, faults.Faults())
    shutil.rmtree(lab.data / "faults", ignore_errors=True)
    computes.start_missing(lab)
    conn = cloud.connect(lab)
    tell("migrations")
    _abort_migrations(conn)
    _until(lambda: _enable(conn) or health.missing(lab, conn), "the hosts are not up again")
    for host in fallen:
        computes.wait_for_state(lab, host, "up", tell)
    count = _delete_servers(conn, tell)
    tell("groups and leftovers")
    _delete_extras(lab, conn)
    _delete_allocations(conn)
    # No API removes a migration's record, and those that a killed compute had queued would stay in flight for ever.
    database.execute(lab, "DELETE FROM nova.migrations")
    return count


def _until(problem: Callable[[], Any], what: str) -> None:
    """Repeat until there is no problem left."""
    deadline = time.monotonic() + SECONDS
    while left := problem():
        if time.monotonic() > deadline:
            raise LabError(f"{what} after {SECONDS} s: {left}")
        time.sleep(POLL)


def _abort_migrations(conn: Connection) -> None:
    """So that no server is deleted on its way. What can't be aborted any more will end by itself."""
    answer = conn.compute.get("/os-migrations?migration_type=live-migration", microversion="2.80").json()
    for row in answer["migrations"]:
        if row["status"] in ABORTABLE:
            conn.compute.delete(f"/servers/{row['instance_uuid']}/migrations/{row['id']}", microversion="2.80")


def _delete_servers(conn: Connection, tell: Callable[[str], None]) -> int:
    found, asked = len(servers(conn)), 0.0

    def left() -> int:
        nonlocal asked
        rows = servers(conn)
        tell(f"{len(rows)} servers to go")
        if rows and time.monotonic() - asked > AGAIN:
            asked = time.monotonic()
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda row: conn.compute.delete(f"/servers/{row['id']}"), rows))
        return len(rows)

    _until(left, "servers are still there")
    return found


def _enable(conn: Connection) -> list[str]:
    """Enable every compute service and clear forced_down. Returns those that Nova does not let go yet."""
    refused = []
    for service in conn.compute.get("/os-services?binary=nova-compute", microversion="2.53").json()["services"]:
        change: dict[str, Any] = {}
        if service["status"] != "enabled":
            change["status"] = "enabled"
        if service["forced_down"]:
            change["forced_down"] = False
        if change:
            answer = conn.compute.put(f"/os-services/{service['id']}", json=change, microversion="2.53")
            if answer.status_code >= 400:
                refused.append(f"{service['host']}: {answer.text[:200]}")
    return refused


def _delete_extras(lab: Lab, conn: Connection) -> None:
    """Groups, aggregates, flavors, images and ports that are not the lab's own."""
    groups = conn.compute.get("/os-server-groups?all_projects=True&limit=1000", microversion=MICROVERSION).json()
    for group in groups["server_groups"]:
        conn.compute.delete(f"/os-server-groups/{group['id']}", microversion=MICROVERSION)
    own = {*lab.options.zones, *lab.options.aggregates}
    for aggregate in conn.compute.aggregates():
        if aggregate.name not in own:
            for host in aggregate.hosts or ():
                conn.compute.remove_host_from_aggregate(aggregate, host)
            conn.compute.delete_aggregate(aggregate)
    cloud.set_aggregates(lab, conn)
    for flavor in conn.compute.flavors(is_public=None):
        if flavor.name not in cloud.FLAVORS:
            conn.compute.delete_flavor(flavor)
    for image in conn.image.images():
        if image.name != cloud.IMAGE:
            conn.image.delete_image(str(image.id))
    for port in conn.network.ports():
        if not port.device_owner or port.device_owner.startswith("compute:"):
            conn.network.delete_port(port)


def _delete_allocations(conn: Connection) -> None:
    """What a compute that died in the middle of a migration has left in Placement: there are no servers any more."""
    placement = conn.placement
    for provider in placement.get("/resource_providers").json()["resource_providers"]:
        held = placement.get(f"/resource_providers/{provider['uuid']}/allocations").json()["allocations"]
        for consumer in held:
            placement.delete(f"/allocations/{consumer}")
