"""Load balancers and their amphorae."""

from __future__ import annotations

import pytest

from lab.simulator.clock import SteppedClock
from lab.simulator.cloud import SimulatedCloud
from lab.simulator.octavia import BUILD, Balancer
from tests.unit.simulator.conftest import Asker

AMPHORAE = "/load-balancer/v2/octavia/amphorae"
BALANCERS = "/load-balancer/v2/lbaas/loadbalancers"


@pytest.fixture
def balancer(cloud: SimulatedCloud) -> Balancer:
    """One with two amphorae, on cmp01 and cmp02."""
    return cloud.octavia.add_balancer("lb", {"MASTER": "cmp01", "BACKUP": "cmp02"})


def amphora(asker: Asker, role: str) -> dict[str, str]:
    """The amphora of a role."""
    (found,) = asker.get(f"{AMPHORAE}?role={role}")["amphorae"]
    return dict(found)


def test_amphorae_are_servers(cloud: SimulatedCloud, asker: Asker, balancer: Balancer) -> None:
    """They are on hosts and use room there, in a project of their own."""
    master = amphora(asker, "MASTER")
    server = cloud.server(master["compute_id"])
    assert (server.host, server.name, server.project) == ("cmp01", f"amphora-{master['id']}", "octavia")
    assert cloud.world.allocations.used("cmp01")["MEMORY_MB"] == 1024


def test_a_failover(cloud: SimulatedCloud, clock: SteppedClock, asker: Asker, balancer: Balancer) -> None:
    """202; nothing else may be asked meanwhile; then another amphora on another host has the role."""
    backup = amphora(asker, "BACKUP")
    path = f"{AMPHORAE}/{backup['id']}/failover"
    assert asker.send("PUT", path).status == 202
    status = asker.get(f"{BALANCERS}/{balancer.id}")["loadbalancer"]["provisioning_status"]
    assert status == "PENDING_UPDATE"
    busy = asker.send("PUT", f"{AMPHORAE}/{amphora(asker, 'MASTER')['id']}/failover")
    assert busy.status == 409
    assert busy.document["faultstring"] == f"Load Balancer {balancer.id} is immutable and cannot be updated."
    clock.advance(BUILD)
    new = amphora(asker, "BACKUP")
    assert new["id"] != backup["id"]
    assert cloud.server(new["compute_id"]).host not in ("cmp02", None)
    assert asker.send("GET", f"{AMPHORAE}/{backup['id']}").status == 404
    assert asker.send("GET", f"/compute/v2.1/servers/{backup['compute_id']}").status == 404
    assert balancer.provisioning == "ACTIVE"


def test_a_whole_balancer_fails_over_backup_first(
    cloud: SimulatedCloud, clock: SteppedClock, asker: Asker, balancer: Balancer
) -> None:
    """One after the other."""
    old = {role: amphora(asker, role)["id"] for role in ("MASTER", "BACKUP")}
    assert asker.send("PUT", f"{BALANCERS}/{balancer.id}/failover").status == 202
    clock.advance(BUILD)
    assert amphora(asker, "MASTER")["id"] == old["MASTER"]
    assert amphora(asker, "BACKUP")["id"] != old["BACKUP"]
    clock.advance(BUILD)
    assert amphora(asker, "MASTER")["id"] != old["MASTER"]


def test_a_failover_that_fails(cloud: SimulatedCloud, clock: SteppedClock, asker: Asker, balancer: Balancer) -> None:
    """The balancer is in ERROR, the amphora where it was, and it can be tried again."""
    cloud.octavia.failing.add(balancer.id)
    path = f"{AMPHORAE}/{amphora(asker, 'BACKUP')['id']}/failover"
    asker.send("PUT", path)
    clock.advance(BUILD)
    assert asker.get(f"{BALANCERS}/{balancer.id}")["loadbalancer"]["provisioning_status"] == "ERROR"
    cloud.octavia.failing.clear()
    assert asker.send("PUT", path).status == 202


def test_amphorae_are_not_for_everybody(cloud: SimulatedCloud, balancer: Balancer) -> None:
    """403 for a plain user; 404 for what is not there."""
    assert Asker(cloud, "demo").send("GET", AMPHORAE).status == 403
    admin = Asker(cloud)
    assert admin.send("PUT", f"{AMPHORAE}/none/failover").status == 404
    assert admin.send("GET", f"{BALANCERS}/none").status == 404
