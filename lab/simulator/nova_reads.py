"""What the simulated Nova answers to questions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from lab.simulator.aggregates import Aggregates
from lab.simulator.life import Life
from lab.simulator.protocol import (
    Answer,
    HttpError,
    Request,
    Route,
    Service,
    asked_version,
    limit_of,
    page,
    time_of,
)
from lab.simulator.records import Host, Json, Migration, Server
from lab.simulator.views import (
    action_view,
    events_view,
    group_view,
    hypervisor_view,
    migration_view,
    progress_view,
    server_view,
    service_view,
    shown,
)

IN_PROGRESS = frozenset({"queued", "preparing", "running", "post-migrating"})
OLDEST = (2, 1)
SERVER = "/servers/([^/]+)"
FLAVORS = {"small": (1, 512, 1), "medium": (2, 4096, 10), "large": (8, 32768, 80)}
"""vCPUs, MB and GB of the flavors that the lab has as well."""
FORMS = {400: "badRequest", 401: "error", 403: "forbidden", 404: "itemNotFound", 409: "conflictingRequest"}
"""Nova's name for an error's document, by status."""


class NovaReads(Service):
    """The answers to GET."""

    name = "compute"
    root = "/compute/v2.1"

    def __init__(self, world: Life, *, newest: str, page: int) -> None:
        self.world = world
        self.newest = newest
        self.page = page
        super().__init__()

    def table(self) -> Iterable[Route]:
        """Method, path and handler of every route."""
        return [
            ("GET", "", self._discovery),
            ("GET", "/os-services", self._services),
            ("GET", "/os-hypervisors/detail", self._hypervisors),
            ("GET", "/servers/detail", self._servers),
            ("GET", "/servers", self._servers_brief),
            ("GET", "/flavors", self._flavors),
            ("GET", "/flavors/detail", self._flavors),
            ("GET", "/os-server-groups", self._groups),
            ("GET", "/os-server-groups/([^/]+)", self._group),
            *Aggregates(self.world).table(),
            ("GET", "/os-migrations", self._migrations),
            ("GET", SERVER, self._server),
            ("GET", SERVER + "/migrations", self._progress),
            ("GET", SERVER + "/os-instance-actions", self._actions),
            ("GET", SERVER + "/os-instance-actions/([^/]+)", self._action),
        ]

    def negotiate(self, request: Request) -> None:
        """Refuse a microversion that this Nova does not know."""
        asked = asked_version(request, "compute")
        newest = self.newest_version
        if asked is not None and not OLDEST <= asked <= newest:
            raise HttpError(
                406,
                f"Version {asked[0]}.{asked[1]} is not supported by the API. Minimum is 2.1 and maximum is "
                f"{self.newest}.",
            )
        request.version = asked or OLDEST

    @property
    def newest_version(self) -> tuple[int, int]:
        """The newest microversion as numbers."""
        major, minor = self.newest.split(".")
        return int(major), int(minor)

    def error(self, error: HttpError) -> Json:
        """As Nova words it."""
        return {FORMS.get(error.status, "computeFault"): {"code": error.status, "message": error.message}}

    def _discovery(self, request: Request) -> Answer:
        version = {
            "id": "v2.1",
            "status": "CURRENT",
            "version": self.newest,
            "min_version": "2.1",
            "links": [{"rel": "self", "href": f"{request.base}{self.root}/"}],
        }
        return Answer(200, {"version": version})

    # -- services and hosts -----------------------------------------------------------------------------------

    def _services(self, request: Request) -> Answer:
        request.only_admin("os_compute_api:os-services:list")
        query, version = request.query, request.version
        rows = []
        if query.get("binary") != "nova-compute" and query.get("host") is None:
            controller = Host("controller", {}, "internal", id="0" * 36, service_id="0" * 8)
            for binary in ("nova-conductor", "nova-scheduler"):
                if query.get("binary") in (None, binary):
                    rows.append(service_view(controller, self.world.time, version) | {"binary": binary})
        if query.get("binary") in (None, "nova-compute"):
            named = query.get("host")
            hosts = self.world.hosts.values() if named is None else filter(None, [self.world.hosts.get(named)])
            rows += [service_view(host, self.world.time, version) for host in hosts]
        return Answer(200, {"services": rows})

    def _hypervisors(self, request: Request) -> Answer:
        request.only_admin("os_compute_api:os-hypervisors:list-detail")

        def view(host: Host) -> dict[str, Any]:
            entry = hypervisor_view(host, self.world.servers.count_on(host.name))
            if request.query.get("with_servers", "").lower() in ("true", "1"):
                entry["servers"] = [{"uuid": s.id, "name": s.name} for s in self.world.servers.on(host.name)]
            return entry

        hosts = self.world.hosts.values()
        return Answer(200, self._page(request, "hypervisors", hosts, lambda host: host.id, view))

    def _flavors(self, request: Request) -> Answer:
        rows = [{"id": name, "name": name, "vcpus": v, "ram": m, "disk": d} for name, (v, m, d) in FLAVORS.items()]
        return Answer(200, {"flavors": rows})

    # -- servers ----------------------------------------------------------------------------------------------

    def _servers(self, request: Request) -> Answer:
        rows = self._listed(request)
        return Answer(200, self._page(request, "servers", rows, lambda s: s.id, lambda s: self._view(s, request)))

    def _servers_brief(self, request: Request) -> Answer:
        rows = self._listed(request)
        return Answer(200, self._page(request, "servers", rows, lambda s: s.id, lambda s: {"id": s.id, "name": s.name}))

    def _listed(self, request: Request) -> Iterator[Server]:
        """The servers that the query is about, newest first."""
        query, caller = request.query, request.caller
        whole = "all_tenants" in query
        if whole:
            request.only_admin("os_compute_api:servers:detail:get_all_tenants")
        own = caller.project if caller is not None else ""
        project = query.get("project_id", query.get("tenant_id")) if whole else own
        since, before = time_of(query, "changes-since"), time_of(query, "changes-before")
        if since is not None:
            rows: Iterable[Server] = self.world.servers.since(since, self.world.deleted)
        elif "host" in query:
            rows = self.world.servers.on(query["host"])
        elif project is not None:
            rows = self.world.servers.of(project)
        else:
            rows = self._from_marker(query.get("marker"))
        for server in rows:
            if (
                query.get("host") in (None, server.host)
                and project in (None, server.project)
                and query.get("status") in (None, server.status, shown(server))
                and query.get("name", "") in server.name
                and (before is None or server.updated <= before)
            ):
                yield server

    def _from_marker(self, marker: str | None) -> Iterator[Server]:
        """All servers, on from the marker: a page does not walk through those before it."""
        known = self.world.servers.get(marker) if marker else None
        return self.world.servers.newest_first(known.number + 1 if known else None)

    def _view(self, server: Server, request: Request) -> dict[str, Any]:
        zone = self.world.hosts[server.host].zone if server.host in self.world.hosts else ""
        return server_view(server, zone, request.version)

    def _server(self, request: Request, server: str) -> Answer:
        return Answer(200, {"server": self._view(self.find(request, server), request)})

    def find(self, request: Request, server: str) -> Server:
        """The server of this id, if the caller may see it.

        Raises:
            HttpError: 404.
        """
        found, caller = self.world.servers.get(server), request.caller
        if found is None or caller is None or not (caller.admin or caller.project == found.project):
            raise HttpError(404, f"Instance {server} could not be found.")
        return found

    def _groups(self, request: Request) -> Answer:
        limit = limit_of(request.query, self.page)
        offset = int(request.query.get("offset", 0))
        groups = list(self.world.groups.values())[offset : offset + limit]
        return Answer(200, {"server_groups": [self._group_view(group.id, request) for group in groups]})

    def _group(self, request: Request, group: str) -> Answer:
        return Answer(200, {"server_group": self._group_view(group, request)})

    def _group_view(self, id: str, request: Request) -> dict[str, Any]:
        group = self.world.groups.get(id)
        if group is None:
            raise HttpError(404, f"Instance group {id} could not be found.")
        return group_view(group, [m for m in group.members if m in self.world.servers], request.version)

    # -- migrations and actions -------------------------------------------------------------------------------

    def _migrations(self, request: Request) -> Answer:
        request.only_admin("os_compute_api:os-migrations:index")
        query, version = request.query, request.version
        since, before = time_of(query, "changes-since"), time_of(query, "changes-before")
        server = query.get("instance_uuid")
        rows = self.world.migrations_of.get(server, []) if server else self.world.migrations.values()
        found = (
            row
            for row in reversed(rows)
            if query.get("host") in (None, row.source, row.target)
            and query.get("source_compute") in (None, row.source)
            and query.get("status") in (None, row.status)
            and query.get("migration_type") in (None, row.kind)
            and (since is None or row.updated >= since)
            and (before is None or row.updated <= before)
        )
        if version < (2, 59):
            return Answer(200, {"migrations": [migration_view(row, version) for row in found]})

        def view(row: Migration) -> dict[str, Any]:
            return migration_view(row, version)

        unknown = "Marker {} could not be found."
        return Answer(200, self._page(request, "migrations", found, lambda row: row.uuid, view, unknown))

    def _page(self, request: Request, key: str, rows: Any, mark: Any, view: Any, unknown: str | None = None) -> Json:
        unknown = unknown or "marker [{}] not found"
        return page(request, self.root, key, rows, mark, view, most=self.page, unknown=unknown)

    def _progress(self, request: Request, server: str) -> Answer:
        self.find(request, server)
        rows = [
            progress_view(row, self.world.time, request.version)
            for row in self.world.migrations_of.get(server, ())
            if row.kind == "live-migration" and row.status in IN_PROGRESS
        ]
        return Answer(200, {"migrations": rows})

    def _actions(self, request: Request, server: str) -> Answer:
        project = self._even_deleted(request, server).project
        since = time_of(request.query, "changes-since")
        rows = [
            action_view(action, server, project)
            for action in reversed(self.world.actions.get(server, []))
            if since is None or action.updated >= since
        ]
        return Answer(200, {"instanceActions": rows[: limit_of(request.query, self.page)]})

    def _action(self, request: Request, server: str, number: str) -> Answer:
        project = self._even_deleted(request, server).project
        for action in self.world.actions.get(server, []):
            if action.request_id == number:
                events = events_view(action, request.version)
                return Answer(200, {"instanceAction": {**action_view(action, server, project), "events": events}})
        raise HttpError(404, f"Action {number} not found")

    def _even_deleted(self, request: Request, server: str) -> Server:
        """Actions are told of deleted servers too (2.21)."""
        return self.world.deleted.get(server) or self.find(request, server)
