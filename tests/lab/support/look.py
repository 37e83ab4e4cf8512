"""An independent look at the cloud: what Nova itself says, by other code than Drover's."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openstack.connection import Connection

    from tests.support.openstack import LabUnderTest

MICROVERSION = "2.90"
ENDED_WELL = frozenset({"completed", "confirmed", "done"})
IN_FLIGHT = frozenset({"accepted", "queued", "preparing", "running", "post-migrating", "migrating", "finished"})
REQUEST = re.compile(r'requestlog .*"(GET|POST|PUT|DELETE) (\S+)" status: (\d+)')
OTHERS = "/os-server-external-events"
"""What Neutron sends to Nova."""


class Look:
    """Reads of Nova."""

    def __init__(self, lab: LabUnderTest) -> None:
        self._conn: Connection = lab.conn

    def servers_on(self, host: str) -> list[str]:
        """Names of the servers on a host, by Nova's list and by its hypervisor's."""
        listed = self._get(f"/servers/detail?all_tenants=1&host={host}")["servers"]
        shown = self._get(f"/os-hypervisors?hypervisor_hostname_pattern={host}&with_servers=true")["hypervisors"]
        names = {server["name"] for server in listed}
        uuids = {server["id"] for server in listed}
        assert {server["uuid"] for row in shown for server in row.get("servers", ())} == uuids
        return sorted(names)

    def servers(self) -> dict[str, dict[str, Any]]:
        """All servers by name: `host`, `status`, `task` and Nova's own row in `row`."""
        rows = self._get("/servers/detail?all_tenants=1")["servers"]
        return {row["name"]: _server(row) for row in rows}

    def service(self, host: str) -> dict[str, Any]:
        """The compute service of a host."""
        (service,) = self._get(f"/os-services?binary=nova-compute&host={host}")["services"]
        return dict(service)

    def migrations(self, server: str | None = None) -> list[dict[str, Any]]:
        """The cloud's migrations, or one server's, oldest first."""
        rows = self._get("/os-migrations" + (f"?instance_uuid={server}" if server else ""))["migrations"]
        return sorted(rows, key=lambda row: row["id"])

    def moves(self) -> Counter[str]:
        """How often each server was moved, by id."""
        return Counter(row["instance_uuid"] for row in self.migrations() if row["status"] in ENDED_WELL)

    def inbound(self, host: str) -> list[dict[str, Any]]:
        """Migrations under way that bring something to a host."""
        return [row for row in self.migrations() if row["dest_compute"] == host and row["status"] in IN_FLIGHT]

    def _get(self, path: str) -> dict[str, Any]:
        answer = self._conn.compute.get(path, microversion=MICROVERSION)
        assert answer.status_code == 200, answer.text
        content: dict[str, Any] = answer.json()
        return content


def rename(lab: LabUnderTest, server: str, name: str) -> None:
    """Give a server another name, by which the faults file knows it."""
    answer = lab.conn.compute.put(f"/servers/{server}", json={"server": {"name": name}}, microversion=MICROVERSION)
    assert answer.status_code == 200, answer.text


def allow(lab: LabUnderTest, host: str, wanted: bool) -> None:
    """Let the scheduler, and so a drain's plan, place servers on a host, or keep them from it."""
    service = Look(lab).service(host)
    change = {"status": "enabled" if wanted else "disabled"}
    answer = lab.conn.compute.put(f"/os-services/{service['id']}", json=change, microversion=MICROVERSION)
    assert answer.status_code == 200, answer.text


def _server(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "host": row["OS-EXT-SRV-ATTR:host"],
        "status": row["status"],
        "task": row["OS-EXT-STS:task_state"],
        "row": row,
    }


def most_at_once(rows: Iterable[dict[str, Any]]) -> int:
    """How many of these migrations overlapped at most, by Nova's own times (whole seconds)."""
    events: list[tuple[datetime, int]] = []
    for row in rows:
        events.append((datetime.fromisoformat(row["created_at"]), 1))
        events.append((datetime.fromisoformat(row["updated_at"] or row["created_at"]), -1))
    now = most = 0
    for _moment, change in sorted(events):
        now += change
        most = max(most, now)
    return most


class ApiLog:
    """The log of Nova's API: which requests it has answered."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begin = 0
        self.restart()

    def restart(self) -> None:
        """Count from here on."""
        self._begin = self._path.stat().st_size

    def requests(self) -> list[str]:
        """`GET /v2.1/…` of every request since, but for what other services sent."""
        with self._path.open("rb") as file:
            file.seek(self._begin)
            text = file.read().decode(errors="replace")
        found = [f"{match[1]} {match[2]}" for match in REQUEST.finditer(text)]
        return [request for request in found if OTHERS not in request]
