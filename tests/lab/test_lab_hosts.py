"""Hosts of the lab die, freeze and come back, and Nova sees it."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from lab import computes, health, layout, lifecycle, ports, processes
from lab.progress import SilentProgress

if TYPE_CHECKING:
    from tests.support.openstack import LabUnderTest

pytestmark = pytest.mark.lab


def test_second_up_changes_nothing(lab: LabUnderTest) -> None:
    """`up` on a lab that is up starts no process, and `status` says that all is well."""
    before = processes.records(lab.lab.run)
    assert not lifecycle.up(lab.lab, SilentProgress())
    assert processes.records(lab.lab.run) == before
    found = health.status(lab.lab)
    assert (found.state, found.missing) == ("up", ())
    assert {host.service for host in found.hosts} == {"up"}


def test_lab_survives_a_loss_of_power(lab: LabUnderTest) -> None:
    """After every process was killed at once, their records left behind, `up` brings back a cloud that works."""
    for record in processes.records(lab.lab.run):
        if record.alive:
            os.killpg(record.pid, signal.SIGKILL)
    # A process of many threads has its ports for a moment longer than its name.
    listening = [lab.lab.port(name) for name in layout.PORTS]
    lab.wait("all have ended", lambda: not any(record.alive for record in processes.records(lab.lab.run)))
    lab.wait("nobody listens", lambda: not any(ports.is_open(port) for port in listening))
    assert lifecycle.up(lab.lab, SilentProgress())
    assert health.status(lab.lab).state == "up"
    assert [server.host for server in lab.fill("cmp01", 1)] == ["cmp01"]


def test_dead_and_frozen_hosts_come_back(lab: LabUnderTest) -> None:
    """A dead host's server is evacuated and the revived host is empty; a frozen one is thawed as the same process."""
    (server,) = lab.fill("cmp03", 1)
    before = processes.record_of(lab.lab.run, "cmp05")
    lab.kill("cmp05", freeze=True, wait=False)
    lab.kill("cmp03")
    rows = lab.conn.compute.get("/os-services?binary=nova-compute", microversion="2.53").json()["services"]
    service = next(row for row in rows if row["host"] == "cmp03")
    forced = lab.conn.compute.put(f"/os-services/{service['id']}", json={"forced_down": True}, microversion="2.53")
    assert forced.status_code == 200, forced.text
    lab.act(server.id, {"evacuate": {"host": "cmp04"}}, expected=200)
    lab.wait("the evacuation is done", lambda: lab.migration(server.id).get("status") in ("done", "completed"))
    assert lab.wait_for_server(server.id, "ACTIVE")["OS-EXT-SRV-ATTR:host"] == "cmp04"
    computes.wait_for_state(lab.lab, "cmp05", "down", lambda _text: None)
    assert _alive(lab, "cmp05")
    lab.reset()
    found = {host.name: host for host in health.hosts_of(lab.lab, lab.conn)}
    assert (found["cmp03"].service, found["cmp03"].status, found["cmp03"].servers) == ("up", "enabled", 0)
    assert found["cmp05"].service == "up"
    assert processes.record_of(lab.lab.run, "cmp05") == before


def test_restarted_host_knows_its_servers(lab: LabUnderTest) -> None:
    """A compute that was killed and started again adopts its servers: they can be migrated and stopped."""
    first, second = (server.id for server in lab.fill("cmp06", 2))
    lab.kill("cmp06", wait=False)
    lab.wait("cmp06 has ended", lambda: not _alive(lab, "cmp06"))
    lab.revive("cmp06")
    lab.wait("cmp06 runs", lambda: _alive(lab, "cmp06"))
    lab.live_migrate(first, "cmp01")
    lab.act(second, {"os-stop": None})
    lab.wait_for_migration(first, "completed")
    assert lab.wait_for_server(second, "SHUTOFF")["OS-EXT-SRV-ATTR:host"] == "cmp06"


def test_source_dies_in_the_middle_of_a_migration(lab: LabUnderTest) -> None:
    """A fault kills the source half-way; revived, Nova gives the migration up, and a reset leaves no record of it."""
    (server,) = lab.fill("cmp02", 1, name="doomed")
    lab.faults({"doomed": {"kill": "source", "times": 1}})
    lab.live_migrate(server.id, "cmp01")
    lab.wait("cmp02 has ended", lambda: not _alive(lab, "cmp02"))
    assert lab.migration(server.id)["status"] == "running"
    lab.revive("cmp02")
    lab.wait_for_migration(server.id, "error")
    assert lab.wait_for_server(server.id, "ACTIVE")["OS-EXT-SRV-ATTR:host"] == "cmp02"
    lab.reset()
    assert _alive(lab, "cmp02")
    assert not lab.servers()
    assert lab.conn.compute.get("/os-migrations", microversion="2.80").json()["migrations"] == []


def _alive(lab: LabUnderTest, host: str) -> bool:
    record = processes.record_of(lab.lab.run, host)
    return record is not None and record.alive
