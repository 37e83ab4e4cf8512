"""The lab's fake hypervisors behave as real ones do, well and with faults, as Nova's own API shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.errors import LabError

if TYPE_CHECKING:
    from tests.lab.conftest import LabUnderTest

pytestmark = pytest.mark.lab


def test_server_moves_with_its_port(lab: LabUnderTest) -> None:
    """A live migration brings a server and its port to the named host, both ACTIVE there."""
    (server,) = lab.fill("cmp01", 1)
    lab.live_migrate(server.id, "cmp02")
    assert lab.wait_for_migration(server.id, "completed", "error", "failed")["status"] == "completed"
    assert lab.wait_for_server(server.id, "ACTIVE")["OS-EXT-SRV-ATTR:host"] == "cmp02"

    def wired() -> bool:
        (port,) = lab.conn.network.ports(device_id=server.id)
        return bool(port.status == "ACTIVE" and port.binding_host_id == "cmp02")

    lab.wait("the port is ACTIVE on cmp02", wired)


def test_paused_server_stays_paused(lab: LabUnderTest) -> None:
    """A paused server is live-migrated and is PAUSED on the target."""
    (server,) = lab.fill("cmp01", 1)
    lab.act(server.id, {"pause": None})
    lab.wait_for_server(server.id, "PAUSED")
    lab.live_migrate(server.id, "cmp02")
    lab.wait_for_migration(server.id, "completed")
    row = lab.wait_for_server(server.id, "PAUSED")
    assert (row["OS-EXT-SRV-ATTR:host"], row["OS-EXT-STS:power_state"]) == ("cmp02", 3)


def test_slow_server_reports_falling_memory(lab: LabUnderTest) -> None:
    """A slow server's migration runs for the fault's time, and its remaining memory falls meanwhile."""
    (server,) = lab.fill("cmp01", 1, name="slow")
    lab.faults({"slow": {"seconds": 8}})
    lab.live_migrate(server.id, "cmp02")
    lab.wait_for_migration(server.id, "running")
    first = lab.wait("progress is reported", lambda: lab.progress(server.id))["memory_remaining_bytes"]
    lab.wait("memory falls", lambda: lab.progress(server.id).get("memory_remaining_bytes", first) < first)
    row = lab.wait_for_migration(server.id, "completed")
    assert row["dest_compute"] == "cmp02"


def test_stalled_server_is_forced(lab: LabUnderTest) -> None:
    """A stalled server's remaining memory never falls below its floor, and force-complete ends the migration."""
    (server,) = lab.fill("cmp01", 1, name="stalled")
    lab.faults({"stalled": {"stalled": True, "seconds": 1}})
    lab.live_migrate(server.id, "cmp02")
    lab.wait_for_migration(server.id, "running")
    lab.wait("all memory was copied once", lambda: _copied_twice(lab, server.id))
    assert lab.progress(server.id)["memory_remaining_bytes"] > 0
    number = lab.progress(server.id)["id"]
    path = f"/servers/{server.id}/migrations/{number}/action"
    assert lab.conn.compute.post(path, json={"force_complete": None}, microversion="2.80").status_code == 202
    lab.wait_for_migration(server.id, "completed")
    assert lab.host_of(server.id) == "cmp02"


def _copied_twice(lab: LabUnderTest, server: str) -> bool:
    row = lab.progress(server)
    return bool(row and (row["memory_processed_bytes"] or 0) > 2 * row["memory_total_bytes"])


def test_running_and_queued_migrations_are_aborted(lab: LabUnderTest) -> None:
    """A running migration and one that waits behind it are both cancelled, and the servers stay where they were."""
    servers = lab.fill("cmp01", 2, name="held")
    lab.faults({"held-*": {"stalled": True}})
    first, second = (server.id for server in servers)
    lab.live_migrate(first, "cmp02")
    lab.wait_for_migration(first, "running")
    lab.live_migrate(second, "cmp03")
    waiting = lab.wait_for_migration(second, "queued")
    for server, number in ((second, waiting["id"]), (first, lab.migration(first)["id"])):
        path = f"/servers/{server}/migrations/{number}"
        assert lab.conn.compute.delete(path, microversion="2.80").status_code == 202
        lab.wait_for_migration(server, "cancelled")
        assert lab.wait_for_server(server, "ACTIVE")["OS-EXT-SRV-ATTR:host"] == "cmp01"


def test_pre_check_fails_on_named_target_only(lab: LabUnderTest) -> None:
    """A pre-check fault for one target ends in status error there and lets the server go elsewhere."""
    (server,) = lab.fill("cmp01", 1, name="picky")
    lab.faults({"picky": {"fail": "pre-check", "targets": ["cmp02"]}})
    lab.live_migrate(server.id, "cmp02")
    lab.wait_for_migration(server.id, "error")
    assert lab.wait_for_server(server.id, "ACTIVE")["OS-EXT-SRV-ATTR:host"] == "cmp01"
    lab.live_migrate(server.id, "cmp03")
    lab.wait_for_migration(server.id, "completed")
    assert lab.host_of(server.id) == "cmp03"


def test_migration_fails_the_first_time_only(lab: LabUnderTest) -> None:
    """A fault that strikes once ends the first migration in status failed and lets the second one through."""
    (server,) = lab.fill("cmp01", 1, name="unlucky")
    lab.faults({"unlucky": {"fail": "migration", "times": 1}})
    lab.live_migrate(server.id, "cmp02")
    lab.wait_for_migration(server.id, "failed")
    assert lab.wait_for_server(server.id, "ACTIVE")["OS-EXT-SRV-ATTR:host"] == "cmp01"
    lab.live_migrate(server.id, "cmp02")
    lab.wait_for_migration(server.id, "completed")


def test_preparation_fails_at_the_target(lab: LabUnderTest) -> None:
    """A server whose target fails to prepare stays ACTIVE on its host, without a port binding left behind."""
    (server,) = lab.fill("cmp01", 1, name="unready")
    lab.faults({server.id: {"fail": "prepare"}})
    lab.live_migrate(server.id, "cmp02")
    lab.wait_for_migration(server.id, "error", "failed")
    assert lab.wait_for_server(server.id, "ACTIVE")["OS-EXT-SRV-ATTR:host"] == "cmp01"


def test_cold_migration_is_confirmed(lab: LabUnderTest) -> None:
    """A stopped server is migrated cold, waits in VERIFY_RESIZE, and is SHUTOFF on the target once confirmed."""
    (server,) = lab.fill("cmp01", 1)
    lab.act(server.id, {"os-stop": None})
    lab.wait_for_server(server.id, "SHUTOFF")
    lab.act(server.id, {"migrate": {"host": "cmp02"}})
    lab.wait_for_server(server.id, "VERIFY_RESIZE")
    lab.act(server.id, {"confirmResize": None}, expected=204)
    row = lab.wait_for_server(server.id, "SHUTOFF")
    assert row["OS-EXT-SRV-ATTR:host"] == "cmp02"


def test_suspend_rescue_and_back(lab: LabUnderTest) -> None:
    """A server can be suspended, resumed, rescued and unrescued, as an operator may find it in a drain."""
    (server,) = lab.fill("cmp01", 1)
    for action, status in (("suspend", "SUSPENDED"), ("resume", "ACTIVE"), ("unrescue", "ACTIVE")):
        if action == "unrescue":
            lab.act(server.id, {"rescue": {}}, expected=200)
            lab.wait_for_server(server.id, "RESCUE")
        lab.act(server.id, {action: None})
        lab.wait_for_server(server.id, status)


def test_spawn_fault_ends_in_error(lab: LabUnderTest) -> None:
    """A server that fails to spawn ends in ERROR, and the person who filled the host is told why."""
    lab.faults({"broken": {"spawn": "fail"}})
    with pytest.raises(LabError, match="broken because: Exceeded maximum number of retries"):
        lab.fill("cmp01", 1, name="broken")
    (row,) = lab.servers().values()
    assert row["status"] == "ERROR"
