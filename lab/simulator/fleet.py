"""Loads a fleet snapshot (`drover.fleet/1`) into the simulated cloud."""

from __future__ import annotations

import gc
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import LabError
from lab.simulator.records import NOTHING, Amounts, Host, Server

if TYPE_CHECKING:
    from lab.simulator.cloud import SimulatedCloud

FORMAT = "drover.fleet/1"
AGE = timedelta(days=30)
"""How long ago the fleet's servers were made."""
KINDS = {"vcpus": "VCPU", "memory_mb": "MEMORY_MB", "disk_gb": "DISK_GB"}
SPACE = uuid.UUID("5a6e1c1e-0000-4000-8000-00000000f1ee")
NOT_ACCEPTING = "the fleet says that it accepts no servers"
STUCK = {"PCI passthrough device": {"pci_passthrough:alias": "gpu:1"}}
"""Extra specs that a server gets for the reason why it can't move, so that Drover finds the reason by itself."""


def load(cloud: SimulatedCloud, path: Path) -> None:
    """Read a snapshot, and fill the cloud with it.

    A host's aggregates become Nova's, its zone its availability zone, a server's demands its pinned zone and the
    traits in its flavor; a demand for an aggregate becomes a demand for metadata that this aggregate has. Groups become
    server groups; pairs have no counterpart in OpenStack and are put into the servers' metadata (`drover:pair`). What
    is no uuid becomes one, always the same for the same id; the old one is in the server's name.

    Raises:
        LabError: the file can't be read, or is no such snapshot; says where.
    """
    try:
        with path.open("rb") as file:
            document = json.load(file)
    except FileNotFoundError as error:
        raise LabError(f"there is no file {path}") from error
    except (ValueError, RecursionError) as error:
        raise LabError(f"{path} is no JSON: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        found = document.get("format") if isinstance(document, dict) else type(document).__name__
        raise LabError(f"{path}: found format {found!r}, expected {FORMAT!r}; see the fleet's format in the docs")
    with _no_collector():
        _Loader(cloud, path).fill(document)


@contextmanager
def _no_collector() -> Iterator[None]:
    """Nothing of a fleet is garbage: looking for it again and again takes most of the time. What is, is frozen."""
    gc.disable()
    try:
        yield
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


class _Loader:
    """One fill of one cloud."""

    def __init__(self, cloud: SimulatedCloud, path: Path) -> None:
        self._cloud = cloud
        self._world = cloud.world
        self._path = path
        self._uses: dict[tuple[int, ...], Amounts] = {}
        self._specs: dict[Any, dict[str, str]] = {}
        self._texts: dict[str, str] = {}

    def fill(self, document: Mapping[str, Any]) -> None:
        """Hosts first, then what is on them, then what binds it."""
        try:
            self._hosts(document["hosts"])
            servers = document["servers"]
            pairs = {member: pair["id"] for pair in document.get("pairs", ()) for member in pair["members"]}
            for number, entry in enumerate(servers):
                try:
                    self._server(entry, pairs.get(entry["id"]))
                except (LookupError, TypeError, ValueError, AttributeError) as error:
                    raise LabError(f"{self._path}: servers[{number}]: {_told(error)}") from error
            for group in document.get("groups", ()):
                self._group(group)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise LabError(f"{self._path}: {_told(error)}") from error
        self._world.servers.seal(self._world.time)

    def _hosts(self, entries: list[Mapping[str, Any]]) -> None:
        aggregates: dict[str, list[str]] = {}
        for number, entry in enumerate(entries):
            try:
                name = entry["name"]
                accepts = entry.get("accepts", True)
                self._world.hosts[name] = Host(
                    name,
                    {KINDS[kind]: amount for kind, amount in entry["capacity"].items()},
                    entry.get("zone") or "nova",
                    set(entry.get("traits", ())),
                    disabled=not accepts,
                    disabled_reason=None if accepts else NOT_ACCEPTING,
                    rack=entry.get("rack"),
                )
                for aggregate in entry.get("aggregates", ()):
                    aggregates.setdefault(aggregate, []).append(name)
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                raise LabError(f"{self._path}: hosts[{number}]: {_told(error)}") from error
        for aggregate, hosts in aggregates.items():
            self._cloud.add_aggregate(aggregate, hosts, {aggregate: "true"})

    def _server(self, entry: Mapping[str, Any], pair: str | None) -> None:
        host = entry["host"]
        if host is not None and host not in self._world.hosts:
            raise LookupError(f"host {host!r} is none of the fleet's")
        given, born = entry["id"], self._world.time - AGE
        server = Server(
            as_uuid(given),
            given,
            host and self._world.hosts[host].name,
            self._same(entry["project"]),
            born,
            born,
            status=self._same(entry.get("status", "ACTIVE")),
            uses=self._amounts(entry["uses"]),
            extra_specs=self._extra_specs(entry),
            pinned_zone=self._zone(entry),
            metadata={"drover:pair": pair} if pair else None,
        )
        self._world.servers.add(server)
        if host is not None:
            self._world.allocations[server.id] = (self._world.hosts[host].name, server.uses)
        if entry.get("seconds"):
            self._cloud.world.copies[server.id] = float(entry["seconds"])

    def _amounts(self, uses: Mapping[str, int]) -> Amounts:
        key = tuple(uses.get(kind, 0) for kind in KINDS)
        if key not in self._uses:
            self._uses[key] = dict(zip(KINDS.values(), key, strict=True))
        return self._uses[key]

    def _extra_specs(self, entry: Mapping[str, Any]) -> dict[str, str]:
        needs = entry.get("requires") or {}
        reason = None if entry.get("movable", True) else entry.get("reason")
        key = (tuple(needs.get("traits", ())), tuple(needs.get("aggregates", ())), reason)
        if key == ((), (), None):
            return NOTHING
        if key not in self._specs:
            traits = {f"trait:{trait}": "required" for trait in key[0]}
            aggregates = {f"aggregate_instance_extra_specs:{name}": "true" for name in key[1]}
            stuck = STUCK.get(reason or "", {"pci_passthrough:alias": "device:1"} if reason else {})
            self._specs[key] = traits | aggregates | stuck
        return self._specs[key]

    def _zone(self, entry: Mapping[str, Any]) -> str | None:
        zone = (entry.get("requires") or {}).get("zone")
        return self._same(zone) if zone else None

    def _same(self, text: str) -> str:
        """One object for equal texts."""
        return self._texts.setdefault(text, text)

    def _group(self, entry: Mapping[str, Any]) -> None:
        group = self._world.new_group(entry["policy"], entry["id"], "project", id=as_uuid(entry["id"]))
        for member in entry["members"]:
            self._world.join(group, as_uuid(member))


def as_uuid(text: str) -> str:
    """The id itself if it is a uuid, else one that is always the same for it."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return str(uuid.uuid5(SPACE, text))


def _told(error: Exception) -> str:
    return f"field {error} is missing" if isinstance(error, KeyError) else str(error)
