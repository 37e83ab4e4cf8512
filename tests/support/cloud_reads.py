"""What the double's Keystone, Nova and Placement answer to questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.cloud_model import (
    FakeAction,
    FakeHost,
    FakeServer,
    migration_view,
    progress_view,
    server_view,
    stamp,
)
from tests.support.cloud_moves import Moves

BASE = "http://cloud.test"
IN_PROGRESS = frozenset({"queued", "preparing", "running", "post-migrating"})
Answer = tuple[int, Any]
Query = dict[str, str]
Routes = list[tuple[str, str, Callable[..., Answer]]]
SERVER = "/compute/v2.1/servers/([^/]+)"


class HttpError(Exception):
    """An error answer, in Nova's form."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Reads:
    """The answers to GET, and to the request for a token."""

    def __init__(self, world: Moves, *, newest: str, page: int) -> None:
        self.world = world
        self.newest = newest
        self.page = page
        self.password = "secret"

    def table(self) -> Routes:
        """Method, path and handler of every route."""
        return [
            ("GET", "/identity(?:/v3)?", self._identity),
            ("POST", "/identity/v3/auth/tokens", self._token),
            ("GET", "/compute/v2.1", self._discovery),
            ("GET", "/compute/v2.1/os-services", self._services),
            ("GET", "/compute/v2.1/os-hypervisors/detail", self._hypervisors),
            ("GET", "/compute/v2.1/servers/detail", self._servers),
            ("GET", "/compute/v2.1/os-server-groups", self._groups),
            ("GET", "/compute/v2.1/os-aggregates", self._aggregates),
            ("GET", "/compute/v2.1/os-migrations", self._migrations),
            ("GET", SERVER, self._server),
            ("GET", SERVER + "/migrations", self._progress),
            ("GET", SERVER + "/os-instance-actions", self._actions),
            ("GET", SERVER + "/os-instance-actions/([^/]+)", self._action),
            ("GET", "/placement/allocation_candidates", self._candidates),
        ]

    # -- Keystone and versions --------------------------------------------------------------------------------

    def _identity(self, *_: Any) -> Answer:
        link = [{"rel": "self", "href": f"{BASE}/identity/v3/"}]
        return 200, {"version": {"id": "v3.14", "status": "stable", "links": link}}

    def _token(self, query: Query, body: Any, version: Any) -> Answer:
        if body["auth"]["identity"]["password"]["user"]["password"] != self.password:
            raise HttpError(401, "The request you have made requires authentication.")
        entries = [
            {
                "type": kind,
                "name": kind,
                "id": kind,
                "endpoints": [{"id": kind, "interface": "public", "region": "R", "region_id": "R", "url": BASE + path}],
            }
            for kind, path in {
                "identity": "/identity/v3",
                "compute": "/compute/v2.1",
                "placement": "/placement",
            }.items()
        ]
        user = {"id": "u", "name": "admin", "domain": {"id": "default", "name": "Default"}}
        return 201, {
            "token": {
                "methods": ["password"],
                "user": user,
                "expires_at": (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                "issued_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                "project": {"id": "p", "name": "admin", "domain": user["domain"]},
                "roles": [{"id": "r", "name": "admin"}],
                "catalog": entries,
            }
        }

    def _discovery(self, *_: Any) -> Answer:
        return 200, {
            "version": {
                "id": "v2.1",
                "status": "CURRENT",
                "version": self.newest,
                "min_version": "2.1",
                "links": [{"rel": "self", "href": f"{BASE}/compute/v2.1/"}],
            }
        }

    # -- services and hosts -----------------------------------------------------------------------------------

    def _services(self, query: Query, *_: Any) -> Answer:
        rows = [self._service(host) for host in self.world.hosts.values() if query.get("host") in (None, host.name)]
        if query.get("binary") is None:
            rows.append({**rows[0], "binary": "nova-conductor", "zone": "internal"})
        return 200, {"services": rows}

    def _service(self, host: FakeHost) -> dict[str, Any]:
        return {
            "binary": "nova-compute",
            "host": host.name,
            "id": host.service_id,
            "zone": host.zone,
            "status": "disabled" if host.disabled else "enabled",
            "state": "up" if host.up else "down",
            "updated_at": stamp(self.world.time),
            "disabled_reason": host.disabled_reason,
            "forced_down": host.forced_down,
        }

    def _hypervisors(self, query: Query, *_: Any) -> Answer:
        counts = Counter(server.host for server in self.world.servers.values())
        rows = [
            {
                "id": host.id,
                "hypervisor_hostname": host.name,
                "state": "up" if host.up else "down",
                "status": "disabled" if host.disabled else "enabled",
                "hypervisor_type": "fake",
                "host_ip": "127.0.0.1",
                "running_vms": counts[host.name],
                "service": {
                    "id": host.service_id,
                    "host": host.name,
                    "disabled_reason": host.disabled_reason,
                },
            }
            for host in self.world.hosts.values()
        ]
        return 200, self._paged("hypervisors", rows, query, "/compute/v2.1/os-hypervisors/detail", "id")

    def _aggregates(self, *_: Any) -> Answer:
        zones: dict[str, list[str]] = {}
        for host in self.world.hosts.values():
            if host.zone != "nova":
                zones.setdefault(host.zone, []).append(host.name)
        rows = [{"id": a.id, "name": a.name, "hosts": a.hosts, "metadata": a.metadata} for a in self.world.aggregates]
        for number, zone in enumerate(zones):
            metadata = {"availability_zone": zone}
            rows.append({"id": 900 + number, "name": zone, "hosts": zones[zone], "metadata": metadata})
        return 200, {"aggregates": rows}

    def _candidates(self, query: Query, *_: Any) -> Answer:
        kind, amount = query["resources"].split(":")
        usages, summaries, requests_ = self.world.usages(), {}, []
        for host in self.world.hosts.values():
            used = usages.get(host.name, {})
            if host.capacity.get(kind, 0) - used.get(kind, 0) < int(amount):
                continue
            requests_.append({"allocations": {host.id: {"resources": {kind: int(amount)}}}, "mappings": {}})
            summaries[host.id] = {
                "resources": {k: {"capacity": n, "used": used.get(k, 0)} for k, n in host.capacity.items()},
                "traits": sorted(host.traits | ({"COMPUTE_STATUS_DISABLED"} if host.disabled else set())),
                "parent_provider_uuid": None,
                "root_provider_uuid": host.id,
            }
        return 200, {"allocation_requests": requests_, "provider_summaries": summaries}

    # -- servers, groups and migrations -----------------------------------------------------------------------

    def _servers(self, query: Query, body: Any, version: tuple[int, int]) -> Answer:
        since = query.get("changes-since")
        rows = [*self.world.servers.values(), *(self.world.deleted.values() if since else ())]
        rows = [
            server
            for server in rows
            if query.get("host") in (None, server.host)
            and query.get("project_id", query.get("tenant_id")) in (None, server.project)
            and query.get("status") in (None, server.status)
            and (since is None or server.updated >= _time(since))
        ]
        views = [self._view(server, version) for server in rows]
        return 200, self._paged("servers", views, query, "/compute/v2.1/servers/detail", "id")

    def _view(self, server: FakeServer, version: tuple[int, int]) -> dict[str, Any]:
        zone = self.world.hosts[server.host].zone if server.host in self.world.hosts else ""
        return server_view(server, zone, version)

    def _server(self, query: Query, body: Any, version: tuple[int, int], server: str) -> Answer:
        return 200, {"server": self._view(self._find(server), version)}

    def _find(self, server: str) -> FakeServer:
        if server not in self.world.servers:
            raise HttpError(404, f"Instance {server} could not be found.")
        return self.world.servers[server]

    def _groups(self, query: Query, *_: Any) -> Answer:
        rows = [
            {
                "id": group.id,
                "name": group.name,
                "policy": group.policy,
                "rules": {"max_server_per_host": group.max_per_host} if group.max_per_host > 1 else {},
                "members": [member for member in group.members if member in self.world.servers],
                "project_id": group.project,
                "user_id": "user",
            }
            for group in self.world.groups.values()
        ]
        offset, limit = int(query.get("offset", 0)), min(int(query.get("limit", self.page)), self.page)
        return 200, {"server_groups": rows[offset : offset + limit]}

    def _migrations(self, query: Query, *_: Any) -> Answer:
        since = query.get("changes-since")
        rows = [
            migration_view(row)
            for row in sorted(self.world.migrations.values(), key=lambda row: -row.id)
            if query.get("host") in (None, row.source, row.target)
            and query.get("status") in (None, row.status)
            and (since is None or row.updated >= _time(since))
        ]
        return 200, self._paged("migrations", rows, query, "/compute/v2.1/os-migrations", "uuid")

    def _paged(self, key: str, rows: list[dict[str, Any]], query: Query, path: str, mark: str) -> dict[str, Any]:
        limit = min(int(query.get("limit", self.page)), self.page)
        if "marker" in query:
            at = next((n for n, row in enumerate(rows) if row[mark] == query["marker"]), None)
            if at is None:
                raise HttpError(400, f"marker [{query['marker']}] not found")
            rows = rows[at + 1 :]
        document: dict[str, Any] = {key: rows[:limit]}
        if len(rows) >= limit and rows:
            rest = "&".join(f"{name}={value}" for name, value in query.items() if name not in ("marker", "limit"))
            more = f"{BASE}{path}?{rest}&limit={limit}&marker={rows[limit - 1][mark]}"
            document[f"{key}_links"] = [{"rel": "next", "href": more}]
        return document

    def _progress(self, query: Query, body: Any, version: Any, server: str) -> Answer:
        self._find(server)
        rows = [
            progress_view(row, self.world.time)
            for row in self.world.migrations.values()
            if row.server == server and row.kind == "live-migration" and row.status in IN_PROGRESS
        ]
        return 200, {"migrations": rows}

    def _actions(self, query: Query, body: Any, version: Any, server: str) -> Answer:
        since = query.get("changes-since")
        rows = [
            _action_view(action, server)
            for action in reversed(self.world.actions.get(server, []))
            if since is None or action.updated >= _time(since)
        ]
        return 200, {"instanceActions": rows}

    def _action(self, query: Query, body: Any, version: Any, server: str, request: str) -> Answer:
        for action in self.world.actions.get(server, []):
            if action.request_id == request:
                events = [
                    {
                        "event": event.event,
                        "start_time": stamp(event.start),
                        "finish_time": stamp(event.start),
                        "result": event.result,
                        "traceback": "  File …\n    raise result\n" if event.details else None,
                        "host": "controller",
                        "hostId": "",
                        **({"details": event.details} if version >= (2, 84) else {}),
                    }
                    for event in reversed(action.events)
                ]
                return 200, {"instanceAction": {**_action_view(action, server), "events": events}}
        raise HttpError(404, f"Action {request} not found")


def _action_view(action: FakeAction, server: str) -> dict[str, Any]:
    return {
        "action": action.action,
        "instance_uuid": server,
        "request_id": action.request_id,
        "user_id": "user",
        "project_id": "project",
        "start_time": stamp(action.start),
        "message": action.message,
        "updated_at": stamp(action.updated),
    }


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return time if time.tzinfo else time.replace(tzinfo=UTC)
