"""Host aggregates in the simulated Nova: made, filled, and turned into availability zones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lab.simulator.protocol import Answer, HttpError, Request, Route
from lab.simulator.records import Aggregate
from lab.simulator.world import World

ZONE = "availability_zone"
DEFAULT = "nova"


class Aggregates:
    """os-aggregates. A host's zone is that of its aggregate with `availability_zone` in the metadata."""

    def __init__(self, world: World) -> None:
        self._world = world

    def table(self) -> Iterable[Route]:
        """Method, path and handler of every route."""
        return [
            ("GET", "/os-aggregates", self._list),
            ("POST", "/os-aggregates", self._create),
            ("GET", "/os-aggregates/(\\d+)", self._show),
            ("DELETE", "/os-aggregates/(\\d+)", self._delete),
            ("POST", "/os-aggregates/(\\d+)/action", self._act),
        ]

    def _list(self, request: Request) -> Answer:
        request.only_admin("os_compute_api:os-aggregates:index")
        zones: dict[str, list[str]] = {}
        made = {aggregate.metadata.get(ZONE) for aggregate in self._world.aggregates}
        for host in self._world.hosts.values():
            if host.zone != DEFAULT and host.zone not in made:
                zones.setdefault(host.zone, []).append(host.name)
        rows = [self._view(aggregate) for aggregate in self._world.aggregates]
        for number, zone in enumerate(zones):  # hosts that were added with their zone, and not by an aggregate
            rows.append(self._view(Aggregate(900 + number, zone, zones[zone], {ZONE: zone})))
        return Answer(200, {"aggregates": rows})

    def _view(self, aggregate: Aggregate) -> dict[str, Any]:
        return {
            "id": aggregate.id,
            "name": aggregate.name,
            "hosts": aggregate.hosts,
            "metadata": aggregate.metadata,
            "availability_zone": aggregate.metadata.get(ZONE),
        }

    def _find(self, request: Request, number: str) -> Aggregate:
        request.only_admin("os_compute_api:os-aggregates:show")
        found = next((aggregate for aggregate in self._world.aggregates if aggregate.id == int(number)), None)
        if found is None:
            raise HttpError(404, f"Aggregate {number} could not be found.")
        return found

    def _show(self, request: Request, number: str) -> Answer:
        return Answer(200, {"aggregate": self._view(self._find(request, number))})

    def _create(self, request: Request) -> Answer:
        request.only_admin("os_compute_api:os-aggregates:create")
        wish = request.body["aggregate"]
        if any(aggregate.name == wish["name"] for aggregate in self._world.aggregates):
            raise HttpError(409, f"Aggregate {wish['name']} already exists.")
        zone = wish.get(ZONE)
        number = max((aggregate.id for aggregate in self._world.aggregates), default=0) + 1
        aggregate = Aggregate(number, wish["name"], [], {ZONE: zone} if zone else {})
        self._world.aggregates.append(aggregate)
        return Answer(200, {"aggregate": self._view(aggregate)})

    def _delete(self, request: Request, number: str) -> Answer:
        aggregate = self._find(request, number)
        if aggregate.hosts:
            raise HttpError(400, f"Cannot remove aggregate {number}: Aggregate {number}: Host aggregate is not empty.")
        self._world.aggregates.remove(aggregate)
        return Answer(200)

    def _act(self, request: Request, number: str) -> Answer:
        aggregate = self._find(request, number)
        verb, details = next(iter(request.body.items()))
        if verb == "set_metadata":
            self._set_metadata(aggregate, details["metadata"])
        elif verb in ("add_host", "remove_host"):
            self._set_host(aggregate, verb, details["host"])
        else:
            raise HttpError(400, f"There is no such action: {verb}")
        return Answer(200, {"aggregate": self._view(aggregate)})

    def _set_metadata(self, aggregate: Aggregate, metadata: dict[str, str | None]) -> None:
        for key, value in metadata.items():
            if value is None:
                aggregate.metadata.pop(key, None)
            else:
                aggregate.metadata[key] = value
        self._rezone(aggregate.hosts)

    def _set_host(self, aggregate: Aggregate, verb: str, host: str) -> None:
        if host not in self._world.hosts:
            raise HttpError(404, f"Compute host {host} could not be found.")
        if verb == "add_host":
            if host in aggregate.hosts:
                raise HttpError(409, f"Cannot add host {host} in aggregate {aggregate.id}: already there.")
            aggregate.hosts.append(host)
        elif host in aggregate.hosts:
            aggregate.hosts.remove(host)
        else:
            raise HttpError(404, f"Cannot remove host {host} in aggregate {aggregate.id}: it is not there.")
        self._rezone([host])

    def _rezone(self, hosts: Iterable[str]) -> None:
        for host in hosts:
            zones = [a.metadata[ZONE] for a in self._world.aggregates if host in a.hosts and ZONE in a.metadata]
            self._world.hosts[host].zone = zones[0] if zones else DEFAULT
