"""The real OpenStack of `drover lab` as tests use it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lab import choose, cloud, computes, faults, layout, lifecycle
from lab.fill import Booted, Wish
from lab.fill import fill as boot
from lab.fill import servers as list_servers
from lab.progress import SilentProgress
from lab.reset import reset as clean

if TYPE_CHECKING:
    from openstack.connection import Connection

COMPUTES = 6
POLL = 0.2
PATIENCE = 60.0
"""Seconds that a test waits for the cloud at most, unless it says otherwise."""
MICROVERSION = "2.90"


class LabUnderTest:
    """One lab as a test uses it."""

    def __init__(self, lab: layout.Lab) -> None:
        self.lab = lab
        self.directory = lab.directory
        self.clouds_yaml = lab.clouds_yaml
        self.conn: Connection = cloud.connect(lab)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names of the fake hypervisors."""
        return self.lab.options.hosts

    def reset(self) -> None:
        """No servers, no faults, every host enabled."""
        clean(self.lab)

    def fill(self, host: str, count: int, **wish: Any) -> list[Booted]:
        """Boot servers on a host, or on several (`cmp01,cmp02`), and wait until they are ACTIVE."""
        return boot(self.lab, Wish(tuple(host.split(",")), count, **wish))

    def faults(
        self, servers: dict[str, dict[str, Any]] | None = None, hosts: dict[str, dict[str, Any]] | None = None
    ) -> None:
        """Replace the faults in force."""
        faults.save(
            self.lab.faults_yaml, faults.Faults.model_validate({"servers": servers or {}, "hosts": hosts or {}})
        )

    def kill(self, host: str, freeze: bool = False, wait: bool = True) -> None:
        """Let a host die and wait until Nova says so."""
        computes.kill(self.lab, host, "frozen" if freeze else "dead")
        if wait:
            computes.wait_for_state(self.lab, host, "down", lambda _text: None)

    def revive(self, host: str) -> None:
        """Let a host come back and wait until Nova says so."""
        computes.revive(self.lab, host)
        computes.wait_for_state(self.lab, host, "up", lambda _text: None)

    def servers(self) -> dict[str, dict[str, Any]]:
        """Nova's own rows of all servers, by id."""
        return {row["id"]: row for row in list_servers(self.conn)}

    def host_of(self, server: str) -> str:
        """The host that a server is on."""
        return str(self.servers()[server]["OS-EXT-SRV-ATTR:host"])

    def act(self, server: str, action: dict[str, Any], expected: int = 202) -> Any:
        """An action on a server; its answer's code must be the expected one."""
        answer = self.conn.compute.post(f"/servers/{server}/action", json=action, microversion=MICROVERSION)
        assert answer.status_code == expected, answer.text
        return answer

    def live_migrate(self, server: str, host: str | None = None) -> None:
        """Ask Nova for a live migration."""
        self.act(server, {"os-migrateLive": {"host": host, "block_migration": "auto"}})

    def migration(self, server: str) -> dict[str, Any]:
        """The newest migration of a server, {} if there is none."""
        answer = self.conn.compute.get(f"/os-migrations?instance_uuid={server}", microversion="2.80").json()
        return max(answer["migrations"], key=lambda row: row["id"], default={})

    def progress(self, server: str) -> dict[str, Any]:
        """The memory figures of the server's migration in progress, {} if there is none."""
        rows = self.conn.compute.get(f"/servers/{server}/migrations", microversion="2.80").json()["migrations"]
        return rows[0] if rows else {}

    def wait(self, what: str, done: Callable[[], Any], patience: float = PATIENCE) -> Any:
        """Until `done` answers something true, which is returned."""
        deadline = time.monotonic() + patience
        while not (answer := done()):
            assert time.monotonic() < deadline, f"not {what} after {patience:.0f} s"
            time.sleep(POLL)
        return answer

    def wait_for_migration(self, server: str, *statuses: str, patience: float = PATIENCE) -> dict[str, Any]:
        """Until the server's newest migration has one of the statuses."""

        def reached() -> dict[str, Any]:
            row = self.migration(server)
            return row if row.get("status") in statuses else {}

        found: dict[str, Any] = self.wait(f"{'/'.join(statuses)}: {self.migration(server)}", reached, patience)
        return found

    def wait_for_server(self, server: str, status: str, patience: float = PATIENCE) -> dict[str, Any]:
        """Until the server has a status and nothing is going on with it."""

        def reached() -> dict[str, Any]:
            row = self.servers()[server]
            return row if row["status"] == status and row["OS-EXT-STS:task_state"] is None else {}

        found: dict[str, Any] = self.wait(f"{status}: {server}", reached, patience)
        return found


def open_lab() -> LabUnderTest:
    """The lab of DROVER_LAB_DIR, or the default one, with six computes or more, at its default pace; it stays up."""
    directory = layout.default_directory()
    with lifecycle.locked(directory):
        lab = choose.lab(directory, choose.Given(computes=COMPUTES, cap=1, seconds=2.0), None)
        lifecycle.up(lab, SilentProgress())
    return LabUnderTest(lab)
