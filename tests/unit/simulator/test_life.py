"""Servers, groups and aggregates by the API, where the contract's tests do not reach."""

from __future__ import annotations

import pytest

from lab.simulator.clock import SteppedClock
from lab.simulator.cloud import SimulatedCloud
from tests.unit.simulator.conftest import Asker

NOVA = "/compute/v2.1"


def boot(asker: Asker, **more: object) -> list[str]:
    """Ask for a small server; gives the ids of all servers that there are then, newest first."""
    wish = {"name": "new", "flavorRef": "small", **more}
    answer = asker.send("POST", f"{NOVA}/servers", {"server": wish})
    assert answer.status == 202, answer.document
    return [server["id"] for server in asker.get(f"{NOVA}/servers?all_tenants=1")["servers"]]


def test_several_are_booted_at_once(cloud: SimulatedCloud, clock: SteppedClock, asker: Asker) -> None:
    """min_count makes so many, with numbers behind their names."""
    boot(asker, min_count=3, host="cmp02")
    clock.advance(10)
    assert sorted(server.name for server in cloud.servers_on("cmp02")) == ["new-1", "new-2", "new-3"]
    assert {server.status for server in cloud.servers_on("cmp02")} == {"ACTIVE"}


def test_a_zone_may_name_a_host(cloud: SimulatedCloud, clock: SteppedClock, asker: Asker) -> None:
    """ZONE:HOST goes there and pins the server to the zone."""
    (server,) = boot(asker, availability_zone="nova:cmp03")
    clock.advance(10)
    assert (cloud.server(server).host, cloud.server(server).pinned_zone) == ("cmp03", "nova")


def test_what_does_not_fit_anywhere(cloud: SimulatedCloud, clock: SteppedClock, asker: Asker) -> None:
    """ERROR without a host; deleting it works all the same."""
    for host in ("cmp01", "cmp02", "cmp03", "cmp04"):
        cloud.host(host).disabled = True
    (server,) = boot(asker)
    clock.advance(10)
    assert (cloud.server(server).status, cloud.server(server).host) == ("ERROR", None)
    assert asker.send("DELETE", f"{NOVA}/servers/{server}").status == 204
    clock.advance(1)
    cloud.world.settle()
    assert cloud.world.servers == {}


def test_unshelving_needs_room(cloud: SimulatedCloud, clock: SteppedClock, asker: Asker) -> None:
    """With none it stays shelved and offloaded."""
    server = cloud.add_server("cmp01")
    asker.act(server, {"shelve": None})
    clock.advance(5)
    assert cloud.server(server).host is None
    assert cloud.world.allocations.used("cmp01") == {"VCPU": 0, "MEMORY_MB": 0, "DISK_GB": 0}
    for host in cloud.world.hosts.values():
        host.disabled = True
    assert asker.act(server, {"unshelve": None}) == 202
    clock.advance(5)
    assert (cloud.server(server).status, cloud.server(server).task_state) == ("SHELVED_OFFLOADED", None)


@pytest.mark.parametrize(
    ("action", "status"),
    [({"add_host": {"host": "cmp01"}}, 409), ({"add_host": {"host": "none"}}, 404),
     ({"remove_host": {"host": "cmp04"}}, 404), ({"nonsense": {}}, 400)],
)  # fmt: skip
def test_what_an_aggregate_refuses(asker: Asker, action: dict[str, object], status: int) -> None:
    """A host twice, a host that is none or not in it; and it goes only when it is empty."""
    made = asker.send("POST", f"{NOVA}/os-aggregates", {"aggregate": {"name": "a"}}).document["aggregate"]
    path = f"{NOVA}/os-aggregates/{made['id']}"
    asker.send("POST", f"{path}/action", {"add_host": {"host": "cmp01"}})
    assert asker.send("POST", f"{path}/action", action).status == status
    assert asker.send("DELETE", path).status == 400
    assert asker.send("POST", f"{NOVA}/os-aggregates", {"aggregate": {"name": "a"}}).status == 409


def test_metadata_makes_a_zone(cloud: SimulatedCloud, asker: Asker) -> None:
    """`availability_zone` moves the aggregate's hosts into it, and taking it away moves them back."""
    cloud.add_aggregate("a", ["cmp02"])
    path = f"{NOVA}/os-aggregates/1/action"
    asker.send("POST", path, {"set_metadata": {"metadata": {"availability_zone": "az1", "ssd": "true"}}})
    assert cloud.host("cmp02").zone == "az1"
    asker.send("POST", path, {"set_metadata": {"metadata": {"availability_zone": None}}})
    assert cloud.host("cmp02").zone == "nova"
    assert asker.get(f"{NOVA}/os-aggregates/1")["aggregate"]["metadata"] == {"ssd": "true"}


def test_a_cold_migration_that_fails(cloud: SimulatedCloud, clock: SteppedClock, asker: Asker) -> None:
    """The server is in ERROR where it was, and its room on the target is free."""
    from lab.simulator.records import Fault

    server = cloud.add_server("cmp01")
    cloud.faults[server] = Fault(fails=True)
    asker.act(server, {"migrate": {"host": "cmp02"}})
    clock.advance(10)
    assert (cloud.server(server).status, cloud.server(server).host) == ("ERROR", "cmp01")
    assert cloud.world.allocations.used("cmp02")["MEMORY_MB"] == 0


def test_a_server_that_goes_while_it_moves(cloud: SimulatedCloud, clock: SteppedClock, asker: Asker) -> None:
    """However far a cold migration or an evacuation was: nothing of it is left, at no host."""
    for action in ({"migrate": {"host": "cmp02"}}, {"evacuate": {"host": "cmp02"}}):
        for seconds in (0.1, 0.3, 0.6, 1.0, 1.6, 2.2, 2.6):
            cloud.host("cmp01").forced_down = "evacuate" in action
            server = cloud.add_server("cmp01")
            assert asker.act(server, action, "2.67") in (200, 202)
            clock.advance(seconds)
            cloud.delete_server(server)
            clock.advance(60)
            cloud.world.settle()
            assert server not in cloud.world.servers
            used = [cloud.world.allocations.used(host).get("MEMORY_MB", 0) for host in ("cmp01", "cmp02")]
            assert used == [0, 0], (action, seconds)
