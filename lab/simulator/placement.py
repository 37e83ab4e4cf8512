"""The simulated Placement: what each host offers, what is used, and who would have room for more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lab.simulator.protocol import Answer, HttpError, Request, Route, Service, asked_version
from lab.simulator.records import Host, Json
from lab.simulator.world import World

NEWEST = (1, 39)
DISABLED = "COMPUTE_STATUS_DISABLED"
"""The trait that Nova gives a host whose service is disabled or forced down."""
TITLES = {400: "Bad Request", 403: "Forbidden", 404: "Not Found", 406: "Not Acceptable"}


class Placement(Service):
    """Resource providers, one for each host, and allocation candidates."""

    name = "placement"
    root = "/placement"

    def __init__(self, world: World) -> None:
        self.world = world
        super().__init__()

    def table(self) -> Iterable[Route]:
        """Method, path and handler of every route."""
        provider = "/resource_providers/([^/]+)"
        return [
            ("GET", "", self._versions),
            ("GET", "/allocation_candidates", self._candidates),
            ("GET", "/resource_providers", self._providers),
            ("GET", provider + "/inventories", self._inventories),
            ("GET", provider + "/usages", self._usages),
            ("GET", provider + "/traits", self._traits),
            ("GET", provider + "/allocations", self._provider_allocations),
            ("GET", "/allocations/([^/]+)", self._allocations),
        ]

    def negotiate(self, request: Request) -> None:
        """Refuse a microversion that this Placement does not know."""
        asked = asked_version(request, "placement")
        if asked is not None and not (1, 0) <= asked <= NEWEST:
            raise HttpError(406, f"Unacceptable version header: {asked[0]}.{asked[1]}")
        request.version = asked or (1, 0)

    def error(self, error: HttpError) -> Json:
        """As Placement words it."""
        title = TITLES.get(error.status, "Error")
        return {"errors": [{"status": error.status, "title": title, "detail": error.message, "code": "undefined"}]}

    def _versions(self, request: Request) -> Answer:
        version = {"id": "v1.0", "min_version": "1.0", "max_version": f"{NEWEST[0]}.{NEWEST[1]}", "status": "CURRENT"}
        return Answer(200, {"versions": [version | {"links": [{"rel": "self", "href": ""}]}]})

    def _candidates(self, request: Request) -> Answer:
        request.only_admin("placement:allocation_candidates:list")
        wanted = self._wanted(request.query.get("resources", ""))
        required = {trait for trait in request.query.get("required", "").split(",") if trait}
        forbidden = {trait[1:] for trait in required if trait.startswith("!")}
        required = {trait for trait in required if not trait.startswith("!")}
        most = int(request.query.get("limit", 10**9))
        requests: list[Json] = []
        summaries: dict[str, Json] = {}
        for host in self.world.hosts.values():
            if len(requests) >= most:
                break
            traits = self._traits_of(host)
            if required <= traits and not forbidden & traits and self.world.allocations.fits(
                host.name, host.capacity, wanted
            ):  # fmt: skip
                requests.append({"allocations": {host.id: {"resources": wanted}}})
                summaries[host.id] = self._summary(host, traits)
        return Answer(200, {"allocation_requests": requests, "provider_summaries": summaries})

    def _wanted(self, text: str) -> dict[str, int]:
        if not text:
            raise HttpError(400, "Badly formed querystring: 'resources' is a required property")
        known = {kind for host in self.world.hosts.values() for kind in host.capacity}
        wanted = {}
        for item in text.split(","):
            kind, _, amount = item.partition(":")
            if not amount.isdigit():
                raise HttpError(400, f"Badly formed resources parameter. Got: {text}.")
            if kind not in known:
                raise HttpError(400, f"Invalid resource class in resources parameter: No such resource class {kind}.")
            wanted[kind] = int(amount)
        return wanted

    def _summary(self, host: Host, traits: set[str]) -> Json:
        used = self.world.allocations.used(host.name)
        return {
            "resources": {k: {"capacity": n, "used": used.get(k, 0)} for k, n in host.capacity.items()},
            "traits": sorted(traits),
            "parent_provider_uuid": None,
            "root_provider_uuid": host.id,
        }

    def _traits_of(self, host: Host) -> set[str]:
        return host.traits | ({DISABLED} if host.disabled or host.forced_down else set())

    def _providers(self, request: Request) -> Answer:
        request.only_admin("placement:resource_providers:list")
        name, uuid = request.query.get("name"), request.query.get("uuid")
        hosts = [host for host in self.world.hosts.values() if name in (None, host.name) and uuid in (None, host.id)]
        rows: list[Json] = [
            {"uuid": host.id, "name": host.name, "generation": 1, "root_provider_uuid": host.id,
             "parent_provider_uuid": None, "links": []}
            for host in hosts
        ]  # fmt: skip
        return Answer(200, {"resource_providers": rows})

    def _host(self, request: Request, provider: str) -> Host:
        request.only_admin("placement:resource_providers:show")
        for host in self.world.hosts.values():
            if host.id == provider:
                return host
        raise HttpError(404, f"No resource provider with uuid {provider} found")

    def _inventories(self, request: Request, provider: str) -> Answer:
        host = self._host(request, provider)
        inventories = {
            kind: {"total": n, "reserved": 0, "min_unit": 1, "max_unit": n, "step_size": 1, "allocation_ratio": 1.0}
            for kind, n in host.capacity.items()
        }
        return Answer(200, {"resource_provider_generation": 1, "inventories": inventories})

    def _usages(self, request: Request, provider: str) -> Answer:
        host = self._host(request, provider)
        used = self.world.allocations.used(host.name)
        usages = {kind: used.get(kind, 0) for kind in host.capacity}
        return Answer(200, {"resource_provider_generation": 1, "usages": usages})

    def _traits(self, request: Request, provider: str) -> Answer:
        traits = self._traits_of(self._host(request, provider))
        return Answer(200, {"resource_provider_generation": 1, "traits": sorted(traits)})

    def _provider_allocations(self, request: Request, provider: str) -> Answer:
        host = self._host(request, provider)
        found: dict[str, Any] = {
            consumer: {"resources": amounts, "consumer_generation": 1}
            for consumer, (there, amounts) in self.world.allocations.items()
            if there == host.name
        }
        return Answer(200, {"resource_provider_generation": 1, "allocations": found})

    def _allocations(self, request: Request, consumer: str) -> Answer:
        request.only_admin("placement:allocations:list")
        claim = self.world.allocations.get(consumer)
        if claim is None:
            return Answer(200, {"allocations": {}})
        host = self.world.hosts[claim[0]]
        held = {host.id: {"resources": claim[1], "generation": 1}}
        return Answer(200, {"allocations": held, "project_id": "admin", "user_id": "user", "consumer_generation": 1})
