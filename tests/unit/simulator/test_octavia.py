"""Load balancers and their amphorae."""

from __future__ import annotations

import pytest

from lab.simulator.clock import SteppedClock
from lab.simulator.cloud import SimulatedCloud
from lab.simulator.octavia import BUILD, CONFIGURE, Balancer
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
    """202; nothing else may be asked meanwhile; then another amphora has the role; at last the balancer is ACTIVE."""
    backup = amphora(asker, "BACKUP")
    path = f"{AMPHORAE}/{backup['id']}/failover"
    assert asker.send("PUT", path).status == 202
    status = asker.get(f"{BALANCERS}/{balancer.id}")["loadbalancer"]["provisioning_status"]
    assert status == "PENDING_UPDATE"
    busy = asker.send("PUT", f"{AMPHORAE}/{amphora(asker, 'MASTER')['id']}/failover")
    assert busy.status == 409
    assert busy.document["faultstring"] == f"Load Balancer {balancer.id} is immutable and cannot be updated."
    assert asker.get(f"{AMPHORAE}/{backup['id']}")["amphora"]["status"] == "PENDING_DELETE"
    statuses = sorted(each["status"] for each in asker.get(f"{AMPHORAE}?loadbalancer_id={balancer.id}")["amphorae"])
    assert statuses == ["ALLOCATED", "BOOTING", "PENDING_DELETE"]
    clock.advance(BUILD)
    new = amphora(asker, "BACKUP")
    assert new["id"] != backup["id"]
    assert cloud.server(new["compute_id"]).host not in ("cmp01", None)
    assert asker.send("GET", f"{AMPHORAE}/{backup['id']}").status == 404
    assert asker.send("GET", f"/compute/v2.1/servers/{backup['compute_id']}").status == 404
    assert balancer.provisioning == "PENDING_UPDATE"
    clock.advance(CONFIGURE)
    assert asker.get(f"{BALANCERS}/{balancer.id}")["loadbalancer"]["provisioning_status"] == "ACTIVE"


def test_a_new_amphora_may_come_to_the_same_host(
    cloud: SimulatedCloud, clock: SteppedClock, asker: Asker, balancer: Balancer
) -> None:
    """Unless its service is disabled: that is why a drain disables it first."""
    for name in ("cmp01", "cmp03", "cmp04"):
        cloud.host(name).disabled = True
    asker.send("PUT", f"{AMPHORAE}/{amphora(asker, 'BACKUP')['id']}/failover")
    clock.advance(BUILD + CONFIGURE)
    assert cloud.server(amphora(asker, "BACKUP")["compute_id"]).host == "cmp02"
    cloud.host("cmp02").disabled = True
    asker.send("PUT", f"{AMPHORAE}/{amphora(asker, 'BACKUP')['id']}/failover")
    clock.advance(BUILD + CONFIGURE)
    assert asker.get(f"{BALANCERS}/{balancer.id}")["loadbalancer"]["provisioning_status"] == "ERROR"


def test_a_whole_balancer_fails_over_backup_first(
    cloud: SimulatedCloud, clock: SteppedClock, asker: Asker, balancer: Balancer
) -> None:
    """One after the other."""
    old = {role: amphora(asker, role)["id"] for role in ("MASTER", "BACKUP")}
    assert asker.send("PUT", f"{BALANCERS}/{balancer.id}/failover").status == 202
    clock.advance(BUILD + CONFIGURE)
    assert amphora(asker, "MASTER")["id"] == old["MASTER"]
    assert amphora(asker, "BACKUP")["id"] != old["BACKUP"]
    clock.advance(BUILD + CONFIGURE)
    assert amphora(asker, "MASTER")["id"] != old["MASTER"]


def test_a_failover_that_fails(cloud: SimulatedCloud, clock: SteppedClock, asker: Asker, balancer: Balancer) -> None:
    """Balancer and amphora are in ERROR, its server where it was; only the whole balancer is failed over from that."""
    cloud.octavia.failing.add(balancer.id)
    path = f"{AMPHORAE}/{amphora(asker, 'BACKUP')['id']}/failover"
    asker.send("PUT", path)
    clock.advance(BUILD)
    assert asker.get(f"{BALANCERS}/{balancer.id}")["loadbalancer"]["provisioning_status"] == "ERROR"
    assert amphora(asker, "BACKUP")["status"] == "ERROR"
    assert cloud.server(amphora(asker, "BACKUP")["compute_id"]).host == "cmp02"
    cloud.octavia.failing.clear()
    assert asker.send("PUT", path).status == 409
    assert asker.send("PUT", f"{BALANCERS}/{balancer.id}/failover").status == 202
    clock.advance(2 * (BUILD + CONFIGURE))
    assert asker.get(f"{BALANCERS}/{balancer.id}")["loadbalancer"]["provisioning_status"] == "ACTIVE"


def test_a_spare_amphora_cannot_be_failed_over(cloud: SimulatedCloud, asker: Asker) -> None:
    """Octavia looks for its load balancer's project, and answers 500."""
    spare = cloud.octavia.add_spare("cmp01")
    assert asker.send("PUT", f"{AMPHORAE}/{spare.id}/failover").status == 500


def test_amphorae_come_in_pages(cloud: SimulatedCloud, asker: Asker, balancer: Balancer) -> None:
    """A full page names the next one, and the last one may be empty."""
    first = asker.get(f"{AMPHORAE}?limit=2")
    assert len(first["amphorae"]) == 2
    (link,) = first["amphorae_links"]
    assert asker.get(link["href"].removeprefix("http://cloud.test"))["amphorae"] == []
    assert "amphorae_links" not in asker.get(AMPHORAE)


def test_amphorae_are_not_for_everybody(cloud: SimulatedCloud, balancer: Balancer) -> None:
    """403 for a plain user; 404 for what is not there."""
    assert Asker(cloud, "demo").send("GET", AMPHORAE).status == 403
    admin = Asker(cloud)
    assert admin.send("PUT", f"{AMPHORAE}/none/failover").status == 404
    assert admin.send("GET", f"{BALANCERS}/none").status == 404


def test_the_health_manager_heals(cloud: SimulatedCloud, clock: SteppedClock, asker: Asker, balancer: Balancer) -> None:
    """An amphora that is silent is failed over without anybody's asking."""
    cloud.octavia.heal(amphora(asker, "MASTER")["id"])
    clock.advance(BUILD + CONFIGURE)
    assert cloud.server(amphora(asker, "MASTER")["compute_id"]).host != "cmp01"
    assert cloud.history == []
