"""The lab's fake hypervisors behave as real ones do, well and with faults, as Nova's own API shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from lab.errors import LabError
from lab.fill import Booted

if TYPE_CHECKING:
    from tests.support.openstack import LabUnderTest

pytestmark = pytest.mark.lab

SOURCES = ("cmp01", "cmp02", "cmp03", "cmp04")
TARGET, OTHER = "cmp05", "cmp06"


@pytest.fixture(scope="module")
def crowd(lab_session: LabUnderTest) -> Iterator[dict[str, list[Booted]]]:
    """Servers for all tests of this module, booted together since that is quicker; by host, none on the targets."""
    lab_session.reset()
    servers = lab_session.fill(",".join(SOURCES), 3)
    yield {host: [server for server in servers if server.host == host] for host in SOURCES}
    lab_session.reset()


@pytest.fixture
def lab(lab_session: LabUnderTest, crowd: dict[str, list[Booted]]) -> LabUnderTest:
    """The lab with the crowd in it, and no faults."""
    lab_session.faults()
    return lab_session


@pytest.fixture
def server(crowd: dict[str, list[Booted]]) -> Booted:
    """A server that no other test has touched."""
    return max(crowd.values(), key=len).pop()


@pytest.fixture
def pair(crowd: dict[str, list[Booted]]) -> tuple[Booted, Booted]:
    """Two servers of one host that no other test has touched."""
    host = max(crowd.values(), key=len)
    return host.pop(), host.pop()


def test_server_moves_with_its_port(lab: LabUnderTest, server: Booted) -> None:
    """A live migration brings a server and its port to the named host, both ACTIVE there."""
    lab.live_migrate(server.id, TARGET)
    assert lab.wait_for_migration(server.id, "completed", "error", "failed")["status"] == "completed"
    assert lab.wait_for_server(server.id, "ACTIVE")["OS-EXT-SRV-ATTR:host"] == TARGET

    def wired() -> bool:
        (port,) = lab.conn.network.ports(device_id=server.id)
        return bool(port.status == "ACTIVE" and port.binding_host_id == TARGET)

    lab.wait("the port is ACTIVE on the target", wired)


def test_paused_server_stays_paused(lab: LabUnderTest, server: Booted) -> None:
    """A paused server is live-migrated and is PAUSED on the target."""
    lab.act(server.id, {"pause": None})
    lab.wait_for_server(server.id, "PAUSED")
    lab.live_migrate(server.id, TARGET)
    lab.wait_for_migration(server.id, "completed")
    row = lab.wait_for_server(server.id, "PAUSED")
    assert (row["OS-EXT-SRV-ATTR:host"], row["OS-EXT-STS:power_state"]) == (TARGET, 3)


def test_slow_server_reports_falling_memory(lab: LabUnderTest, server: Booted) -> None:
    """A slow server's migration runs for the fault's time, and its remaining memory falls meanwhile."""
    lab.faults({server.id: {"seconds": 8}})
    lab.live_migrate(server.id, TARGET)
    lab.wait_for_migration(server.id, "running")
    first = lab.wait("progress is reported", lambda: lab.progress(server.id))["memory_remaining_bytes"]
    lab.wait("memory falls", lambda: lab.progress(server.id).get("memory_remaining_bytes", first) < first)
    row = lab.wait_for_migration(server.id, "completed")
    assert row["dest_compute"] == TARGET


def test_stalled_server_is_forced(lab: LabUnderTest, server: Booted) -> None:
    """A stalled server's remaining memory never falls below its floor, and force-complete ends the migration."""
    lab.faults({server.id: {"stalled": True, "seconds": 1}})
    lab.live_migrate(server.id, TARGET)
    lab.wait_for_migration(server.id, "running")
    lab.wait("all memory was copied once", lambda: _copied_twice(lab, server.id))
    assert lab.progress(server.id)["memory_remaining_bytes"] > 0
    number = lab.progress(server.id)["id"]
    path = f"/servers/{server.id}/migrations/{number}/action"
    assert lab.conn.compute.post(path, json={"force_complete": None}, microversion="2.80").status_code == 202
    lab.wait_for_migration(server.id, "completed")
    assert lab.host_of(server.id) == TARGET


def _copied_twice(lab: LabUnderTest, server: str) -> bool:
    row = lab.progress(server)
    return bool(row and (row["memory_processed_bytes"] or 0) > 2 * row["memory_total_bytes"])


def test_running_and_queued_migrations_are_aborted(lab: LabUnderTest, pair: tuple[Booted, Booted]) -> None:
    """A running migration and one that waits behind it are both cancelled, and the servers stay where they were."""
    running, queued = pair
    lab.faults({running.id: {"stalled": True}})
    lab.live_migrate(running.id, TARGET)
    lab.wait_for_migration(running.id, "running")
    lab.live_migrate(queued.id, OTHER)
    lab.wait_for_migration(queued.id, "queued")
    for server in (queued, running):
        path = f"/servers/{server.id}/migrations/{lab.migration(server.id)['id']}"
        assert lab.conn.compute.delete(path, microversion="2.80").status_code == 202
        lab.wait_for_migration(server.id, "cancelled")
        assert lab.wait_for_server(server.id, "ACTIVE")["OS-EXT-SRV-ATTR:host"] == server.host


def test_pre_check_fails_on_named_target_only(lab: LabUnderTest, server: Booted) -> None:
    """A pre-check fault for one target ends in status error there and lets the server go elsewhere."""
    lab.faults({server.id: {"fail": "pre-check", "targets": [TARGET]}})
    lab.live_migrate(server.id, TARGET)
    lab.wait_for_migration(server.id, "error")
    assert lab.wait_for_server(server.id, "ACTIVE")["OS-EXT-SRV-ATTR:host"] == server.host
    lab.live_migrate(server.id, OTHER)
    lab.wait_for_migration(server.id, "completed")
    assert lab.host_of(server.id) == OTHER


def test_migration_fails_the_first_time_only(lab: LabUnderTest, server: Booted) -> None:
    """A fault that strikes once ends the first migration in status failed and lets the second one through."""
    lab.faults({server.id: {"fail": "migration", "times": 1}})
    lab.live_migrate(server.id, TARGET)
    lab.wait_for_migration(server.id, "failed")
    assert lab.wait_for_server(server.id, "ACTIVE")["OS-EXT-SRV-ATTR:host"] == server.host
    lab.live_migrate(server.id, TARGET)
    lab.wait_for_migration(server.id, "completed")


def test_preparation_fails_at_the_target(lab: LabUnderTest, server: Booted) -> None:
    """A server whose target fails to prepare stays ACTIVE on its host, without a port binding left behind."""
    lab.faults({server.id: {"fail": "prepare"}})
    lab.live_migrate(server.id, TARGET)
    lab.wait_for_migration(server.id, "error", "failed")
    assert lab.wait_for_server(server.id, "ACTIVE")["OS-EXT-SRV-ATTR:host"] == server.host


def test_cold_migration_is_confirmed(lab: LabUnderTest, server: Booted) -> None:
    """A stopped server is migrated cold, waits in VERIFY_RESIZE, and is SHUTOFF on the target once confirmed."""
    lab.act(server.id, {"os-stop": None})
    lab.wait_for_server(server.id, "SHUTOFF")
    lab.act(server.id, {"migrate": {"host": TARGET}})
    lab.wait_for_server(server.id, "VERIFY_RESIZE")
    lab.act(server.id, {"confirmResize": None}, expected=204)
    row = lab.wait_for_server(server.id, "SHUTOFF")
    assert row["OS-EXT-SRV-ATTR:host"] == TARGET


def test_suspend_rescue_and_back(lab: LabUnderTest, server: Booted) -> None:
    """A server can be suspended, resumed, rescued and unrescued, as an operator may find it in a drain."""
    for action, status in (("suspend", "SUSPENDED"), ("resume", "ACTIVE"), ("unrescue", "ACTIVE")):
        if action == "unrescue":
            lab.act(server.id, {"rescue": {}}, expected=200)
            lab.wait_for_server(server.id, "RESCUE")
        lab.act(server.id, {action: None})
        lab.wait_for_server(server.id, status)


def test_spawn_fault_ends_in_error(lab: LabUnderTest) -> None:
    """A server that fails to spawn ends in ERROR, and the person who filled the host is told so."""
    lab.faults({"broken": {"spawn": "fail"}})
    with pytest.raises(LabError, match="broken because: Exceeded maximum number of retries"):
        lab.fill(TARGET, 1, name="broken")
    (row,) = (row for row in lab.servers().values() if row["name"] == "broken")
    assert row["status"] == "ERROR"
