"""The bulk reader: what it finds, and with how few requests."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lab.simulator.clock import SteppedClock
from lab.simulator.cloud import SimulatedCloud
from lab.simulator.records import Fault
from shared.fleet.reader import find_hosts, read_fleet, read_migrations, read_servers


@pytest.fixture
def clock() -> SteppedClock:
    """Time that a test moves."""
    return SteppedClock()


@pytest.fixture
def fake(clock: SteppedClock) -> SimulatedCloud:
    """A cloud of three hosts in two zones."""
    fake = SimulatedCloud(clock)
    fake.add_host("cmp01", zone="az1", traits=("HW_X",))
    fake.add_host("cmp02", zone="az1", disabled_reason="broken disk")
    fake.add_host("cmp03", memory_mb=1024)
    return fake


def test_one_read_finds_everything(fake: SimulatedCloud) -> None:
    """Hosts with room, traits, zones and aggregates; servers; groups."""
    group = fake.add_group("anti-affinity", max_per_host=2)
    fake.add_aggregate("fast", ["cmp01", "cmp03"])
    server = fake.add_server("cmp01", name="db-1", memory_mb=4096, vcpus=2, group=group, pinned_zone="az1")
    fleet = read_fleet(fake.cloud())
    first = fleet.hosts["cmp01"]
    assert (first.zone, first.accepts, first.aggregates) == ("az1", True, frozenset({"fast", "az1"}))
    assert first.traits == {"HW_X"}
    assert first.capacity["MEMORY_MB"] == 262_144
    assert first.used == {"VCPU": 2, "MEMORY_MB": 4096, "DISK_GB": 1}
    assert fleet.hosts["cmp02"].disabled_reason == "broken disk"
    assert not fleet.hosts["cmp02"].accepts
    assert fleet.servers[server].requires.zone == "az1"
    assert fleet.groups[group].members == {server}
    assert fleet.groups[group].max_per_host == 2
    assert [found.id for found in fleet.on("cmp01")] == [server]


def test_a_plan_takes_seven_requests_of_nova(fake: SimulatedCloud) -> None:
    """With the discovery of its version; and one of Placement."""
    fake.add_server("cmp01", group=fake.add_group())
    cloud = fake.cloud()
    read_fleet(cloud, around="cmp01")
    assert cloud.requests["compute"] == 7
    assert cloud.requests["placement"] == 1


def test_hypervisors_are_not_asked_for_their_uptime(fake: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """From 2.88 on Nova may call every nova-compute for this list: it is read in 2.87."""
    asked = {}
    plain = fake.wire.send

    def send(request, *args, **kwargs):  # type: ignore[no-untyped-def]
        asked[request.path_url.split("?")[0]] = request.headers.get("OpenStack-API-Version")
        return plain(request)

    monkeypatch.setattr(fake.wire, "send", send)
    read_fleet(fake.cloud())
    assert asked["/compute/v2.1/os-hypervisors/detail"] == "compute 2.87"
    assert asked["/compute/v2.1/servers/detail"] == "compute 2.103"


def test_a_full_host_has_nothing_free(fake: SimulatedCloud) -> None:
    """Placement does not list a host without free memory: it is there, and nothing fits."""
    fake.add_server("cmp03", memory_mb=1024)
    assert read_fleet(fake.cloud()).hosts["cmp03"].free() == {}


def test_a_large_cloud_is_read_around_one_host(clock: SteppedClock) -> None:
    """Of more servers than a page only the host's are read, and their partners' in groups, by project."""
    fake = SimulatedCloud(clock)
    for name in ("cmp01", "cmp02"):
        fake.add_host(name)
    group = fake.add_group()
    here = fake.add_server("cmp01", project="p1", group=group)
    partner = fake.add_server("cmp02", project="p1", group=group)
    other = fake.add_server("cmp02", project="p1")
    alone = fake.add_server("cmp01", project="p2")
    crowd = [fake.add_server("cmp02", project="p3") for _ in range(1000)]
    cloud = fake.cloud()
    fleet = read_fleet(cloud, around="cmp01")
    assert set(fleet.servers) == {here, partner, alone}
    assert not {other, *crowd} & set(fleet.servers)
    assert cloud.requests["compute"] == 8


def test_a_large_cloud_without_partners(clock: SteppedClock) -> None:
    """No group reaches beyond the host: no further list is read."""
    fake = SimulatedCloud(clock)
    for name in ("cmp01", "cmp02"):
        fake.add_host(name)
    group = fake.add_group()
    here = fake.add_server("cmp01", group=group)
    for _ in range(1001):
        fake.add_server("cmp02")
    cloud = fake.cloud()
    assert set(read_fleet(cloud, around="cmp01").servers) == {here}
    assert cloud.requests["compute"] == 7


def test_many_projects_are_read_at_once(clock: SteppedClock) -> None:
    """When the whole list is fewer pages than there are projects to ask for, it is read."""
    fake = SimulatedCloud(clock)
    for name in ("cmp01", "cmp02"):
        fake.add_host(name)
    for number in range(4):
        group = fake.add_group()
        for host in ("cmp01", "cmp02"):
            fake.add_server(host, project=f"p{number}", group=group)
    for _ in range(1000):
        fake.add_server("cmp02")
    cloud = fake.cloud()
    assert len(read_fleet(cloud, around="cmp01").servers) == 1008
    assert cloud.requests["compute"] == 6 + 1 + 2


def test_without_a_host_everything_is_read(fake: SimulatedCloud) -> None:
    """An upgrade plans over the whole cloud."""
    ids = {fake.add_server(host) for host in ("cmp01", "cmp02", "cmp03") for _ in range(2)}
    assert set(read_fleet(fake.cloud()).servers) == ids


def test_lists_longer_than_a_page_come_whole(clock: SteppedClock) -> None:
    """Hosts, servers, groups and migrations are read to their ends with a max_limit of 100."""
    fake = SimulatedCloud(clock, page=100)
    for number in range(150):
        fake.add_host(f"cmp{number:03}")
    for _ in range(250):
        fake.add_group()
    for _ in range(120):
        fake.add_server("cmp001")
    fleet = read_fleet(fake.cloud())
    assert (len(fleet.hosts), len(fleet.groups), len(fleet.servers)) == (150, 250, 120)
    assert all(host.accepts for host in fleet.hosts.values())


def test_migrations_in_flight_are_in_the_fleet(fake: SimulatedCloud, clock: SteppedClock) -> None:
    """Running ones count, both ends of them in what Placement holds; ended ones do not."""
    done, running = fake.add_server("cmp01"), fake.add_server("cmp01")
    cloud = fake.cloud()
    for server in (done, running):
        fake.faults[running] = Fault(stalled=True)
        cloud.compute.post(f"/servers/{server}/action", json=live("cmp03"))
        clock.advance(10)
    fleet = read_fleet(cloud)
    assert [(row.server, row.target, row.status) for row in fleet.migrations] == [(running, "cmp03", "running")]
    assert fleet.hosts["cmp01"].used["MEMORY_MB"] == 512
    assert fleet.hosts["cmp03"].free() == {}
    assert fleet.servers[running].status == "MIGRATING"


def test_an_orphan_of_a_crash_holds_nothing_back(fake: SimulatedCloud, clock: SteppedClock) -> None:
    """A row that says running and was not written for days is no migration in flight."""
    server = fake.add_server("cmp01")
    fake.faults[server] = Fault(stalled=True)
    cloud = fake.cloud()
    cloud.compute.post(f"/servers/{server}/action", json=live("cmp03"))
    clock.advance(timedelta(days=2).total_seconds() - 60)
    assert len(read_fleet(cloud).migrations) == 1
    clock.advance(120)
    assert read_fleet(cloud).migrations == ()


def test_history_is_not_read_to_its_beginning(fake: SimulatedCloud, clock: SteppedClock) -> None:
    """After a page of 1000 ended migrations, older ones are not asked for."""
    server = fake.server(fake.add_server("cmp01"))
    for _ in range(2500):
        fake.world.end_row(fake.world.new_row(server, "live-migration", "completed"), "completed")
    cloud = fake.cloud()
    read_fleet(cloud)
    assert cloud.requests["compute"] == 7
    assert len(read_migrations(cloud)) == 2500


def test_tenant_isolation_is_known(fake: SimulatedCloud) -> None:
    """A host in another project's aggregate is forbidden to the server."""
    fake.add_aggregate("theirs", ["cmp03"], {"filter_tenant_id": "p9"})
    server = fake.add_server("cmp01", project="p1")
    assert read_fleet(fake.cloud()).servers[server].requires.shunned_hosts == {"cmp03"}


def test_servers_of_one_host(fake: SimulatedCloud) -> None:
    """One request for the host's servers of all projects."""
    here = fake.add_server("cmp01", project="p1")
    fake.add_server("cmp03", project="p2")
    cloud = fake.cloud()
    assert [server.id for server in read_servers(cloud, host="cmp01")] == [here]
    assert len(read_servers(cloud)) == 2
    assert cloud.requests["compute"] == 3


def test_servers_that_changed(fake: SimulatedCloud, clock: SteppedClock) -> None:
    """Since a moment, with those deleted meanwhile."""
    fake.add_server("cmp01")
    gone = fake.add_server("cmp01")
    clock.advance(100)
    now = clock.now()
    changed = fake.add_server("cmp01")
    fake.delete_server(gone)
    found = {server.id: server.status for server in read_servers(fake.cloud(), changes_since=now)}
    assert found == {changed: "ACTIVE", gone: "DELETED"}


def test_migrations_since_a_moment(fake: SimulatedCloud, clock: SteppedClock) -> None:
    """One poll for the whole cloud, or for one host at either end."""
    old, new = fake.add_server("cmp01"), fake.add_server("cmp03")
    cloud = fake.cloud()
    cloud.compute.post(f"/servers/{old}/action", json=live("cmp03"))
    clock.advance(60)
    since = clock.now()
    cloud.compute.post(f"/servers/{new}/action", json=live("cmp01"))
    clock.advance(60)
    assert [(row.server, row.status) for row in read_migrations(cloud, since)] == [(new, "completed")]
    assert {row.server for row in read_migrations(cloud, host="cmp01")} == {old, new}
    assert read_migrations(cloud, host="cmp02") == []


def test_finding_hosts(fake: SimulatedCloud) -> None:
    """The names of all hosts with a nova-compute, in order, by one request."""
    cloud = fake.cloud()
    assert find_hosts(cloud) == ["cmp01", "cmp02", "cmp03"]
    assert cloud.requests["compute"] == 2


def live(host: str) -> dict[str, dict[str, str]]:
    """The request for a live migration."""
    return {"os-migrateLive": {"host": host, "block_migration": "auto"}}


def test_ports_of_the_drained_hosts(fake: SimulatedCloud) -> None:
    """Kinds of ports other than normal are known of the hosts that are read around, by a request for each."""
    direct, plain = fake.add_server("cmp01", vnic_type="direct"), fake.add_server("cmp01")
    elsewhere = fake.add_server("cmp03", vnic_type="vdpa")
    cloud = fake.cloud()
    fleet = read_fleet(cloud, around="cmp01")
    assert fleet.servers[direct].vnic_types == {"direct"}
    assert fleet.servers[plain].vnic_types == fleet.servers[elsewhere].vnic_types == frozenset()
    assert cloud.requests["network"] == 1


def test_amphorae_of_the_drained_hosts(fake: SimulatedCloud) -> None:
    """They are known with role and load balancer, of the hosts that are read around, by Octavia's own word."""
    balancer = fake.octavia.add_balancer("web", {"MASTER": "cmp01", "BACKUP": "cmp03"})
    fake.add_server("cmp01", name="amphora-of-somebody", config_drive=True)
    cloud = fake.cloud()
    (found,) = read_fleet(cloud, around="cmp01").amphorae.values()
    assert (found.role, found.status, found.balancer) == ("MASTER", "ALLOCATED", balancer.id)
    assert (found.balancer_name, found.balancer_status) == ("web", "ACTIVE")
    assert cloud.requests["load-balancer"] == 2


def test_no_amphora_among_the_candidates(fake: SimulatedCloud) -> None:
    """A server with a config drive alone costs one request: the load balancers are not asked for."""
    fake.add_server("cmp01", config_drive=True)
    cloud = fake.cloud()
    assert read_fleet(cloud, around="cmp01").amphorae == {}
    assert cloud.requests["load-balancer"] == 1


def test_volumes_and_the_kind_of_hypervisor(fake: SimulatedCloud) -> None:
    """Attached volumes, also the one that a server boots from, and what Nova calls the hypervisor."""
    fake.host("cmp03").hypervisor = "ironic"
    data = fake.add_server("cmp01", volumes=("v1", "v2"))
    booted = fake.add_server("cmp01", volume_backed=True)
    fleet = read_fleet(fake.cloud())
    assert fleet.servers[data].volumes == {"v1", "v2"}
    assert len(fleet.servers[booted].volumes) == 1
    assert {host.hypervisor for host in fleet.hosts.values()} == {"fake", "ironic"}
