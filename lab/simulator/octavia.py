"""The simulated Octavia: load balancers, their amphorae (which are servers), and the failover of one of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from lab.simulator.life import Life
from lab.simulator.protocol import Answer, HttpError, Request, Route, Service
from lab.simulator.records import Json, Server, new_id

BUILD = 5.0
"""Seconds until a new amphora has taken an old one's place."""
PROJECT = "octavia"
"""The project that all amphorae belong to."""


@dataclass(slots=True)
class Amphora:
    """A virtual machine that carries a load balancer."""

    id: str
    compute_id: str
    role: str
    """STANDALONE, MASTER or BACKUP."""
    balancer: str
    status: str = "ALLOCATED"


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
        """Ids of balancers whose failovers end in ERROR."""
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
            amphora = Amphora(new_id(), "", role, balancer.id)
            amphora.compute_id = self._server(amphora.id, host).id
            self.amphorae[amphora.id] = amphora
        return balancer

    def _server(self, amphora: str, host: str) -> Server:
        time = self.world.time
        uses = {"VCPU": 1, "MEMORY_MB": 1024, "DISK_GB": 2}
        server = Server(new_id(), f"amphora-{amphora}", host, PROJECT, time, time, uses=uses, flavor="amphora")
        self.world.servers.add(server)
        self.world.allocations[server.id] = (host, uses)
        return server

    # -- answers ----------------------------------------------------------------------------------------------

    def _versions(self, request: Request) -> Answer:
        versions = [
            {"id": id, "status": status, "links": [{"rel": "self", "href": f"{request.base}{self.root}/v2"}]}
            for id, status in (("v2.0", "SUPPORTED"), ("v2.27", "CURRENT"))
        ]
        return Answer(200, {"versions": versions})

    def _balancers(self, request: Request) -> Answer:
        rows = [self._balancer_view(balancer) for balancer in self.balancers.values()]
        return Answer(200, {"loadbalancers": [row for row in rows if _fits(row, request)]})

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
        return Answer(200, {"amphorae": [row for row in rows if _fits(row, request)]})

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
        balancer = self._begin(self._find(amphora.balancer))
        self.world.act("amphora-failover", amphora.compute_id, None)
        self._replace(balancer, [amphora])
        return Answer(202)

    def _fail_balancer_over(self, request: Request, id: str) -> Answer:
        self._admin(request)
        balancer = self._begin(self._find(id))
        self.world.act("balancer-failover", balancer.id, None)
        order = {"BACKUP": 0, "STANDALONE": 1, "MASTER": 2}
        found = [amphora for amphora in self.amphorae.values() if amphora.balancer == id]
        self._replace(balancer, sorted(found, key=lambda amphora: order.get(amphora.role, 3)))
        return Answer(202)

    def _begin(self, balancer: Balancer) -> Balancer:
        if balancer.provisioning not in ("ACTIVE", "ERROR"):
            raise HttpError(409, f"Load Balancer {balancer.id} is immutable and cannot be updated.")
        balancer.provisioning = "PENDING_UPDATE"
        return balancer

    def _replace(self, balancer: Balancer, left: list[Amphora]) -> None:
        """One after the other gets a new server on another host; the old one's roles go over to the new one."""
        if not left:
            balancer.provisioning = "ACTIVE"
            return
        old, *rest = left
        server = self.world.servers.get(old.compute_id)
        target = self.world.select(server, None) if server is not None else None

        def built() -> None:
            if server is None or target is None or balancer.id in self.failing:
                balancer.provisioning = "ERROR"
                return
            new = Amphora(new_id(), "", old.role, balancer.id)
            new.compute_id = self._server(new.id, target).id
            self.amphorae[new.id] = new
            del self.amphorae[old.id]
            self.world.remove(server)
            self._replace(balancer, rest)

        self.world.after(BUILD, built)


def _fits(row: dict[str, Any], request: Request) -> bool:
    return all(str(row[name]) == wanted for name, wanted in request.query.items() if name in row)
