"""The simulated Octavia: load balancers, their amphorae (which are servers), and the failover of one of them.

Read in Octavia's code of August 2026, never seen running: the controllers of amphorae and load balancers (which
statuses they take, and their answers), `AmphoraFlows.get_failover_amphora_flow` (what happens in which order), and
`ControllerWorker.failover_amphora` (what is left behind when it fails).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from lab.simulator.life import Life
from lab.simulator.protocol import Answer, HttpError, Request, Route, Service, page
from lab.simulator.records import Json, Server, new_id

BUILD = 5.0
"""Seconds until a new amphora has taken an old one's place, whose server is deleted then."""
CONFIGURE = 2.0
"""Seconds more until both amphorae know of each other and the load balancer is ACTIVE again."""
PROJECT = "octavia"
"""The project that all amphorae belong to."""
UNLIMITED = 10**6
"""Entries of a page; by default Octavia's own limit is infinite."""


@dataclass(slots=True)
class Amphora:
    """A virtual machine that carries a load balancer."""

    id: str
    compute_id: str
    role: str | None
    """STANDALONE, MASTER or BACKUP; None while it is made."""
    balancer: str | None
    """None of a spare one, which releases before 2021 (Wallaby) made."""
    status: str = "ALLOCATED"
    """PENDING_CREATE, BOOTING, ALLOCATED, READY (a spare), PENDING_DELETE or ERROR; deleted ones are not shown."""


@dataclass(slots=True)
class Balancer:
    """A load balancer; while it changes it is PENDING_UPDATE, and nothing else may be asked of it."""

    id: str
    name: str
    project: str
    provisioning: str = "ACTIVE"
    operating: str = "ONLINE"
    topology: str = "ACTIVE_STANDBY"
    details: dict[str, Any] = field(default_factory=dict)


class Octavia(Service):
    """The load balancer API, v2."""

    name = "load-balancer"
    root = "/load-balancer"

    def __init__(self, world: Life) -> None:
        self.world = world
        self.balancers: dict[str, Balancer] = {}
        self.amphorae: dict[str, Amphora] = {}
        self.failing: set[str] = set()
        """Ids of balancers for which no new amphora can be built: their failovers end in ERROR."""
        self.misconfiguring: set[str] = set()
        """Ids of balancers whose failovers end in ERROR after the old amphora is gone."""
        super().__init__()

    def table(self) -> Iterable[Route]:
        """Method, path and handler of every route."""
        v2, balancer = "/v2(?:\\.0)?", "/lbaas/loadbalancers/([^/]+)"
        amphora = v2 + "/octavia/amphorae/([^/]+)"
        return [
            ("GET", "", self._versions),
            ("GET", v2 + "/lbaas/loadbalancers", self._balancers),
            ("GET", v2 + balancer, self._balancer),
            ("PUT", v2 + balancer + "/failover", self._fail_balancer_over),
            ("GET", v2 + "/octavia/amphorae", self._amphorae),
            ("GET", amphora, self._amphora),
            ("PUT", amphora + "/failover", self._fail_over),
        ]

    def error(self, error: HttpError) -> Json:
        """As Octavia words it."""
        return {"faultcode": "Client" if error.status < 500 else "Server", "faultstring": error.message,
                "debuginfo": None}  # fmt: skip

    # -- setting up -------------------------------------------------------------------------------------------

    def add_balancer(self, name: str, hosts: dict[str, str], project: str = "project") -> Balancer:
        """Add a load balancer with an amphora for each role: {"MASTER": "cmp01", "BACKUP": "cmp02"}."""
        topology = "SINGLE" if "STANDALONE" in hosts else "ACTIVE_STANDBY"
        balancer = Balancer(new_id(), name, project, topology=topology)
        self.balancers[balancer.id] = balancer
        for role, host in hosts.items():
            self._add(Amphora(new_id(), "", role, balancer.id), host)
        return balancer

    def add_spare(self, host: str) -> Amphora:
        """Add an amphora that carries nothing yet."""
        return self._add(Amphora(new_id(), "", None, None, "READY"), host)

    def _add(self, amphora: Amphora, host: str) -> Amphora:
        server = self._server(amphora.id)
        server.host = host
        self.world.servers.add(server)
        self.world.allocations[server.id] = (host, server.uses)
        amphora.compute_id = server.id
        self.amphorae[amphora.id] = amphora
        return amphora

    def _server(self, amphora: str) -> Server:
        """The server of an amphora, which is not in the cloud yet; Octavia gives each one a config drive."""
        time = self.world.time
        uses = {"VCPU": 1, "MEMORY_MB": 1024, "DISK_GB": 2}
        name = f"amphora-{amphora}"
        return Server(new_id(), name, None, PROJECT, time, time, uses=uses, flavor="amphora", config_drive=True)

    # -- answers ----------------------------------------------------------------------------------------------

    def _versions(self, request: Request) -> Answer:
        versions = [
            {"id": id, "status": status, "links": [{"rel": "self", "href": f"{request.base}{self.root}/v2"}]}
            for id, status in (("v2.0", "SUPPORTED"), ("v2.30", "CURRENT"))
        ]
        return Answer(200, {"versions": versions})

    def _balancers(self, request: Request) -> Answer:
        rows = [self._balancer_view(balancer) for balancer in self.balancers.values()]
        return Answer(200, _page(request, self.root, "loadbalancers", rows))

    def _balancer(self, request: Request, id: str) -> Answer:
        return Answer(200, {"loadbalancer": self._balancer_view(self._find(id))})

    def _find(self, id: str) -> Balancer:
        if id not in self.balancers:
            raise HttpError(404, f"Load Balancer {id} not found.")
        return self.balancers[id]

    def _balancer_view(self, balancer: Balancer) -> dict[str, Any]:
        return {
            "id": balancer.id,
            "name": balancer.name,
            "project_id": balancer.project,
            "provisioning_status": balancer.provisioning,
            "operating_status": balancer.operating,
            "provider": "amphora",
            "admin_state_up": True,
        }

    def _amphorae(self, request: Request) -> Answer:
        self._admin(request)
        rows = [self._amphora_view(amphora) for amphora in self.amphorae.values()]
        return Answer(200, _page(request, self.root, "amphorae", rows))

    def _amphora(self, request: Request, id: str) -> Answer:
        self._admin(request)
        return Answer(200, {"amphora": self._amphora_view(self._find_amphora(id))})

    def _find_amphora(self, id: str) -> Amphora:
        if id not in self.amphorae:
            raise HttpError(404, f"Amphora {id} not found.")
        return self.amphorae[id]

    def _amphora_view(self, amphora: Amphora) -> dict[str, Any]:
        return {
            "id": amphora.id,
            "compute_id": amphora.compute_id,
            "loadbalancer_id": amphora.balancer,
            "role": amphora.role,
            "status": amphora.status,
            "cached_zone": "nova",
        }

    def _admin(self, request: Request) -> None:
        if request.caller is None or not request.caller.admin:
            raise HttpError(403, "Policy does not allow this request to be performed.")

    # -- failover ---------------------------------------------------------------------------------------------

    def _fail_over(self, request: Request, id: str) -> Answer:
        self._admin(request)
        amphora = self._find_amphora(id)
        if amphora.balancer is None:  # Octavia looks for its load balancer's project, and falls over
            raise HttpError(500, "'NoneType' object has no attribute 'project_id'")
        balancer = self._begin(self._find(amphora.balancer), ("ACTIVE",))
        self.world.act("amphora-failover", amphora.compute_id, None)
        self._replace(balancer, [amphora])
        return Answer(202)

    def _fail_balancer_over(self, request: Request, id: str) -> Answer:
        self._admin(request)
        balancer = self._begin(self._find(id), ("ACTIVE", "ERROR"))
        self.world.act("balancer-failover", balancer.id, None)
        order = {"BACKUP": 0, "STANDALONE": 1, "MASTER": 2}
        found = [amphora for amphora in self.amphorae.values() if amphora.balancer == id]
        self._replace(balancer, sorted(found, key=lambda amphora: order.get(amphora.role or "", 3)))
        return Answer(202)

    def _begin(self, balancer: Balancer, allowed: tuple[str, ...]) -> Balancer:
        """A whole load balancer is failed over from ERROR too, a single amphora only when its balancer is ACTIVE."""
        if balancer.provisioning not in allowed:
            raise HttpError(409, f"Load Balancer {balancer.id} is immutable and cannot be updated.")
        balancer.provisioning = "PENDING_UPDATE"
        return balancer

    def heal(self, amphora: str) -> None:
        """Octavia's health manager has missed an amphora, and fails it over by itself."""
        self.world.settle()
        found = self.amphorae[amphora]
        self._replace(self._begin(self.balancers[found.balancer or ""], ("ACTIVE", "ERROR")), [found])

    def _replace(self, balancer: Balancer, left: list[Amphora]) -> None:
        """One after the other gets a new server; the old one is deleted when the new one is there, not before."""
        if not left:
            balancer.provisioning = "ACTIVE"
            return
        old, *rest = left
        old.status = "PENDING_DELETE"
        server = self._server(new_id())
        target = self.world.select(server, None)
        if target is None or balancer.id in self.failing:
            self.world.after(BUILD, lambda: self._fail(balancer, old))
            return
        new = Amphora(server.name.removeprefix("amphora-"), server.id, None, balancer.id, "BOOTING")
        server.host = target
        self.world.servers.add(server)
        self.world.allocations[server.id] = (target, server.uses)
        self.amphorae[new.id] = new

        def built() -> None:
            new.role, new.status = old.role, "ALLOCATED"
            del self.amphorae[old.id]
            if (gone := self.world.servers.get(old.compute_id)) is not None:
                self.world.remove(gone)
            self.world.after(CONFIGURE, configured)

        def configured() -> None:
            if balancer.id in self.misconfiguring:
                balancer.provisioning = "ERROR"
            else:
                self._replace(balancer, rest)

        self.world.after(BUILD, built)

    def _fail(self, balancer: Balancer, old: Amphora) -> None:
        """No new amphora could be built: the old one goes on, in ERROR as its load balancer."""
        balancer.provisioning = old.status = "ERROR"


def _page(request: Request, root: str, key: str, rows: list[dict[str, Any]]) -> Json:
    """A page of a list, filtered."""
    fits = [row for row in rows if all(str(row[k]) == v for k, v in request.query.items() if k in row)]
    return page(request, root, key, fits, lambda row: str(row["id"]), lambda row: row, most=UNLIMITED)
