"""The bulk reader on a real cloud: what Nova and Placement say, it says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from functions.migrate.nova import Nova
from shared.clouds import connect
from shared.errors import Rejected
from shared.fleet.reader import find_hosts, read_fleet, read_migrations, read_servers

if TYPE_CHECKING:
    from tests.support.openstack import LabUnderTest

pytestmark = pytest.mark.lab


def test_the_fleet_is_what_the_cloud_says(lab: LabUnderTest, clouds_yaml: Path) -> None:
    """Rooms, servers, groups, locks and pinned zones, with 7 requests of Nova and one of Placement."""
    grouped = {booted.id for booted in lab.fill("cmp01,cmp02", 1, name="db", policy="anti-affinity")}
    (locked,) = lab.fill("cmp01", 1, name="web", flavor="medium")
    lab.act(locked.id, {"lock": {"locked_reason": "mine"}})
    pinned = _boot_in_zone(lab, "nova")
    cloud = connect("lab")
    fleet = read_fleet(cloud, around="cmp01")
    assert cloud.requests["compute"] == 7
    assert cloud.requests["placement"] == 1

    assert set(fleet.servers) == grouped | {locked.id, pinned}
    (group,) = fleet.groups.values()
    assert (group.policy, group.members) == ("anti-affinity", frozenset(grouped))
    web = fleet.servers[locked.id]
    assert (web.host, web.status, web.locked, web.locked_reason) == ("cmp01", "ACTIVE", True, "mine")
    assert web.requires.zone is None
    assert fleet.servers[pinned].requires.zone == "nova"
    assert fleet.migrations == ()

    for name, host in fleet.hosts.items():
        inventory, usage = _placement(cloud, name)
        assert host.capacity == inventory
        assert host.used == usage
        uses = [server.uses for server in fleet.on(name)]
        for kind, amount in usage.items():
            assert sum(each.get(kind, 0) for each in uses) == amount, f"{kind} on {name}: what we compute is allocated"


def test_a_disabled_host_and_a_migration(lab: LabUnderTest, clouds_yaml: Path) -> None:
    """A running migration is in the fleet and holds room at both ends; a disabled host accepts nothing."""
    (vm,) = lab.fill("cmp01", 1, name="slow")
    lab.faults({vm.id: {"seconds": 30}})
    cloud = connect("lab")
    nova = Nova(cloud)
    nova.disable(nova.service("cmp03"), "a test")
    since = datetime.now(UTC) - timedelta(seconds=5)
    nova.live_migrate(vm.id, "cmp02")
    lab.wait_for_migration(vm.id, "running")
    fleet = read_fleet(cloud)
    (row,) = fleet.migrations
    assert (row.server, row.source, row.target, row.in_flight) == (vm.id, "cmp01", "cmp02", True)
    assert fleet.hosts["cmp01"].used == fleet.hosts["cmp02"].used == fleet.servers[vm.id].uses
    assert not fleet.hosts["cmp03"].accepts
    assert fleet.hosts["cmp03"].disabled_reason == "a test"
    assert [each.id for each in read_migrations(cloud, since)] == [row.id]
    assert [each.id for each in read_migrations(cloud, since, host="cmp02")] == [row.id]
    assert read_migrations(cloud, since, host="cmp04") == []


def test_what_changed_shows_deleted_servers(lab: LabUnderTest, clouds_yaml: Path) -> None:
    """A server that its owner deletes is found by the next look at what changed, and not on its host."""
    (vm,) = lab.fill("cmp01", 1)
    cloud = connect("lab")
    since = datetime.now(UTC) - timedelta(seconds=2)
    assert [server.id for server in read_servers(cloud, host="cmp01")] == [vm.id]
    cloud.compute.delete(f"/servers/{vm.id}")
    lab.wait("deleted", lambda: not read_servers(cloud, host="cmp01"))
    assert {s.id: s.status for s in read_servers(cloud, changes_since=since)}[vm.id] == "DELETED"


def test_hosts_and_wrong_names(lab: LabUnderTest, clouds_yaml: Path) -> None:
    """The lab's hosts are found; a wrong host or cloud is answered with the right ones."""
    cloud = connect("lab")
    assert find_hosts(cloud) == sorted(lab.hosts)
    with pytest.raises(Rejected, match=r"similar: .*cmp01"):
        Nova(cloud).service("cmp1")
    with pytest.raises(Rejected, match=r"no cloud .labb.: the clouds found are lab, lab-user \(read from "):
        connect("labb")


def test_a_plain_user_is_refused(lab: LabUnderTest, clouds_yaml: Path) -> None:
    """Without an admin's role Nova says what is not allowed."""
    from shared.clouds import Refused

    with pytest.raises(Refused, match="Policy doesn't allow") as refused:
        read_fleet(connect("lab-user"))
    assert refused.value.status == 403


def _placement(cloud: Any, host: str) -> tuple[dict[str, int], dict[str, int]]:
    """Capacity and usage of a host, each asked for by itself."""
    (provider,) = cloud.placement.get("/resource_providers", params={"name": host})["resource_providers"]
    path = f"/resource_providers/{provider['uuid']}"
    inventories = cloud.placement.get(f"{path}/inventories")["inventories"]
    capacity = {
        kind: int((entry["total"] - entry["reserved"]) * entry["allocation_ratio"])
        for kind, entry in inventories.items()
    }
    return capacity, cloud.placement.get(f"{path}/usages")["usages"]


def _boot_in_zone(lab: LabUnderTest, zone: str) -> str:
    """A server whose owner has asked for a zone."""
    conn = lab.conn
    server = conn.compute.create_server(
        name="pinned",
        flavor_id=conn.compute.find_flavor("small", ignore_missing=False).id,
        image_id=next(conn.image.images()).id,
        networks=[{"uuid": next(conn.network.networks()).id}],
        availability_zone=zone,
    )
    lab.wait_for_server(server.id, "ACTIVE")
    return str(server.id)
